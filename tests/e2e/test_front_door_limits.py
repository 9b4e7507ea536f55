"""Too much, too slow, and services that are gone: each caller hears the right thing, the others nothing."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from headrace_servicekit.testing import eventually

from tests.kit.edge import GET_MODEL, GET_ROUTE, PREDICT, UPLOAD, Edge, edge, launched, metadata
from tests.kit.issuer import Issuer, write_denied, write_jwks
from tests.kit.refusals import Refusal, grpc_refusal, rest_refusal
from tests.kit.sockets import connected, is_closed
from tests.kit.upstreams import HEALTH_CHECK, GrpcUpstream, grpc_upstream, upstreams

PER_SECOND = 100


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with edge(tmp_path_factory.mktemp("edge"), client_requests_per_second=PER_SECOND) as running:
        yield running


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with edge(
        tmp_path_factory.mktemp("edge"), predict_timeout_max_s=1, upload_idle_timeout_s=1, max_connections=30
    ) as running:
        yield running


class TestRateLimit:
    def test_a_client_gets_its_share_and_hears_when_to_come_back(self, limited: Edge):
        token = limited.issuer.token(sub="greedy")
        with limited.channel() as channel:
            answered, refusal = _spend(channel, token)
            assert PER_SECOND <= answered <= 3 * PER_SECOND
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
            assert refusal.retry_after_s == 1

    def test_other_clients_do_not_feel_it(self, limited: Edge):
        with limited.channel() as channel:
            _spend(channel, limited.issuer.token(sub="greedy too"))
            modest = metadata(limited.issuer.token(sub="modest"))
            for _ in range(20):
                channel.unary_unary(GET_MODEL)(b"", metadata=modest, timeout=5)

    def test_it_holds_over_all_faces_and_tokens_of_a_client(self, limited: Edge):
        another = {"authorization": f"Bearer {limited.issuer.token(sub='everywhere')}"}
        with limited.channel() as channel, httpx.Client(base_url=limited.url, headers=another) as client:
            _spend(channel, limited.issuer.token(sub="everywhere"))
            refused = client.post("/v1/predict", json={})
            while refused.status_code != 429:  # the machine was so slow that the bucket filled in between
                _spend(channel, limited.issuer.token(sub="everywhere"))
                refused = client.post("/v1/predict", json={})
        assert refused.headers["retry-after"] == "1"
        refusal = rest_refusal(refused)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert refusal.retry_after_s == 1

    def test_the_rate_is_what_was_set(self, limited: Edge):
        token = metadata(limited.issuer.token(sub="steady"))
        with limited.channel() as channel:
            call = channel.unary_unary(GET_MODEL)
            _spend(channel, limited.issuer.token(sub="steady"))
            begun, answered, offered = time.monotonic(), 0, 0
            while (passed := time.monotonic() - begun) < 3:
                answered += _answers(call, token)
                offered += 1
        assert answered <= 1.05 * PER_SECOND * passed
        if offered > 2 * PER_SECOND * passed:  # else the machine was too busy to ask for the whole share
            assert answered >= 0.95 * PER_SECOND * passed

    def test_a_client_without_scope_spends_too(self, limited: Edge):
        token = limited.issuer.token(sub="knocking", scopes=[])
        with limited.channel() as channel:
            call = channel.unary_unary(GET_MODEL)
            reasons = {_reason(call, token) for _ in range(3 * PER_SECOND)}
        assert reasons == {"SCOPE_MISSING", "RATE_LIMITED"}


class TestSlowCallers:
    def test_headers_that_do_not_end_are_not_waited_for(self, slow: Edge):
        with connected(slow.address) as connection:
            connection.sendall(b"POST /v1/predict HTTP/1.1\r\nhost: x\r\nx-a: ")
            begun = time.monotonic()
            assert connection.recv(4096).startswith(b"HTTP/1.1 408")
            assert 4 < time.monotonic() - begun < 8

    def test_a_body_that_drips_is_ended_with_the_deadline(self, slow: Edge):
        token = slow.issuer.token(sub="dripping")
        head = f"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\nauthorization: Bearer {token}\r\n\r\n"
        with connected(slow.address) as connection:
            connection.sendall(head.encode())
            begun = time.monotonic()
            for _ in range(20):
                connection.sendall(b"x")
                try:
                    connection.settimeout(0.1)
                    answer = connection.recv(4096)
                    break
                except TimeoutError:
                    continue
            else:
                raise AssertionError("never ended")
            assert time.monotonic() - begun < 2
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"REQUEST_TOO_SLOW" in answer
        assert slow.behind.reached_by("dripping") == []

    def test_an_upload_that_stalls_is_ended(self, slow: Edge):
        stalled = time.monotonic()

        def pieces() -> Iterator[bytes]:
            yield b"x"
            time.sleep(4)

        with slow.channel() as channel, pytest.raises(grpc.RpcError) as caught:
            channel.stream_unary(UPLOAD)(pieces(), metadata=metadata(slow.issuer.token()))
        assert time.monotonic() - stalled < 3.5
        assert grpc_refusal(caught.value).reason in ("REQUEST_TOO_SLOW", "DEADLINE_EXCEEDED")

    async def test_connections_beyond_the_limit_are_closed_and_the_others_served(self, slow: Edge):
        with slow.channel() as channel:
            call = channel.unary_unary(GET_MODEL)
            call(b"", metadata=metadata(slow.issuer.token()), timeout=5)
            held = [connected(slow.address) for _ in range(60)]
            try:
                await eventually(lambda: sum(is_closed(connection) for connection in held) >= 30, within=5)
                call(b"", metadata=metadata(slow.issuer.token()), timeout=5)
            finally:
                for connection in held:
                    connection.close()


class TestOutages:
    async def test_a_service_that_is_gone_is_said_to_be_and_the_others_serve_on(self, tmp_path: Path):
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

    async def test_without_the_data_plane_the_door_says_that_it_is_closed(self, tmp_path: Path):
        with edge(tmp_path) as door:
            door.behind.router_data.serving = False
            await eventually(lambda: door.http("GET", "/healthz").status_code == 503, within=5, every=0.1)
            assert door.refused(PREDICT, door.issuer.token()).reason == "SERVICE_UNAVAILABLE"
            door.behind.router_data.serving = True
            await eventually(lambda: door.http("GET", "/healthz").status_code == 200, within=5, every=0.1)

    async def test_health_is_asked_where_it_is_bad(self, tmp_path: Path):
        with edge(tmp_path) as door:
            door.behind.router_control.serving = False
            token = door.issuer.token()
            await eventually(lambda: _reason_of(door, GET_ROUTE, token) == "SERVICE_UNAVAILABLE", within=5, every=0.1)
            assert door.call(HEALTH_CHECK, None) == b"\x08\x01"  # whatever it says of itself, it was asked

    async def test_a_replica_that_dies_costs_no_prediction(self, tmp_path: Path):
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

    def test_a_prediction_is_repeated_once_a_service_cannot_answer(self, slow: Edge):
        seen: list[int] = []

        def once_unavailable(_requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterable[bytes]:
            seen.append(1)
            if len(seen) == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            yield b"answer"

        slow.behind.router_data.answers[PREDICT] = once_unavailable
        try:
            assert slow.call(PREDICT, slow.issuer.token()) == b"answer"
        finally:
            del slow.behind.router_data.answers[PREDICT]
        assert len(seen) == 2

    def test_a_write_is_not_repeated(self, slow: Edge):
        seen: list[int] = []

        def unavailable(_requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterable[bytes]:
            seen.append(1)
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            yield b""

        promote = "/headrace.registry.v1.RegistryService/PromoteModelVersion"
        slow.behind.registry.answers[promote] = unavailable
        try:
            assert slow.refused(promote, slow.issuer.token()).code is grpc.StatusCode.UNAVAILABLE
        finally:
            del slow.behind.registry.answers[promote]
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


class _replaceable:  # noqa: N801  (used as a function)
    """A front door whose registry can go away."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> tuple[Edge, _Replaceable]:
        self._registry = _Replaceable("registry")
        self._edge = edge(self._directory, registry=self._registry.target)
        return self._edge.__enter__(), self._registry

    def __exit__(self, *exception: object) -> None:
        self._edge.__exit__(None, None, None)
        self._registry.close()


def _spend(channel: grpc.Channel, token: str) -> tuple[int, Refusal]:
    """Call until the limit is met; return how many were answered and the refusal."""
    call, bearer = channel.unary_unary(GET_MODEL), metadata(token)
    for answered in range(10_000):
        try:
            call(b"", metadata=bearer, timeout=5)
        except grpc.RpcError as error:
            return answered, grpc_refusal(error)
    raise AssertionError("there is no limit")


def _answers(call: grpc.UnaryUnaryMultiCallable, bearer: tuple[tuple[str, str], ...]) -> bool:
    try:
        call(b"", metadata=bearer, timeout=5)
    except grpc.RpcError:
        return False
    return True


def _reason(call: grpc.UnaryUnaryMultiCallable, token: str) -> str:
    try:
        call(b"", metadata=metadata(token), timeout=5)
    except grpc.RpcError as error:
        return grpc_refusal(error).reason
    return ""


def _reason_of(door: Edge, path: str, token: str) -> str:
    with door.channel() as channel:
        return _reason(channel.unary_unary(path), token)


def _unavailable(door: Edge, token: str) -> Refusal | None:
    try:
        door.call(GET_MODEL, token)
    except grpc.RpcError as error:
        return grpc_refusal(error)
    return None
