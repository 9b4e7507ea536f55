"""Services that are gone: each caller hears the right thing, the others nothing."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import Refusal, grpc_refusal, rest_refusal
from tests.kit.front_door.edge import GET_MODEL, GET_ROUTE, PREDICT, Edge, edge, launched, metadata
from tests.kit.front_door.upstreams import HEALTH_CHECK, GrpcUpstream, grpc_upstream, upstreams
from tests.kit.identity.issuer import Issuer, write_denied, write_jwks


@pytest.mark.faults
async def test_a_service_that_is_gone_is_said_to_be_and_the_others_serve_on(tmp_path: Path):
    with _replaceable(tmp_path) as (door, registry):
        token = door.issuer.token()
        door.call(GET_MODEL, token)
        registry.close()
        refusal = await eventually(lambda: _unavailable(door, token), within=5, every=0.05)
        assert refusal is not None
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        assert refusal.retry_after_s == 1
        response = door.http("GET", "/v1/models", token)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert rest_refusal(response).reason == "SERVICE_UNAVAILABLE"
        door.call(PREDICT, token)
        door.call(GET_ROUTE, token)
        assert door.http("GET", "/healthz").status_code == 200
        registry.open()
        await eventually(lambda: not _unavailable(door, token), within=5, every=0.05)


async def test_without_the_data_plane_the_door_says_that_it_is_closed(door: Edge):
    with _unwell(door.behind.router_data):
        await eventually(lambda: door.http("GET", "/healthz").status_code == 503, within=5, every=0.1)
        assert door.refused(PREDICT, door.issuer.token()).reason == "SERVICE_UNAVAILABLE"
    await eventually(lambda: door.http("GET", "/healthz").status_code == 200, within=5, every=0.1)


async def test_health_is_asked_where_it_is_bad(door: Edge):
    token = door.issuer.token()
    with _unwell(door.behind.router_control):
        await eventually(lambda: _reason_of(door, GET_ROUTE, token) == "SERVICE_UNAVAILABLE", within=5, every=0.1)
        assert door.call(HEALTH_CHECK, None) == b"\x08\x01"  # whatever it says of itself, it was asked
    await eventually(lambda: _reason_of(door, GET_ROUTE, token) == "", within=5, every=0.1)


async def test_a_console_that_is_not_well_is_asked_all_the_same_and_says_itself_why(door: Edge):
    with _unwell(door.behind.pages["console"]):
        await eventually(lambda: "/failed_active_hc" in _health_flags(door, "console"), within=5, every=0.1)
        answer = door.http("GET", "/console/models")
        assert (answer.status_code, answer.json().get("path")) == (503, "/console/models"), "its page, not the door's"
    await eventually(lambda: _health_flags(door, "console") == "healthy", within=5, every=0.1)
    assert door.http("GET", "/console/models").status_code == 200


@pytest.mark.faults
async def test_a_replica_that_dies_costs_no_prediction(tmp_path: Path):
    with upstreams() as behind:
        issuer = Issuer()
        write_jwks(tmp_path, issuer)
        write_denied(tmp_path)
        second = _Replaceable("second")
        both = {"router_data": f"{behind.router_data.target},{second.target}"}
        try:
            with launched(tmp_path, behind, issuer, both) as door, door.channel() as channel:
                call, token = channel.unary_unary(PREDICT), metadata(issuer.token(sub="steady"))
                for number in range(200):
                    if number == 50:
                        second.close()
                    call(b"", metadata=token, timeout=5)
                assert second.upstream is not None
                assert second.upstream.calls_of("steady")
        finally:
            second.close()


def test_a_prediction_is_repeated_once_a_service_cannot_answer(door: Edge):
    seen: list[int] = []

    def once_unavailable(_requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterable[bytes]:
        seen.append(1)
        if len(seen) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        yield b"answer"

    door.behind.router_data.answers[PREDICT] = once_unavailable
    try:
        assert door.call(PREDICT, door.issuer.token()) == b"answer"
    finally:
        del door.behind.router_data.answers[PREDICT]
    assert len(seen) == 2


def test_a_write_is_not_repeated(door: Edge):
    seen: list[int] = []

    def unavailable(_requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterable[bytes]:
        seen.append(1)
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        yield b""

    promote = "/headrace.registry.v1.RegistryService/PromoteModelVersion"
    door.behind.registry.answers[promote] = unavailable
    try:
        assert door.refused(promote, door.issuer.token()).code is grpc.StatusCode.UNAVAILABLE
    finally:
        del door.behind.registry.answers[promote]
    assert len(seen) == 1


class _Replaceable:
    """An upstream that can go away and come back on its port."""

    def __init__(self, name: str) -> None:
        self.name, self.port, self._serving = name, 0, None
        self.upstream: GrpcUpstream | None = None
        self.open()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def open(self) -> None:
        self._serving = grpc_upstream(self.name, port=self.port)
        self.upstream = self._serving.__enter__()
        self.port = int(self.upstream.target.rpartition(":")[2])

    def close(self) -> None:
        if self._serving is not None:
            self._serving.__exit__(None, None, None)
            self._serving = None


@contextlib.contextmanager
def _replaceable(directory: Path) -> Iterator[tuple[Edge, _Replaceable]]:
    """Run a front door whose registry can go away."""
    registry = _Replaceable("registry")
    try:
        with edge(directory, instead={"registry": registry.target}) as door:
            yield door, registry
    finally:
        registry.close()


@contextlib.contextmanager
def _unwell(service: Any) -> Iterator[None]:
    """Let a service say that it is not well until the block ends."""
    service.serving = False
    try:
        yield
    finally:
        service.serving = True


def _reason_of(door: Edge, path: str, token: str) -> str:
    try:
        door.call(path, token)
    except grpc.RpcError as error:
        return grpc_refusal(error).reason
    return ""


def _health_flags(door: Edge, cluster: str) -> str:
    """Return what Envoy holds against the only host of a cluster; `healthy` for nothing."""
    (told,) = [
        line
        for line in door.admin("/clusters").splitlines()
        if line.startswith(f"{cluster}::") and "::health_flags::" in line
    ]
    return told.rpartition("::")[2]


def _unavailable(door: Edge, token: str) -> Refusal | None:
    try:
        door.call(GET_MODEL, token)
    except grpc.RpcError as error:
        return grpc_refusal(error)
    return None
