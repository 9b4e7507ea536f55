"""What changes while the front door runs: denied clients, keys, certificates."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import grpc_refusal, rest_refusal
from tests.kit.front_door.edge import GET_MODEL, PREDICT, Edge, edge, launched, metadata
from tests.kit.front_door.long_watch import watching
from tests.kit.front_door.upstreams import upstreams
from tests.kit.identity.issuer import Issuer, write_denied, write_jwks
from tests.kit.wire.certificates import Authority


@pytest.fixture
async def door(door: Edge) -> AsyncIterator[Edge]:
    """The front door of these tests, whose keys and denied clients are afterwards what they were."""
    yield door
    write_denied(door.directory)
    write_jwks(door.directory, door.issuer)
    await eventually(lambda: _accepted(door, door.issuer.token(sub="afterwards")), within=5, every=0.05)


class TestDeniedClients:
    async def test_a_denial_holds_within_5_s_and_disturbs_nobody_else(self, door: Edge):
        bob, alice = door.issuer.token(sub="bob"), door.issuer.token(sub="alice")
        before = _disturbed(door)
        with watching(door, alice) as watch, door.channel() as kept:
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
        assert _disturbed(door) == before
        response = door.http("POST", "/v1/predict", bob, json={})
        assert response.status_code == 403
        assert rest_refusal(response).reason == "CLIENT_DENIED"

    async def test_a_client_that_is_no_longer_denied_may_call_again(self, door: Edge):
        bob = door.issuer.token(sub="bob again")
        write_denied(door.directory, "bob again", "eve")
        await eventually(lambda: _is_refused(door, bob), within=5, every=0.05)
        write_denied(door.directory, "eve")
        await eventually(lambda: not _is_refused(door, bob), within=5, every=0.05)
        assert _is_refused(door, door.issuer.token(sub="eve"))

    async def test_a_file_that_cannot_be_read_leaves_the_list_in_force(self, door: Edge):
        mallory = door.issuer.token(sub="mallory")
        write_denied(door.directory, "mallory")
        await eventually(lambda: _is_refused(door, mallory), within=5, every=0.05)
        said = _log(door)
        (door.directory / "deny.json").write_text('{"subjects": ["mal')
        await eventually(lambda: "stay in force" in _log(door).removeprefix(said), within=5)
        assert _is_refused(door, mallory)
        assert "deny.json" in _log(door).removeprefix(said)


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
        broken, said = {"keys": [{**door.issuer.jwk, "x": "AAAA"}]}, _log(door)
        (door.directory / "jwks.json").write_text(json.dumps(broken))
        await eventually(lambda: "stay in force" in _log(door).removeprefix(said), within=5)
        assert _accepted(door, door.issuer.token())

    async def test_a_private_key_among_them_is_not_published(self, door: Edge):
        leaked = {"keys": [{**door.issuer.jwk, "d": "c2VjcmV0"}]}
        (door.directory / "jwks.json").write_text(json.dumps(leaked))
        await eventually(lambda: "private" in _log(door), within=5)
        assert "c2VjcmV0" not in _log(door)
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


def _log(door: Edge) -> str:
    return (door.directory / "front-door.log").read_text()


def _disturbed(door: Edge) -> list[int]:
    """Return how many connections were ended with calls in flight, and how often listeners were changed."""
    names = ("http.front.downstream_cx_destroy_remote_active_rq", "listener_manager.listener_modified")
    return [door.stat(name) for name in names]


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
