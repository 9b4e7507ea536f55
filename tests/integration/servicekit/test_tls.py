"""TLS and mutual TLS by settings, with a throw-away authority."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace_servicekit import error_details
from headrace_servicekit.client import channel
from headrace_servicekit.identity import INTERNAL, Identity, identity
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.server import Server
from headrace_servicekit.settings import ServiceSettings
from headrace_servicekit.testing import running
from headrace_servicekit.tls import Tls

from tests.kit.servicekit.toy import SERVICE, Note, ToyStub, echoing, handlers
from tests.kit.servicekit.toy_server import toy
from tests.kit.wire.certificates import Authority, Pem

pytestmark = pytest.mark.usefixtures("each_server")


async def _answers(target: str, tls: Tls | None) -> bool:
    async with channel(target, tls=tls) as opened:
        try:
            return bool(await ToyStub(opened).call("Answer", Note(), timeout=5))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return False
            raise


async def test_a_service_with_tls_settings_answers_to_tls_only(tmp_path: Path):
    authority = Authority(tmp_path)
    pem = authority.issue("server")

    async def start(runtime: Runtime[ServiceSettings]) -> None:
        runtime.server(access_log=False).add_registered_method_handlers(SERVICE, echoing())

    settings = ServiceSettings(tls_cert=pem.cert, tls_key=pem.key, drain_notice_s=0)
    async with running("toy", settings, start) as runtime:
        target = runtime.servers[0].address
        assert await _answers(target, Tls(ca=authority.ca))
        assert not await _answers(target, None)
        assert not await _answers(target, Tls(ca=Authority(tmp_path, "foreign").ca))


async def test_a_service_without_tls_settings_answers_in_the_clear():
    async with toy(echoing()) as open_toy:
        assert await _answers(open_toy.server.address, None)


async def test_mutual_tls_takes_only_callers_of_the_authority(tmp_path: Path):
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    pem, friend, stranger, expired = (
        authority.issue("server"),
        authority.issue("friend"),
        foreign.issue("stranger"),
        authority.issue("expired", days=-1),
    )
    async with toy(echoing(), tls=Tls(pem.cert, pem.key, authority.ca)) as running_toy:
        target = running_toy.server.address
        assert await _answers(target, Tls(friend.cert, friend.key, authority.ca))
        assert not await _answers(target, Tls(ca=authority.ca))
        assert not await _answers(target, Tls(stranger.cert, stranger.key, authority.ca))
        assert not await _answers(target, Tls(expired.cert, expired.key, authority.ca))


async def test_where_services_are_named_no_other_certificate_makes_a_call_internal(tmp_path: Path):
    authority = Authority(tmp_path)
    pem = authority.issue("server")
    service, door = (
        authority.issue("service", hosts=["batcher", "monitor"]),
        authority.issue("door", hosts=["front-door"]),
    )
    named = Tls(pem.cert, pem.key, authority.ca, frozenset({"registry", "monitor"}))
    forwarded = (("x-headrace-edge", "1"), ("x-headrace-client", "ann"), ("x-headrace-models", "*"))
    seen: list[Identity] = []

    async def answer(request: Any, _context: Any) -> Any:
        seen.append(identity())
        return request

    async def call(shown: Pem, headers: Any = ()) -> str:
        async with channel(running_toy.server.address, tls=Tls(shown.cert, shown.key, authority.ca)) as opened:
            try:
                await ToyStub(opened).call("Answer", Note(), timeout=5, metadata=headers)
            except grpc.aio.AioRpcError as error:
                return error_details.from_rpc_error(error).reason
            return ""

    async with toy(handlers(Answer=answer), tls=named) as running_toy:
        assert await call(service) == ""
        # The front door's certificate vouches for nobody; what it says of a call's client does.
        assert await call(door, forwarded) == ""
        for headers in ((), forwarded[1:], forwarded[:1]):
            assert await call(door, headers) == "IDENTITY_MISSING"
    assert seen == [INTERNAL, Identity("ann")]


def _presented(server: Server) -> str:
    return ssl.get_server_certificate(("127.0.0.1", server.port))


async def _presents(server: Server, cert: Path) -> bool:
    return await asyncio.to_thread(lambda: _presented(server).strip() == cert.read_text().strip())


async def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path):
    authority = Authority(tmp_path)
    pem = authority.issue("server")
    async with toy(echoing(), tls=Tls(pem.cert, pem.key)) as running_toy:
        assert await _presents(running_toy.server, pem.cert)
        before = pem.cert.read_text()
        authority.issue("server")
        assert pem.cert.read_text() != before
        assert await _presents(running_toy.server, pem.cert)
        assert await _answers(running_toy.server.address, Tls(ca=authority.ca))


async def test_a_vanished_certificate_keeps_the_one_that_is_loaded(tmp_path: Path):
    authority = Authority(tmp_path)
    pem = authority.issue("server")
    async with toy(echoing(), tls=Tls(pem.cert, pem.key)) as running_toy:
        pem.cert.rename(tmp_path / "moved")
        assert await _answers(running_toy.server.address, Tls(ca=authority.ca))


async def test_a_certificate_that_cannot_be_read_is_told_at_the_start(tmp_path: Path):
    with pytest.raises(OSError, match=r"nothing\.crt"):
        Server(tls=Tls(tmp_path / "nothing.crt", tmp_path / "nothing.key"))
