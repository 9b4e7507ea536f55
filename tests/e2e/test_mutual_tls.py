"""The wheel stack with TLS and certificates on both sides of every call between services, and towards callers."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_client import AsyncClient
from headrace_client.issuer import DevelopmentIssuer
from headrace_servicekit.testing import eventually
from headrace_stack.description import own
from headrace_stack.testing import held_stack

from tests.kit.console.link_page import follow
from tests.kit.deployment import topology
from tests.kit.models import onnx_models
from tests.kit.stack.operator import METRICS
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests
from tests.kit.wire.certificates import Authority, Pem

# A stack of its own.
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SERVICES = [prefix.rstrip("_") for prefix in topology.prefixes() if prefix != "FRONT_DOOR_"]
ANSWERING_RPCS = [one for one in own(topology.services()) if not one.pages]
LISTENING = [(one.name, one.offset("grpc" if "grpc" in one.ports else "data")) for one in ANSWERING_RPCS]
ROW = {"features": np.zeros((1, 4), np.float32)}


@dataclass(frozen=True, slots=True)
class Secured:
    """A stack, the authority inside, what its services show, and what the front door shows to callers."""

    stack: RunningStack
    inside: Authority
    shown: Pem
    outside: Authority
    door: Pem


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("certificates")
    inside, outside = Authority(folder, "inside"), Authority(folder, "outside")
    shown, door = inside.issue("service", hosts=["service.inside"]), outside.issue("door")
    told = {f"{service}_TLS_{what}": str(path) for service in SERVICES for what, path in _mutual(inside, shown)}
    told |= {f"{service}_TLS_INTERNAL": "service.inside" for service in SERVICES}
    # Its certificate makes no call internal.
    told |= {f"FRONT_DOOR_UPSTREAM_TLS_{what}": str(path) for what, path in _mutual(inside, inside.issue("forwarder"))}
    told |= {"CONSOLE_FRONT_DOOR_CA": str(outside.ca)}
    told |= {"FRONT_DOOR_TLS_CERT": str(door.cert), "FRONT_DOOR_TLS_KEY": str(door.key)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        with held_stack(home_for_tests(f"secured-{os.getpid()}")) as settings:
            yield Secured(RunningStack(settings), inside, shown, outside, door)


def _mutual(authority: Authority, shown: Pem) -> list[tuple[str, Path]]:
    return [("CA", authority.ca), ("CERT", shown.cert), ("KEY", shown.key)]


async def test_a_model_is_registered_promoted_and_answers(secured: Secured, tmp_path: Path):
    stack = secured.stack
    path = tmp_path / "v1.onnx"
    path.write_bytes(onnx_models.linear().content)
    address = f"https://{stack.address}"
    async with AsyncClient(address, token=stack.token(), ca=secured.outside.ca) as client:
        await client.versions.register("secured", "v1", path, contract=onnx_models.linear().contract, metrics=METRICS)
        promoted = await client.models.promote("secured", "v1")
        await client.routes.await_epoch("secured", promoted.model.epoch, timeout=90)
        answer = await client.predict("secured", ROW, timeout=10)
    assert (answer.version, answer.served_from) == ("v1", "online")
    # Health of every service, which the control plane asks for by the same certificates.
    credentials = grpc.ssl_channel_credentials(secured.outside.ca.read_bytes())
    with grpc.secure_channel(stack.address, credentials) as channel:
        offered = [api for service in own(topology.services()) for api in service.offers]
        for service in filter(lambda api: api.startswith("headrace."), offered):
            request = health_pb2.HealthCheckRequest(service=service)
            stub: Any = health_pb2_grpc.HealthStub(channel)
            reply = stub.Check(request, timeout=10)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(("name", "offset"), LISTENING, ids=[name for name, _ in LISTENING])
def test_nobody_without_a_certificate_of_the_authority_reaches_a_service(secured: Secured, name: str, offset: int):
    address = secured.stack.settings.ports.at(offset, name).address
    assert _health(address, secured.inside.ca, secured.shown) == "SERVING"
    assert _health(address, secured.inside.ca, None) == "UNAVAILABLE"
    assert _health(address, secured.inside.ca, secured.door) == "UNAVAILABLE"


async def test_the_console_shows_itself_to_the_front_door_alone_and_calls_it_by_its_certificate(secured: Secured):
    console = topology.services()["console"]
    own_port = secured.stack.settings.ports.at(console.offset(console.entry), "console").address
    anybody = ssl.create_default_context(cafile=str(secured.inside.ca))
    async with httpx.AsyncClient(verify=anybody) as stranger:
        with pytest.raises(httpx.TransportError):
            await stranger.get(f"https://{own_port}/readyz")
    issuer = DevelopmentIssuer(secured.stack.settings.identity)
    link = issuer.console_link(subject="ada", now=datetime.now(UTC))
    context = ssl.create_default_context(cafile=str(secured.outside.ca))
    async with httpx.AsyncClient(base_url=f"https://{secured.stack.address}", verify=context) as person:
        signed_in = await follow(person, f"/console/sign-in/link?link={link}")
        assert signed_in.status_code == 303, signed_in.text
        page = await person.get("/console/")
    assert page.status_code == 200
    # Who came by https stays there: the cookie, where it leads, and what browsers are told.
    (cookie,) = (one for one in signed_in.headers.get_list("set-cookie") if one.startswith("headrace_session="))
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/console"} <= flags
    assert signed_in.headers["location"] == "/console/"
    assert "max-age=" in signed_in.headers["strict-transport-security"]
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "The registry" not in page.text  # it would be a line that says why there is none


async def test_what_is_asked_about_models_goes_over_the_data_planes_rest_port(secured: Secured):
    context = ssl.create_default_context(cafile=str(secured.outside.ca))
    bearer = {"authorization": f"Bearer {secured.stack.token()}"}
    async with httpx.AsyncClient(base_url=f"https://{secured.stack.address}", verify=context, headers=bearer) as caller:
        assert (await caller.get("/v2/health/ready")).status_code == 200
        told = await caller.get("/v2/models/secured")
    assert told.status_code == 200, told.text
    assert [one["name"] for one in told.json()["inputs"]] == ["features"]


async def test_a_renewed_certificate_is_shown_to_callers_without_a_restart(secured: Secured):
    before = _serial(secured)
    secured.outside.issue("door")  # by rename
    await eventually(lambda: _serial(secured) != before, within=10, every=0.2)
    context = ssl.create_default_context(cafile=str(secured.outside.ca))
    async with httpx.AsyncClient(verify=context) as caller:
        assert (await caller.get(f"https://{secured.stack.address}/healthz")).status_code == 200


def _health(address: str, ca: Path, shown: Pem | None) -> str:
    credentials = grpc.ssl_channel_credentials(
        ca.read_bytes(),
        None if shown is None else shown.key.read_bytes(),
        None if shown is None else shown.cert.read_bytes(),
    )
    with grpc.secure_channel(address, credentials) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
            return code.name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)


def _serial(secured: Secured) -> str:
    host, _, port = secured.stack.address.partition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=5)
