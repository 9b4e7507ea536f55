"""A front door of a test's own: the real launcher and the real Envoy on free ports, echoing upstreams behind it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
from front_door import offered
from front_door.admin import ask
from front_door.settings import FrontDoorSettings
from headrace_servicekit.testing import free_port

from tests.kit.clients.refusals import Refusal, grpc_refusal
from tests.kit.front_door.upstreams import Upstreams, upstreams
from tests.kit.identity.issuer import Issuer, write_denied, write_jwks

CHECKOUT = Path(__file__).resolve().parents[3]
LAUNCHER = CHECKOUT / "deploy" / "envoy" / "front_door.py"
START_S = 90.0

GET_MODEL = "/headrace.registry.v1.RegistryService/GetModel"
CREATE_MODEL = "/headrace.registry.v1.RegistryService/CreateModel"
PROMOTE = "/headrace.registry.v1.RegistryService/PromoteModelVersion"
UPLOAD = "/headrace.registry.v1.RegistryService/UploadArtifact"
WATCH_MODELS = "/headrace.registry.v1.RegistryService/WatchModels"
GET_ROUTE = "/headrace.router.v1.RouteService/GetRoute"
PREDICT = "/headrace.router.v1.RouterService/Predict"
WATCH_TABLES = "/headrace.router.v1.ControlService/WatchTables"
EXCHANGE = "/headrace.batcher.v1.BatcherService/Exchange"


@dataclass(slots=True)
class Edge:
    """A running front door and what stands behind it."""

    address: str
    metrics: str
    directory: Path
    issuer: Issuer
    behind: Upstreams
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def channel(self) -> grpc.Channel:
        """Return a connection of its own that does not retry."""
        return grpc.insecure_channel(
            self.address,
            [
                ("grpc.max_receive_message_length", -1),
                ("grpc.enable_retries", 0),
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )

    def call(
        self,
        path: str,
        token: str | None,
        body: bytes = b"",
        *,
        timeout: float | None = 20.0,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Make one gRPC call on a connection of its own and return the bytes of the answer; raises grpc.RpcError."""
        with self.channel() as channel:
            return channel.unary_unary(path)(body, timeout=timeout, metadata=metadata(token, headers))

    def refused(self, path: str, token: str | None, body: bytes = b"", **kwargs: Any) -> Refusal:
        """Make a call that must fail and return how."""
        try:
            self.call(path, token, body, **kwargs)
        except grpc.RpcError as error:
            return grpc_refusal(error)
        raise AssertionError(f"{path} was answered")

    def http(self, method: str, path: str, token: str | None = None, **kwargs: Any) -> httpx.Response:
        """Make one HTTP/1.1 request; the path is sent as it is."""
        headers = dict(kwargs.pop("headers", {}))
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        # There is no TLS here: the authorities that a client reads for it take longer than the request.
        with httpx.Client(timeout=20, verify=False, trust_env=False) as client:
            url = httpx.URL(self.url).copy_with(raw_path=path.encode())
            return client.request(method, url, headers=headers, **kwargs)

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin interface."""
        return self.directory / "envoy" / "admin.sock"

    def admin(self, what: str, method: str = "GET") -> str:
        """Return what Envoy's admin interface answers. Raises OSError."""
        return ask(self.admin_socket, method, what)

    def stat(self, name: str) -> int:
        """Return one of Envoy's counters."""
        text = self.admin(f"/stats?filter=^{name}$")
        return int(text.rpartition(":")[2] or 0)

    def stop(self) -> int:
        """Ask it to stop, as the stack does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextlib.contextmanager
def edge(directory: Path, *, instead: Mapping[str, str] | None = None, **settings: Any) -> Iterator[Edge]:
    """Start a front door with these FRONT_DOOR_* settings (`predict_timeout_max_s=2`) and its upstreams.

    instead: addresses of services that are others than the upstreams, by service.
    """
    with upstreams() as behind:
        issuer = Issuer()
        write_jwks(directory, issuer)
        write_denied(directory)
        others = {"targets": targets({**behind.targets(), **instead})} if instead else {}
        with launched(directory, behind, issuer, {**settings, **others}) as door:
            yield door


@contextlib.contextmanager
def launched(
    directory: Path,
    behind: Upstreams,
    issuer: Issuer,
    settings: Mapping[str, Any],
    *,
    healthy: bool = True,
    also: Mapping[str, str] | None = None,
    open_files: int | None = None,
) -> Iterator[Edge]:
    """Start the launcher; when the block ends it is stopped, if it still runs.

    healthy: wait until it has found its upstreams well; else only until it listens. also: further variables.
    open_files: how many it may have open at most, None for as many as we may.
    """
    port, metrics_port = free_ports(2)
    told = {
        "port": port,
        "metrics_port": metrics_port,
        "state_dir": directory / "envoy",
        "jwks_file": directory / "jwks.json",
        "deny_file": directory / "deny.json",
        "access_log": directory / "access.jsonl",
        "targets": targets(behind.targets()),
        "router_data": behind.router_data.target,
        "router_rest": behind.router_rest.target,
        "concurrency": 1,
        "poll_s": 0.2,
        "drain_notice_s": 0.2,
        "grace_s": 10,
        **settings,
    }
    environment = {**os.environ, **{f"FRONT_DOOR_{name}".upper(): str(value) for name, value in told.items()}}
    environment |= also or {}
    log = directory / "front-door.log"
    with log.open("wb") as output:
        command = [sys.executable, str(LAUNCHER)]
        if open_files is not None:
            command = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(open_files), *command]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    door = Edge(f"127.0.0.1:{told['port']}", f"127.0.0.1:{metrics_port}", directory, issuer, behind, process)
    try:
        _await_ready(door, log, healthy)
        yield door
    finally:
        ended(process)


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a launcher, if it still runs: asked first, then at once."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def targets(instead: Mapping[str, str]) -> str:
    """Return FRONT_DOOR_TARGETS with these addresses, and elsewhere those that nothing has to be said of."""
    usual = {name: f"127.0.0.1:{port}" for name, port in offered.ports().items()}
    return ";".join(f"{name}={addresses}" for name, addresses in {**usual, **instead}.items())


def settings_with(**told: Any) -> FrontDoorSettings:
    """Return settings for tests that render and start nothing."""
    return FrontDoorSettings(**{"state_dir": Path("/state"), "jwks_file": Path("/identity/jwks.json"), **told})


def free_ports(count: int) -> list[int]:
    """Return free ports, all different."""
    return [free_port() for _ in range(count)]


def metadata(token: str | None, headers: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call by the bearer of a token."""
    pairs = tuple((headers or {}).items())
    return (("authorization", f"Bearer {token}"), *pairs) if token is not None else pairs


def access_log(door: Edge) -> list[dict[str, Any]]:
    """Return the lines of the access log that were flushed."""
    path = door.directory / "access.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def get(url: str) -> str:
    """Return the text of a page."""
    with urllib.request.urlopen(url, timeout=2) as answer:
        return answer.read().decode()


def _await_ready(door: Edge, log: Path, healthy: bool) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if door.process.poll() is not None:
            raise AssertionError(f"the front door ended:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(OSError):
            if _listens(door) and (_healthy(door) or not healthy):
                return
        time.sleep(0.05)
    raise AssertionError(f"the front door was not ready within {START_S} s:\n{log.read_text()[-2000:]}")


def _listens(door: Edge) -> bool:
    if "LIVE" not in get(f"http://{door.metrics}/ready"):
        return False
    with socket.create_connection(("127.0.0.1", int(door.address.rpartition(":")[2])), timeout=1):
        return True


def _healthy(door: Edge) -> bool:
    """Whether it has found its upstreams healthy."""
    lines = door.admin("/clusters").splitlines()
    hosts = [line for line in lines if "::health_flags::" in line and not line.startswith("admin::")]
    return bool(hosts) and all(line.endswith("::healthy") for line in hosts)
