"""Serving contracts of versions, read from the registry once and cached."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound, Unavailable

from headrace_monitor.record.log.columns import Column, feature_columns, output_columns

ASK_S = 2.0
RETRY_AFTER_S = 1.0
KEPT = 512
# A version may be asked for before it is registered, by a batch that outran a restore of the registry.
UNKNOWN_FOR_S = 3.0


@dataclass(frozen=True, slots=True)
class VersionContract:
    """The contract of a version. features, outputs: its columns, without those that must never be stored.

    message: the version as the registry returns it, with its artifacts.
    """

    model: str
    version: str
    message: registry_pb2.ModelVersion
    features: tuple[Column, ...]
    outputs: tuple[Column, ...]

    @property
    def contract(self) -> tensor_pb2.ServingContract:
        """Return the serving contract."""
        return self.message.contract

    @property
    def digest(self) -> str:
        """Return the identity of what is served."""
        return self.message.digest


class ContractSource(Protocol):
    """Where contracts come from."""

    async def get(self, model: str, version: str) -> VersionContract | None:
        """Return the contract of a version; None when there is no such version. Raises Unavailable."""
        ...


class Contracts:
    """Contracts from the registry. A version never changes, so contracts are cached until others need the room."""

    def __init__(self, channel: Any, clock: Clock) -> None:
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[VersionContract | None, float]] = OrderedDict()

    async def get(self, model: str, version: str) -> VersionContract | None:
        """Return what a version promises; None when the registry knows no such version.

        Raises Unavailable while the registry does not answer.
        """
        key = (model, version)
        found, until = self._kept.get(key, (None, 0.0))
        if found is None and until <= self._clock.monotonic():
            found = await self._ask(model, version)
            self._kept[key] = (found, self._clock.monotonic() + UNKNOWN_FOR_S)
        if key in self._kept:  # another task may have made room while this one asked
            self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    async def _ask(self, model: str, version: str) -> VersionContract | None:
        request = registry_pb2.GetModelVersionRequest(name=f"models/{model}/versions/{version}")
        try:
            answer = await self._stub.GetModelVersion(request, timeout=ASK_S)
        except grpc.aio.AioRpcError as error:
            # The registry refuses what cannot be a name; nothing of it will ever be registered either.
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                return None
            raise Unavailable(
                f"the registry cannot be asked for models/{model}/versions/{version} ({error.code().name})",
                reason="REGISTRY_UNAVAILABLE",
                retry_after_s=RETRY_AFTER_S,
            ) from error
        return version_contract(model, version, answer.version)


def version_contract(model: str, version: str, message: registry_pb2.ModelVersion) -> VersionContract:
    """Return what a version promises, with its columns worked out."""
    contract = message.contract
    return VersionContract(model, version, message, feature_columns(contract), output_columns(contract))


def version_not_found(model: str, version: str) -> NotFound:
    """The error for a version that the registry does not know, or whose model it does not know."""
    return NotFound(
        f"models/{model}/versions/{version} is not registered: there is no such model, or no such version of it",
        reason="VERSION_NOT_FOUND",
    )
