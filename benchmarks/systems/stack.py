"""The running stack, as far as a benchmark must know it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace_client.issuer import DevelopmentIssuer
from headrace_stack import settings as stack_settings
from headrace_stack.settings import BASE_PORT_SETTING, DATA_PLANE_SETTING, DataPlane

from benchmarks.checkout import ROOT, BenchmarkError

FRONT_DOOR = "front-door"


@dataclass(frozen=True, slots=True)
class Stack:
    """Its front door's port, the issuer's folder, the data plane's metrics, and the components' pids by name."""

    port: int
    identity: Path
    metrics_url: str
    processes: dict[str, int]

    def token(self) -> str:
        """Mint a token with every scope."""
        return DevelopmentIssuer(self.identity).mint(subject="benchmark", now=datetime.now(UTC))


def running_stack() -> Stack:
    """Return the stack, started when it is not up. Raises BenchmarkError when it does not start."""
    if not stack_status():
        _make("up")
    status = stack_status()
    if not status:
        raise BenchmarkError("the stack is not up: `make up` says why")
    if any(one["name"] == "router-data" for one in status["components"]):
        raise BenchmarkError(f"the stack has its data plane in a service: `make down`, unset {DATA_PLANE_SETTING}")
    return _known(status)


def front_door_variables(stack: Stack) -> dict[str, str]:
    """Return the data plane's settings that the stack's front door was started with."""
    environment = Path(f"/proc/{stack.processes[FRONT_DOOR]}/environ").read_bytes().decode().split("\0")
    told = dict(line.split("=", 1) for line in environment if "=" in line)
    return {name: value for name, value in told.items() if name.startswith("ROUTER_DATA_")}


@contextlib.contextmanager
def with_data_plane_apart() -> Iterator[Stack]:
    """Yield the stack, restarted with its data plane in a service; restore it afterwards."""
    where = {BASE_PORT_SETTING: str(running_stack().port)}
    _make("down")
    try:
        apart = {**where, DATA_PLANE_SETTING: DataPlane.SERVICE.value}
        _make("up", apart)
        yield _known(stack_status(apart))
    finally:
        _make("down")
        _make("up", where)


def stack_status(environment: Mapping[str, str] | None = None) -> dict:
    """Return the stack's own snapshot, empty when it is not up. environment: variables beside our own."""
    command = [str(ROOT / ".venv/bin/python"), "-P", "-m", "headrace_stack", "status", "--json"]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=variables)
    return json.loads(done.stdout) if done.stdout.strip() else {}


def _make(target: str, variables: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        ["make", target], cwd=ROOT, env={**os.environ, **(variables or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"`make {target}` failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _known(status: Mapping[str, Any]) -> Stack:
    settings, base = stack_settings.read(), status["base_port"]
    return Stack(
        port=base,
        identity=settings.identity,
        metrics_url=f"http://127.0.0.1:{base + 8}/metrics",
        processes={one["name"]: one["process"]["pid"] for one in status["components"] if one["process"]},
    )
