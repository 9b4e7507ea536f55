"""A data plane inside a real Envoy, between a control plane and a batcher that the test holds in its hand.

It is the front door's own Envoy, or one of its own behind a front door ("two hops").
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import psutil
from headrace.router.v1 import predict_pb2_grpc

from tests.kit.front_door.edge import CHECKOUT, START_S, Edge, ended, free_ports, get, launched
from tests.kit.front_door.upstreams import upstreams
from tests.kit.identity.issuer import Issuer, write_denied, write_jwks

DATA_PLANE = CHECKOUT / "deploy" / "envoy" / "data_plane.py"


@dataclass(frozen=True, slots=True)
class EnvoyPlane:
    """A front door and the data plane in it or behind it.

    stub: on a channel of its own. metrics_port: of the data plane.
    """

    door: Edge
    stub: Any
    channel: grpc.aio.Channel
    metrics_port: int

    @property
    def envoy(self) -> psutil.Process:
        """The front door's Envoy."""
        (envoy,) = [one for one in psutil.Process(self.door.process.pid).children() if "envoy" in one.name()]
        return envoy

    @property
    def starts(self) -> int:
        """How often the front door's launcher has found its Envoy taking calls."""
        return (self.door.directory / "front-door.log").read_text().count("Envoy ready")

    async def ready(self) -> bool:
        """Return whether the data plane says that it is ready."""
        with contextlib.suppress(OSError):
            return bool(await asyncio.to_thread(get, f"http://127.0.0.1:{self.metrics_port}/readyz"))
        return False


@contextlib.asynccontextmanager
async def envoy_plane(
    directory: Path,
    control_target: str,
    batcher_target: str,
    *,
    metrics_port: int | None = None,
    two_hops: bool = False,
    front: Mapping[str, Any] | None = None,
    issuer: Issuer | None = None,
    open_files: int | None = None,
    **variables: str,
) -> AsyncIterator[EnvoyPlane]:
    """Start an Envoy whose data plane asks these two.

    front: settings of the front door. open_files: of the front door, at most. variables: of the data plane's
    environment, replacing what we would set.
    """
    grpc_port, rest_port, edge_port, envoy_metrics, free = free_ports(5)
    metrics = metrics_port or free
    told = {
        "ROUTER_DATA_PORT": str(grpc_port),
        "ROUTER_DATA_REST_PORT": str(rest_port),
        "ROUTER_DATA_METRICS_PORT": str(metrics),
        "ROUTER_DATA_CONTROL_TARGET": control_target,
        "ROUTER_DATA_POOLS": f"default={batcher_target}",
        "ROUTER_DATA_STATE_DIR": str(directory / "data"),
        "ROUTER_DATA_CACHE_TTL_S": "0",
        "ROUTER_DATA_DRAIN_NOTICE_S": "0",
        "ROUTER_DATA_ACCESS_LOG_ONE_IN": "1",
        **variables,
    }
    (directory / "data").mkdir()
    with upstreams() as behind, contextlib.ExitStack() as stack:
        issuer = issuer or Issuer()
        write_jwks(directory, issuer)
        write_denied(directory)
        where = {"data_plane": "here"}
        if two_hops:
            where = {"data_plane": "service", "router_edge": f"127.0.0.1:{edge_port}"}
            stack.enter_context(_alone(directory, edge_port, envoy_metrics, told))
        # In a thread: meanwhile the test's own servers answer the data plane.
        starting = launched(
            directory, behind, issuer, {**where, **(front or {})}, also={} if two_hops else told, open_files=open_files
        )
        door = await asyncio.to_thread(stack.enter_context, starting)
        try:
            async with grpc.aio.insecure_channel(door.address) as channel:
                yield EnvoyPlane(door, predict_pb2_grpc.RouterServiceStub(channel), channel, metrics)
        finally:
            await asyncio.to_thread(stack.close)


@contextlib.contextmanager
def _alone(directory: Path, port: int, envoy_metrics: int, told: Mapping[str, str]) -> Iterator[None]:
    """Start the data plane in an Envoy of its own; when the block ends it is stopped."""
    own = {
        "port": port,
        "metrics_port": envoy_metrics,
        "state_dir": directory / "data-envoy",
        "jwks_file": directory / "jwks.json",
        "deny_file": directory / "deny.json",
        "concurrency": 1,
        "poll_s": 0.2,
        "drain_notice_s": 0.2,
        "grace_s": 10,
    }
    environment = {**os.environ, **{f"DATA_PLANE_{name}".upper(): str(value) for name, value in own.items()}, **told}
    with (directory / "data-plane.log").open("wb") as output:
        process = subprocess.Popen([sys.executable, str(DATA_PLANE)], env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        ended(process)


@contextlib.contextmanager
def alone_with(directory: Path) -> Iterator[str]:
    """Start a data plane in an Envoy of its own that finds nobody to ask; yield the address of Envoy's metrics."""
    grpc_port, rest_port, metrics, edge_port, envoy_metrics, nobody = free_ports(6)
    told = {
        "ROUTER_DATA_PORT": str(grpc_port),
        "ROUTER_DATA_REST_PORT": str(rest_port),
        "ROUTER_DATA_METRICS_PORT": str(metrics),
        "ROUTER_DATA_CONTROL_TARGET": f"127.0.0.1:{nobody}",
        "ROUTER_DATA_POOLS": f"default=127.0.0.1:{nobody}",
        "ROUTER_DATA_STATE_DIR": str(directory / "data"),
    }
    (directory / "data").mkdir()
    with _alone(directory, edge_port, envoy_metrics, told):
        deadline = time.monotonic() + START_S
        while not _is_live(envoy_metrics):
            assert time.monotonic() < deadline, (directory / "data-plane.log").read_text()[-2000:]
            time.sleep(0.05)
        yield f"127.0.0.1:{envoy_metrics}"


def _is_live(port: int) -> bool:
    with contextlib.suppress(OSError):
        return "LIVE" in get(f"http://127.0.0.1:{port}/ready")
    return False
