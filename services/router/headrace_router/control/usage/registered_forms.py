"""The smaller forms of versions that the registry knows."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterator
from typing import Any

import grpc
import grpc.aio
import structlog
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc

from headrace_router.control.usage.decisions.smaller_forms import Form

log = structlog.get_logger()

ASK_S = 2.0
# Models whose versions are looked through, of each the newest.
MAX_MODELS, MAX_VERSIONS = 50, 50
AT_A_TIME = 8

_Version = registry_pb2.ModelVersion


class RegisteredForms:
    """What `headrace models optimise` has registered. channel: to the registry."""

    def __init__(self, channel: Any) -> None:
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)

    async def of(self, models: Collection[str]) -> tuple[list[Form], bool]:
        """Return the forms of models that can be promoted, and whether the registry answered for each model."""
        turns = asyncio.Semaphore(AT_A_TIME)

        async def ask(model: str) -> list[Form] | None:
            async with turns:
                return await self._of(model)

        found = await asyncio.gather(*map(ask, list(models)[:MAX_MODELS]))
        return [form for forms in found for form in forms or ()], None not in found

    async def _of(self, model: str) -> list[Form] | None:
        request = registry_pb2.ListModelVersionsRequest(parent=f"models/{model}", page_size=MAX_VERSIONS)
        try:
            answer = await self._stub.ListModelVersions(request, timeout=ASK_S)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                return []  # it was deleted since
            log.warning("no smaller forms of a model known", model=model, code=error.code().name)
            return None
        return list(forms_of(model, answer.versions))


def forms_of(model: str, versions: Collection[registry_pb2.ModelVersion]) -> Iterator[Form]:
    """Yield the versions that the optimiser made of others and that do not serve, nor had their time."""
    for one in versions:
        original, made_by = one.parameters.get("optimised_from", ""), one.parameters.get("optimised_by", "")
        speedup = next((metric.value for metric in one.metrics if metric.name == "optimised_speedup"), 0.0)
        waits = one.stage in (_Version.STAGE_REGISTERED, _Version.STAGE_STAGING) and not one.HasField("collect_time")
        if original and original == one.lineage.parent_version and waits and math.isfinite(speedup) and speedup > 1.0:
            on_cpu = one.serving.device == registry_pb2.ServingSettings.DEVICE_CPU
            yield Form(model, one.name.rsplit("/", 1)[-1], original, made_by, speedup, on_cpu)
