"""Gates and approvals are asked before the first step and after the last one, whatever name a variant has them by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_rollout.registry import Registry
from headrace_servicekit import client
from headrace_servicekit.errors import PreconditionFailed, ServiceError
from headrace_servicekit.testing import free_port

from tests.kit.rollout.rollouts import SHADOW, rollout


class Asked(registry_pb2_grpc.RegistryServiceServicer):
    """A registry that keeps what it is asked. refuses: whether a gate is missed."""

    def __init__(self) -> None:
        self.promotions: list[registry_pb2.PromoteModelVersionRequest] = []
        self.aliases: list[str] = []
        self.refuses = False

    async def GetModel(self, request: registry_pb2.GetModelRequest, context: Any) -> Any:
        model = registry_pb2.Model(name=request.name, production_version="v1", aliases={"champion": "v1"})
        return registry_pb2.GetModelResponse(model=model)

    async def PromoteModelVersion(self, request: registry_pb2.PromoteModelVersionRequest, context: Any) -> Any:
        self.promotions.append(request)
        if self.refuses:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "a gate is missed")
        return registry_pb2.PromoteModelVersionResponse()

    async def SetAlias(self, request: registry_pb2.SetAliasRequest, context: Any) -> Any:
        self.aliases.append(request.version)
        return registry_pb2.SetAliasResponse()


@pytest.fixture
async def asked() -> AsyncIterator[tuple[Asked, Registry]]:
    """What is asked, and who asks it."""
    found, server = Asked(), grpc.aio.server()
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(found, server)
    port = server.add_insecure_port(f"127.0.0.1:{free_port()}")
    await server.start()
    async with client.channel(f"127.0.0.1:{port}") as channel:
        yield found, Registry(channel)
    await server.stop(None)


@pytest.mark.parametrize("reference", ["follow_production", "follow_alias", "version"])
async def test_the_registry_is_asked_before_the_first_step(asked: tuple[Asked, Registry], reference: str):
    found, registry = asked
    await registry.check_promotion(rollout(SHADOW, reference=reference, alias="champion"))
    (request,) = found.promotions
    assert (request.validate_only, request.rollout) == (True, "rollouts/7")
    assert "shadow_*" in request.measured_later
    assert request.allow_incompatible_signature == (reference != "follow_production")
    found.refuses = True
    with pytest.raises(PreconditionFailed):
        await registry.check_promotion(rollout(reference=reference, alias="champion"))


@pytest.mark.parametrize(("reference", "changes"), [("version", []), ("follow_alias", ["v2"])])
async def test_after_the_last_step_nothing_may_be_missing(
    asked: tuple[Asked, Registry], reference: str, changes: list[str]
):
    found, registry = asked
    one = rollout(SHADOW, reference=reference, alias="champion")
    await registry.promote(one)
    (request,) = found.promotions
    assert (request.validate_only, list(request.measured_later)) == (True, [])
    assert found.aliases == changes
    found.refuses = True
    with pytest.raises(ServiceError):
        await registry.promote(one)
    assert found.aliases == changes
