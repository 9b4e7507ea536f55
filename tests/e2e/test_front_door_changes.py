"""What changes while the front door runs: denied clients, keys, certificates; and how it stops."""

import contextlib
import json
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from headrace_servicekit.testing import eventually

from tests.kit.certificates import Authority
from tests.kit.edge import GET_MODEL, PREDICT, WATCH_MODELS, Edge, edge, get, launched, metadata
from tests.kit.issuer import Issuer, write_denied, write_jwks
from tests.kit.refusals import grpc_refusal, rest_refusal
from tests.kit.upstreams import upstreams


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Edge]:
    with edge(tmp_path, poll_s=1) as running:
        yield running


class TestDeniedClients:
    async def test_a_denial_holds_within_5_s_and_disturbs_nobody_else(self, door: Edge):
        bob, alice = door.issuer.token(sub="bob"), door.issuer.token(sub="alice")
        with _stream(door, alice) as watch, door.channel() as kept:
            call = kept.unary_unary(PREDICT)
            call(b"", metadata=metadata(alice), timeout=5)
            call(b"", metadata=metadata(bob), timeout=5)
            write_denied(door.directory, "bob")
            refusal = await eventually(lambda: _refusal(call, bob), within=5, every=0.05)
            assert refusal is not None
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CLIENT_DENIED")
            # On the connections that were there before, whatever was under way.
            call(b"", metadata=metadata(alice), timeout=5)
            assert watch.send_next() == b"next"
        assert door.stat("http.front.downstream_cx_destroy_remote_active_rq") == 0
        assert door.stat("listener_manager.listener_modified") == 0
        response = door.http("POST", "/v1/predict", bob, json={})
        assert response.status_code == 403
        assert rest_refusal(response).reason == "CLIENT_DENIED"

    async def test_a_client_that_is_no_longer_denied_may_call_again(self, door: Edge):
        bob = door.issuer.token(sub="bob")
        write_denied(door.directory, "bob", "eve")
        await eventually(lambda: _is_refused(door, bob), within=5, every=0.05)
        write_denied(door.directory, "eve")
        await eventually(lambda: not _is_refused(door, bob), within=5, every=0.05)
        assert _is_refused(door, door.issuer.token(sub="eve"))

    async def test_a_file_that_cannot_be_read_leaves_the_list_in_force(self, door: Edge):
        bob = door.issuer.token(sub="bob")
        write_denied(door.directory, "bob")
        await eventually(lambda: _is_refused(door, bob), within=5, every=0.05)
        (door.directory / "deny.json").write_text('{"subjects": ["bo')
        log = door.directory / "front-door.log"
        await eventually(lambda: "stay in force" in log.read_text(), within=5)
        assert _is_refused(door, bob)
        assert "deny.json" in log.read_text()


class TestKeys:
    async def test_keys_are_rotated_without_a_restart(self, door: Edge):
        old, new = door.issuer, Issuer()
        assert door.refused(GET_MODEL, new.token()).reason == "TOKEN_INVALID"
        write_jwks(door.directory, old, new)
        await eventually(lambda: _accepted(door, new.token()), within=5, every=0.05)
        assert _accepted(door, old.token())
        write_jwks(door.directory, new)
        await eventually(lambda: not _accepted(door, old.token()), within=5, every=0.05)
        assert _accepted(door, new.token())
        assert door.process.poll() is None

    async def test_keys_that_envoy_cannot_use_leave_the_old_ones_in_force(self, door: Edge):
        broken = {"keys": [{**door.issuer.jwk, "x": "AAAA"}]}
        (door.directory / "jwks.json").write_text(json.dumps(broken))
        log = door.directory / "front-door.log"
        await eventually(lambda: "stay in force" in log.read_text(), within=5)
        assert _accepted(door, door.issuer.token())

    async def test_a_private_key_among_them_is_not_published(self, door: Edge):
        leaked = {"keys": [{**door.issuer.jwk, "d": "c2VjcmV0"}]}
        (door.directory / "jwks.json").write_text(json.dumps(leaked))
        log = door.directory / "front-door.log"
        await eventually(lambda: "private" in log.read_text(), within=5)
        assert "c2VjcmV0" not in log.read_text()
        assert not any("c2VjcmV0" in path.read_text() for path in (door.directory / "envoy").glob("*.json"))


