"""A further replica of a service beside a running stack, with a forwarder before every port that it connects to.

async with beside(stack, services()["registry"]) as replica:
    replica.links["postgres:postgres"].abort()
    await replica.well()

What it is told is what the stack tells its own, but for its own ports and directories and the addresses of those
that it calls: where deploy/topology.toml names a connection that no variable leads to, this says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from headrace_servicekit.testing import eventually, free_port
from headrace_stack.component import Component
from headrace_stack.topology import components

from tests.kit.deployment.topology import Call, Service, services
from tests.kit.stack.running import RunningStack
from tests.kit.wire.forwarder import Forwarder

_ADDRESS = re.compile(r"127\.0\.0\.1:(\d+)")
_LISTED = re.compile(r"file:[^#;]+#([\w-]+)")
_HEALTH = re.compile(r'^service_component_healthy\{component="([^"]+)"\} (\S+)$', re.MULTILINE)
# A batcher starts a Triton, and loads what serves.
START_S = 120.0


@dataclass(slots=True)
class Replica:
    """A running replica. links: the forwarders before what it calls, by `service:port`. ports: its own, by those of
    the stack's own replica in whose likeness it is."""

    stack: RunningStack
    process: asyncio.subprocess.Process
    links: Mapping[str, Forwarder]
    ports: Mapping[int, int]
    log: Path
    metrics: str

    def port(self, of_the_stack: int) -> int:
        """Return its port in place of one of the stack's."""
        return self.ports[of_the_stack]

    async def unwell(self) -> str:
        """Return which of its parts are not well, empty for none."""
        try:
            async with httpx.AsyncClient(timeout=2) as client:
                ready = await client.get(f"{self.metrics}/readyz")
                text = (await client.get(f"{self.metrics}/metrics")).text
        except httpx.HTTPError as error:
            return f"it does not answer: {error!r}"
        parts = [name for name, value in _HEALTH.findall(text) if float(value) != 1.0]
        return " ".join(sorted(parts)) or ("" if ready.status_code == 200 else ready.text)

    async def well(self, *, within: float = 30.0) -> None:
        """Return when all its parts are well. AssertionError when it has ended, or is not well in time."""

        async def is_well() -> bool:
            assert self.process.returncode is None, f"it ended: {self.last_lines()}"
            return not await self.unwell()

        try:
            await eventually(is_well, within=within, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.unwell()}\n{self.last_lines()}") from None

    def deaths(self) -> list[str]:
        """Return the lines of its log that tell of a loop that died or a call that broke."""
        signs = ("loop died", "handler failed", "unhandled error", "Segmentation fault")
        return [
            line for line in self.log.read_text(errors="replace").splitlines() if any(sign in line for sign in signs)
        ]

    def last_lines(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


@contextlib.asynccontextmanager
async def beside(stack: RunningStack, service: Service) -> AsyncIterator[Replica]:
    """Run a further replica of a service until the block ends; it is well when the block begins."""
    (component,) = [one for one in components(stack.settings) if one.name == service.component]
    async with contextlib.AsyncExitStack() as resources:
        # A short path: there are Unix sockets in it.
        folder = Path(
            resources.enter_context(tempfile.TemporaryDirectory(prefix="beside-", ignore_cleanup_errors=True))
        )
        links: dict[str, Forwarder] = {}
        away: dict[int, int] = {}
        for call in sorted(service.calls):
            if call.callee.startswith("batcher") and not service.published:
                continue  # the control plane says where they are
            port = _port_of(stack, call)
            link = links[f"{call.callee}:{call.port}"] = await resources.enter_async_context(
                Forwarder("127.0.0.1", port)
            )
            away[port] = link.port
        own = {port.number: free_port() for port in component.ports}
        environment = _environment(component, own, away, folder, stack.settings.endpoints)
        log = folder / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *component.command, env={**os.environ, **environment}, stdout=output, stderr=output
            )
        try:
            (metrics,) = [own[port.number] for port in component.ports if port.number == _metrics_port(stack, service)]
            replica = Replica(stack, process, links, own, log, f"http://127.0.0.1:{metrics}")
            await replica.well(within=START_S)
            yield replica
        finally:
            if process.returncode is None:
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 30)
            if process.returncode is None:
                process.kill()
                await process.wait()


def _port_of(stack: RunningStack, call: Call) -> int:
    return stack.settings.ports.base + services()[call.callee].offset(call.port)


def _metrics_port(stack: RunningStack, service: Service) -> int:
    return stack.settings.ports.base + service.offset("metrics")


def _environment(
    component: Component, own: Mapping[int, int], away: Mapping[int, int], folder: Path, endpoints: Path
) -> dict[str, str]:
    """Return what the component is told, with other ports, other directories, and the addresses of the forwarders.

    endpoints: the stack's list of who is where; the component follows one with the forwarders in it.
    """
    used: set[int] = set()

    def elsewhere(found: re.Match[str]) -> str:
        port = int(found[1])
        used.add(port)
        return f"127.0.0.1:{away.get(port, port)}"

    listed = dict(one.split("=", 1) for one in endpoints.read_text().strip().split(";"))
    forwarded = folder / "endpoints"

    def listed_elsewhere(found: re.Match[str]) -> str:
        name = found[1]
        listed[name] = _ADDRESS.sub(elsewhere, listed[name])
        return f"file:{forwarded}#{name}"

    told = {}
    for name, value in component.environment.items():
        if name.endswith(("POOLS_FILE", "ENDPOINTS_FILE")):
            continue  # it would lead past the forwarders
        changed = _LISTED.sub(listed_elsewhere, _ADDRESS.sub(elsewhere, value))
        if value.isdecimal() and name.endswith("PORT") and int(value) in own:
            changed = str(own[int(value)])
        elif name.endswith("STATE_DIR"):
            directory = folder / name.removesuffix("_STATE_DIR").lower()
            directory.mkdir(mode=0o700, exist_ok=True)
            changed = str(directory)
        told[name] = changed
    if "ROUTER_DATA_ID" in told:
        # Every call is explained, so that the store of explanations is written to.
        told |= {"ROUTER_DATA_ID": "data-beside", "ROUTER_DATA_EXPLAIN_ONE_IN": "1"}
    forwarded.write_text(";".join(f"{name}={addresses}" for name, addresses in listed.items()) + "\n")
    assert away.keys() <= used, f"no variable of {component.name} leads to {sorted(away.keys() - used)}"
    return told
