"""Too much and too slow: each caller hears the right thing, the others nothing."""

import time
from collections.abc import Iterator

import grpc
import httpx
import pytest
from headrace_servicekit.testing import eventually, patience

from tests.kit.clients.refusals import Refusal, grpc_refusal, rest_refusal
from tests.kit.front_door.edge import GET_MODEL, UPLOAD, Edge, edge, metadata
from tests.kit.wire.sockets import connected, is_closed

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
            reasons = set[str]()
            while "RATE_LIMITED" not in reasons:  # a slow machine asks for little more than what the bucket gets
                asked = [call.future(b"", metadata=metadata(token), timeout=30) for _ in range(3 * PER_SECOND)]
                reasons |= {_reason(one) for one in asked}
        assert reasons == {"SCOPE_MISSING", "RATE_LIMITED"}


class TestSlowCallers:
    def test_headers_that_do_not_end_are_not_waited_for(self, slow: Edge):
        with connected(slow.address) as connection:
            connection.sendall(b"POST /v1/predict HTTP/1.1\r\nhost: x\r\nx-a: ")
            begun = time.monotonic()
            assert connection.recv(4096).startswith(b"HTTP/1.1 408")
            assert 4 < time.monotonic() - begun < patience(8)

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
            assert time.monotonic() - begun < patience(2)
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
        assert time.monotonic() - stalled < patience(3.5)
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


def _reason(asked: grpc.Future) -> str:
    try:
        asked.result()
    except grpc.RpcError as error:
        return grpc_refusal(error).reason
    return ""