class TestCertificates:
    async def test_callers_are_met_with_tls_and_a_renewed_certificate_is_used(self, tmp_path: Path):
        authority = Authority(tmp_path)
        pem = authority.issue("front-door")
        with edge(tmp_path, tls_cert=pem.cert, tls_key=pem.key) as door:
            trusted = grpc.ssl_channel_credentials(authority.ca.read_bytes())
            first = _presented(door)
            with _secure(door, trusted) as channel:
                call = channel.unary_unary(GET_MODEL)
                call(b"", metadata=metadata(door.issuer.token()), timeout=10)
                authority.issue("front-door")
                await eventually(lambda: _presented(door) != first, within=10, every=0.1)
                call(b"", metadata=metadata(door.issuer.token()), timeout=10)  # the old connection goes on
            with _secure(door, trusted) as channel:
                channel.unary_unary(GET_MODEL)(b"", metadata=metadata(door.issuer.token()), timeout=10)
            foreign = Authority(tmp_path, "foreign").ca.read_bytes()
            with _secure(door, grpc.ssl_channel_credentials(foreign)) as channel, pytest.raises(grpc.RpcError):
                channel.unary_unary(GET_MODEL)(b"", metadata=metadata(door.issuer.token()), timeout=3)

    def test_callers_must_show_a_certificate_when_authorities_are_named(self, tmp_path: Path):
        authority = Authority(tmp_path)
        pem, caller = authority.issue("front-door"), authority.issue("caller")
        with edge(tmp_path, tls_cert=pem.cert, tls_key=pem.key, tls_ca=authority.ca) as door:
            token, ca = metadata(door.issuer.token()), authority.ca.read_bytes()
            known = grpc.ssl_channel_credentials(ca, caller.key.read_bytes(), caller.cert.read_bytes())
            with _secure(door, known) as channel:
                channel.unary_unary(GET_MODEL)(b"", metadata=token, timeout=10)
            with _secure(door, grpc.ssl_channel_credentials(ca)) as channel, pytest.raises(grpc.RpcError):
                channel.unary_unary(GET_MODEL)(b"", metadata=token, timeout=3)

    async def test_services_are_spoken_to_with_tls_and_believed_only_by_their_authority(self, tmp_path: Path):
        authority = Authority(tmp_path)
        service, ours = authority.issue("service"), authority.issue("front-door")
        told = {"upstream_tls_cert": ours.cert, "upstream_tls_key": ours.key}
        with upstreams(service) as behind:
            issuer = Issuer()
            write_jwks(tmp_path, issuer)
            write_denied(tmp_path)
            with launched(tmp_path, behind, issuer, {**told, "upstream_tls_ca": authority.ca}) as door:
                door.call(GET_MODEL, issuer.token())
                assert door.http("POST", "/v1/predict", issuer.token(), json={}).status_code == 200
            foreign = Authority(tmp_path, "foreign").ca
            with launched(tmp_path, behind, issuer, {**told, "upstream_tls_ca": foreign}, healthy=False) as door:
                assert door.refused(GET_MODEL, issuer.token()).reason == "SERVICE_UNAVAILABLE"


