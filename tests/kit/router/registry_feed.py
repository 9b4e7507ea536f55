"""The part of a registry that the control plane follows, in a test's hand: models, epochs, restarts, restores."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.server import server_options

SIGNATURE = "s" * 64


@dataclass
class FedModel:
    """One model as the feed tells it. versions: digest by id. unlike: signature hash and shape of the output by id,
    where they are not those of every other version. earlier: versions that rollbacks lead to. bound: on the share of
    versions that are not promoted."""

    epoch: int = 0
    production: str = ""
    aliases: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    unlike: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    earlier: tuple[str, ...] = ()
    bound: float = 1.0


class RegistryFeed(registry_pb2_grpc.RegistryServiceServicer, health_pb2_grpc.HealthServicer):
    """Serves WatchModels, GetModel and health on a real port. Its state outlives `stop`, as a store does.

    serving: what health answers. watches: resume tokens of the watches begun.
    """

    def __init__(self) -> None:
        self.incarnation = "registry-1"
        self.models: dict[str, FedModel] = {}
        self.serving = True
        self.watches: list[str] = []
        self.target = ""
        self._log: list[str] = []
        self._bell = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls) -> AsyncIterator[Self]:
        """Serve on a free port of 127.0.0.1 until the block ends."""
        feed = cls()
        await feed.start()
        try:
            yield feed
        finally:
            await feed.stop()

    async def start(self) -> None:
        """Serve, on the same port as before if there was one."""
        self._server = grpc.aio.server(options=server_options(max_message_bytes=16 * 1024 * 1024))
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(self.target or "127.0.0.1:0")
        self.target = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        """Die: every call ends at once."""
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    def put(
        self,
        model: str,
        *versions: str,
        production: str | None = None,
        aliases: Mapping[str, str] | None = None,
        signature: str = SIGNATURE,
        output_shape: tuple[int, ...] = (1,),
        bound: float | None = None,
    ) -> int:
        """Add versions, promote, point aliases, bound unpromoted versions: one change. Returns the epoch that it made.

        signature, output_shape: of the versions that it adds.
        """
        known = self.models.setdefault(model, FedModel())
        for version in versions:
            known.versions[version] = digest_of(model, version)
            known.unlike[version] = (signature, output_shape)
        if production is not None:
            if known.production not in ("", production):
                known.earlier = (known.production, *known.earlier)
            known.production = production
        if bound is not None:
            known.bound = bound
        if aliases is not None:
            known.aliases = dict(aliases)
        known.epoch += 1
        self._tell(model)
        return known.epoch

    def remove(self, model: str) -> None:
        """Delete a model."""
        del self.models[model]
        self._tell(model)

    def restore(self, models: dict[str, FedModel]) -> None:
        """Be a registry restored from a backup; call it while stopped."""
        self.incarnation += "-restored"
        self.models, self._log = models, []

    async def GetModel(self, request, context):
        name = request.name.removeprefix("models/")
        if name not in self.models:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"model '{name}' not found")
        return registry_pb2.GetModelResponse(model=self._message(name).model)

    async def HoldVersion(self, request, context):
        return registry_pb2.HoldVersionResponse()

    async def ReleaseHold(self, request, context):
        return registry_pb2.ReleaseHoldResponse()

    async def ListHolds(self, request, context):
        return registry_pb2.ListHoldsResponse()

    async def WatchModels(self, request, context):
        self.watches.append(request.resume_token)
        incarnation, _, position = request.resume_token.rpartition(":")
        await context.send_initial_metadata(())
        at = len(self._log)
        if incarnation == self.incarnation:
            at = int(position)
        else:
            for model in list(self.models):
                yield self._message(model)
            yield registry_pb2.WatchModelsResponse(
                snapshot_complete=True, resume_token=f"{self.incarnation}:{at}", incarnation=self.incarnation
            )
        while True:
            bell = self._bell
            while at < len(self._log):
                at += 1
                message = self._message(self._log[at - 1])
                message.resume_token = f"{self.incarnation}:{at}"
                yield message
            await bell.wait()

    async def Check(self, request, context):
        return health_pb2.HealthCheckResponse(
            status=health_pb2.HealthCheckResponse.SERVING
            if self.serving
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )

    async def Watch(self, request, context):
        yield await self.Check(request, context)
        await asyncio.Event().wait()

    def _tell(self, model: str) -> None:
        self._log.append(model)
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    def _message(self, name: str) -> registry_pb2.WatchModelsResponse:
        known = self.models.get(name)
        message = registry_pb2.WatchModelsResponse(
            model=registry_pb2.Model(name=f"models/{name}"), removed=known is None, incarnation=self.incarnation
        )
        if known is None:
            return message
        message.model.epoch, message.model.production_version = known.epoch, known.production
        message.model.aliases.update(known.aliases)
        message.model.max_unpromoted_share = known.bound
        message.model.rollback_versions.extend(known.earlier)
        for version, digest in known.versions.items():
            signature, output_shape = known.unlike.get(version, (SIGNATURE, (1,)))
            message.versions.add(
                name=f"models/{name}/versions/{version}",
                digest=digest,
                signature_hash=signature,
                contract=tensor_pb2.ServingContract(
                    inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP32", shape=[4])],
                    outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP32", shape=output_shape)],
                ),
            )
        return message


def digest_of(model: str, version: str) -> str:
    """Return the digest that the feed gives a version."""
    return sha256(f"{model}/{version}".encode()).hexdigest()
