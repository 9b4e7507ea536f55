"""Front doors that a benchmark starts itself, beside the stack's own: with the data plane in them, on free ports."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace_servicekit.testing import free_port

from benchmarks.checkout import ROOT
from benchmarks.systems.references import process, until_listening


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """One of them. port: of predictions. metrics_port: of its data plane. log: where it writes."""

    port: int
    metrics_port: int
    pid: int
    log: Path


@contextlib.contextmanager
def running(folder: Path, identity: Path, overrides: Mapping[str, object]) -> Iterator[FrontDoor]:
    """Run one in a temporary folder. identity: the issuer's folder. overrides: of its variables."""
    port, envoy, grpc, rest, metrics = (free_port() for _ in range(5))
    variables = {
        "FRONT_DOOR_PORT": port,
        "FRONT_DOOR_METRICS_PORT": envoy,
        "FRONT_DOOR_STATE_DIR": folder / "envoy",
        "FRONT_DOOR_DATA_PLANE": "here",
        "FRONT_DOOR_CONCURRENCY": 1,
        "FRONT_DOOR_JWKS_FILE": identity / "jwks.json",
        "FRONT_DOOR_DRAIN_NOTICE_S": 0,
        "ROUTER_DATA_PORT": grpc,
        "ROUTER_DATA_REST_PORT": rest,
        "ROUTER_DATA_METRICS_PORT": metrics,
        "ROUTER_DATA_STATE_DIR": folder / "data",
        "PYTHONPATH": ROOT / "deploy" / "envoy",
        **overrides,
    }
    environment = {**os.environ, **{variable: str(value) for variable, value in variables.items()}}
    command, log = [sys.executable, "-P", str(ROOT / "deploy" / "envoy" / "front_door.py")], folder / "front-door.log"
    with process(log, command, environment) as pid:
        until_listening(port, log)
        yield FrontDoor(port, metrics, pid, log)