class TestStopping:
    async def test_a_call_in_flight_is_answered_when_it_is_told_to_stop(self, door: Edge):
        entered, release = threading.Event(), threading.Event()

        def slow(_requests: Iterable[bytes], _context: grpc.ServicerContext) -> Iterable[bytes]:
            entered.set()
            release.wait(10)
            yield b"done"

        door.behind.router_data.answers[PREDICT] = slow
        with door.channel() as channel:
            call = channel.unary_unary(PREDICT).future(b"", metadata=metadata(door.issuer.token()), timeout=9)
            assert entered.wait(5)
            envoy = psutil.Process(door.process.pid).children()
            door.process.send_signal(signal.SIGTERM)
            await eventually(lambda: not _listens(door), within=10, every=0.05)
            release.set()
            assert call.result(timeout=9) == b"done"
        assert door.process.wait(timeout=10) == 0
        assert not any(process.is_running() for process in envoy)

    def test_it_does_not_wait_longer_than_the_grace_period(self, tmp_path: Path):
        with edge(tmp_path, grace_s=1) as door, _stream(door, door.issuer.token()):
            before = time.monotonic()
            assert door.stop() == 0
            assert time.monotonic() - before < 8

    async def test_health_fails_before_connections_are_sent_away(self, tmp_path: Path):
        with edge(tmp_path, drain_notice_s=3) as door:
            door.process.send_signal(signal.SIGTERM)
            await eventually(lambda: door.http("GET", "/healthz").status_code == 503, within=3, every=0.05)
            door.call(GET_MODEL, door.issuer.token())
            assert door.process.wait(timeout=20) == 0

    def test_envoy_does_not_outlive_a_launcher_that_is_killed(self, door: Edge):
        (envoy,) = psutil.Process(door.process.pid).children()
        door.process.kill()
        door.process.wait()
        envoy.wait(timeout=5)
        assert not _listens(door)

    async def test_an_envoy_that_crashes_is_started_again(self, door: Edge):
        # One that crashes before is its supervisor's to start again.
        await eventually(
            lambda: "Envoy ready" in (door.directory / "front-door.log").read_text(), within=10, every=0.05
        )
        (envoy,) = psutil.Process(door.process.pid).children()
        envoy.kill()
        await eventually(lambda: not envoy.is_running() and _listens(door), within=10, every=0.05)
        door.call(GET_MODEL, door.issuer.token())
        assert door.stop() == 0

    def test_two_front_doors_run_side_by_side(self, door: Edge, tmp_path: Path):
        other_directory = tmp_path / "other"
        other_directory.mkdir()
        with edge(other_directory) as other:
            door.call(GET_MODEL, door.issuer.token())
            other.call(GET_MODEL, other.issuer.token())
            assert door.refused(GET_MODEL, other.issuer.token()).reason == "TOKEN_INVALID"


class TestStarting:
    def test_a_port_that_is_taken_ends_the_start_with_its_number(self, tmp_path: Path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(AssertionError, match="front door ended") as caught, edge(tmp_path, port=port):
                raise AssertionError("it started")
        assert str(port) in str(caught.value)

    @pytest.mark.parametrize(
        ("told", "named"),
        [
            ({"registry": "nowhere"}, "FRONT_DOOR_REGISTRY"),
            ({"jwks_file": "/nowhere/jwks.json"}, "/nowhere/jwks.json"),
            ({"prot": "1"}, "FRONT_DOOR_PORT"),
        ],
    )
    def test_a_setting_that_cannot_be_used_is_named(self, tmp_path: Path, told: dict, named: str):
        with pytest.raises(AssertionError, match=named), edge(tmp_path, **told):
            raise AssertionError("it started")


class _Watch:
    """A watch that is open and sends when it is told to."""

    def __init__(self, door: Edge, channel: grpc.Channel, token: str) -> None:
        self._go = threading.Semaphore(0)
        self._over = threading.Event()
        door.behind.registry.answers[WATCH_MODELS] = self._answer
        self._answers = channel.unary_stream(WATCH_MODELS)(b"", metadata=metadata(token))
        assert next(self._answers) == b"first"

    def _answer(self, _requests: Iterable[bytes], _context: grpc.ServicerContext) -> Iterable[bytes]:
        yield b"first"
        while True:
            self._go.acquire(timeout=30)
            if self._over.is_set():
                return
            yield b"next"

    def send_next(self) -> bytes:
        self._go.release()
        return next(self._answers)

    def end(self) -> None:
        self._over.set()
        self._go.release()
        self._answers.cancel()


@contextlib.contextmanager
def _stream(door: Edge, token: str) -> Iterator[_Watch]:
    with door.channel() as channel:
        watch = _Watch(door, channel, token)
        try:
            yield watch
        finally:
            watch.end()


def _refusal(call: grpc.UnaryUnaryMultiCallable, token: str):
    try:
        call(b"", metadata=metadata(token), timeout=5)
    except grpc.RpcError as error:
        return grpc_refusal(error)
    return None


def _is_refused(door: Edge, token: str) -> bool:
    with door.channel() as channel:
        return _refusal(channel.unary_unary(PREDICT), token) is not None


def _accepted(door: Edge, token: str) -> bool:
    return not _is_refused(door, token)


def _secure(door: Edge, credentials: grpc.ChannelCredentials) -> grpc.Channel:
    return grpc.secure_channel(door.address, credentials, [("grpc.use_local_subchannel_pool", 1)])


def _presented(door: Edge) -> str:
    host, _, port = door.address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)))


def _listens(door: Edge) -> bool:
    try:
        get(f"http://{door.address}/healthz")
    except ConnectionError:
        return False
    except OSError as error:
        return not isinstance(getattr(error, "reason", None), ConnectionError)
    return True
