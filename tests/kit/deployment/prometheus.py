"""Debian's Prometheus with the configuration and the rules that are shipped, reading a stack that runs from wheels.

async with prometheus.reading(stack.settings.ports, tmp_path) as asking:
    ... await asking.query("sum(up)") ...

Only what the place asks for is different: addresses in place of Compose's names, seconds in place of minutes. What
rules and panels ask, and of whom, is as it is shipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from headrace_servicekit.testing import eventually, free_port
from headrace_stack import debian_programs
from headrace_stack.ports import Port, Ports

from tests.kit.deployment import topology
from tests.kit.deployment.observability import FOLDER, RULES
from tests.kit.deployment.topology import CHECKOUT

PROGRAM = debian_programs.find(CHECKOUT, "prometheus")
needs_prometheus = pytest.mark.skipif(
    PROGRAM is None, reason="NOT CHECKED: no Prometheus of Debian here, see `make test`"
)
PENDING_S = 2
"""How long something must be so before an alert fires here, whatever its rule says."""


def targets(ports: Ports) -> Mapping[str, Port]:
    """Return what is read of a stack, by the name of its job."""
    read = {name: (name, "metrics") for name in topology.own()}
    read |= {"envoy": ("front-door", "envoy-metrics"), "triton": ("batcher", "triton-metrics")}
    services = topology.services()
    return {job: ports.at(services[name].offset(port), f"{name} {port}") for job, (name, port) in read.items()}


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks a Prometheus, whoever runs it."""

    http: httpx.AsyncClient

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples that an expression gives now. AssertionError with what Prometheus says against it."""
        return (await self._get("query", query=expression))["result"]

    async def up(self) -> dict[str, list[str]]:
        """Return the health of every target by its job."""
        found: dict[str, list[str]] = {}
        for target in (await self._get("targets", state="active"))["activeTargets"]:
            found.setdefault(target["labels"]["job"], []).append(target["health"])
        return found

    async def alerts(self) -> dict[str, list[dict[str, str]]]:
        """Return the labels of the alerts that fire, by name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in (await self._get("alerts"))["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    async def rules(self) -> dict[str, str]:
        """Return the health of every rule by name: `ok`, `unknown` before it was looked at, or `err`."""
        groups = (await self._get("rules"))["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    async def _get(self, what: str, **parameters: str) -> Any:
        response = await self.http.get(f"/api/v1/{what}", params=parameters)
        assert response.is_success, f"{what} {parameters}: {response.text}"
        return response.json()["data"]


@contextlib.asynccontextmanager
async def asking(port: int) -> AsyncIterator[Asking]:
    """Ask the Prometheus on a port of this machine, once it is ready."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as http:

        async def ready() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return (await http.get("/-/ready")).is_success
            return False

        await eventually(ready, within=60, every=0.1)
        yield Asking(http)


@contextlib.asynccontextmanager
async def reading(ports: Ports, folder: Path) -> AsyncIterator[Asking]:
    """Run a Prometheus that reads a stack every second, with its data below `folder`, until the block ends."""
    port = free_port()
    command = (
        f"--config.file={_configuration(ports, folder)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(str(PROGRAM), *command, stdout=log, stderr=log)
    try:
        async with asking(port) as one:
            yield one
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


def _configuration(ports: Ports, folder: Path) -> Path:
    """Write what is shipped, for this place."""
    rules = folder / "rules"
    rules.mkdir()
    for path in RULES:
        text = re.sub(r"\bfor: \w+", f"for: {PENDING_S}s", path.read_text(encoding="utf-8"))
        (rules / path.name).write_text(re.sub(r"\binterval: \w+", "interval: 1s", text), encoding="utf-8")
    shipped = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    read = targets(ports)
    assert {job["job_name"] for job in shipped["scrape_configs"]} == set(read)
    jobs = [
        {name: job[name] for name in ("job_name", "metrics_path") if name in job}
        | {"static_configs": [{"targets": [read[job["job_name"]].address]}]}
        for job in shipped["scrape_configs"]
    ]
    every_second = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    path = folder / "prometheus.yml"
    told = {"global": every_second, "rule_files": [f"{rules}/*.yml"], "scrape_configs": jobs}
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return path
