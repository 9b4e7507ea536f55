"""A control plane that a test holds in its hand: serves the tables and demand it is given, keeps what it is told.

async with FakeControl.serving() as control:
    control.put_table(table("digits", [resolved_version("digits", "v1")]))
    ... start a data plane or batcher with control.target ...
    await eventually(lambda: control.acknowledged.get("plane-0") == 1)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import sha256
from typing import Self

import grpc
import grpc.aio
from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import client_limits_pb2, control_pb2, control_pb2_grpc, route_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.buckets import BUCKETS
from headrace_servicekit.coordination.wakeup import Wakeup

INCARNATION = "11111111-1111-4111-8111-111111111111"

Needed = tuple[control_pb2.ResolvedVersion, "control_pb2.WantedVersion.Need"]


class FakeControl(control_pb2_grpc.ControlServiceServicer):
    """Serves ControlService on a real port from what `put_table`, `put_demand` and their like were given.

    acknowledged: newest generation by data plane. reports: last report by batcher process. watching: ids of the data
    planes with an open WatchTables.
    """

    def __init__(self, *, lease_s: float = 5.0) -> None:
        self.incarnation = INCARNATION
        self.lease_s = lease_s
        self.target = ""
        self.acknowledged: dict[str, int] = {}
        self.reports: dict[str, control_pb2.ReportVersionsRequest] = {}
        self.watching: list[str] = []
        self.watching_demand: list[str] = []
        self._generation = 0
        self._models: dict[str, control_pb2.WatchTablesResponse] = {}
        self._demand: dict[str, list[control_pb2.WantedVersion]] = {}
        self._table_watchers: set[asyncio.Queue[control_pb2.WatchTablesResponse | None]] = set()
        self._demand_watchers: dict[asyncio.Queue[control_pb2.WatchDemandResponse | None], str] = {}
        self._client_limits = control_pb2.WatchClientLimitsResponse()
        self._client_limits_changed = Wakeup()

    @classmethod
    @contextlib.asynccontextmanager
    async def serving(cls, *, port: int = 0, lease_s: float = 5.0) -> AsyncIterator[Self]:
        """Serve on a port of 127.0.0.1 (a free one unless told) until the block ends; `target` is its host:port."""
        control = cls(lease_s=lease_s)
        server = grpc.aio.server()
        control_pb2_grpc.add_ControlServiceServicer_to_server(control, server)
        control.target = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
        await server.start()
        try:
            yield control
        finally:
            control.cut()
            await server.stop(grace=None)

    def put_table(self, table: control_pb2.RouteTable) -> int:
        """Put a table in force and send it to every watcher. A table without generation takes the next one."""
        self._generation = max(self._generation, table.generation) if table.generation else self._generation + 1
        sent = control_pb2.RouteTable()
        sent.CopyFrom(table)
        sent.generation = table.generation or self._generation
        self._publish(sent.model, control_pb2.WatchTablesResponse(table=sent))
        return sent.generation

    def put_not_serving(self, model: str) -> None:
        """Make a model exist that nothing serves."""
        self._publish(model, control_pb2.WatchTablesResponse(not_serving_model=model))

    def remove_model(self, model: str) -> None:
        """Make a model no longer exist."""
        self._publish(model, control_pb2.WatchTablesResponse(removed_model=model))
        del self._models[model]

    def put_demand(self, pool: str, wanted: Sequence[Needed]) -> None:
        """Replace the demand on a pool by these versions and needs, the most needed first."""
        self._demand[pool] = [control_pb2.WantedVersion(version=version, need=need) for version, need in wanted]
        for queue, watched in self._demand_watchers.items():
            if watched == pool:
                queue.put_nowait(self._demand_answer(pool))

    def put_rate_limits(self, *limits: client_limits_pb2.RateLimit) -> None:
        """Replace all rate limits."""
        del self._client_limits.rate_limits[:]
        self._client_limits.rate_limits.extend(limits)
        self._limits_changed()

    def put_overruns(self, *overruns: client_limits_pb2.BudgetOverrun) -> None:
        """Replace who is over budget."""
        del self._client_limits.budget_overruns[:]
        self._client_limits.budget_overruns.extend(overruns)
        self._limits_changed()

    def _limits_changed(self) -> None:
        self._client_limits.revision = str(int(self._client_limits.revision or 0) + 1)
        self._client_limits_changed.wake()

    def cut(self) -> None:
        """End every watch with UNAVAILABLE, as a control plane that dies does; new ones are served."""
        for queue in [*self._table_watchers, *self._demand_watchers]:
            queue.put_nowait(None)

    def state_of(self, process: str, digest: str) -> control_pb2.VersionReport.State | None:
        """Return what a batcher process last reported of a version, or None."""
        report = self.reports.get(process)
        states = {one.digest: one.state for one in report.versions} if report else {}
        return states.get(digest)

    async def WatchTables(self, request, context):
        queue: asyncio.Queue[control_pb2.WatchTablesResponse | None] = asyncio.Queue()
        snapshot = [*self._models.values(), control_pb2.WatchTablesResponse(snapshot_complete=True)]
        self._table_watchers.add(queue)
        self.watching.append(request.data_plane)
        try:
            for message in snapshot:
                yield self._stamped(message)
            while (message := await queue.get()) is not None:
                yield message
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
        finally:
            self._table_watchers.discard(queue)
            self.watching.remove(request.data_plane)

    async def AcknowledgeGenerations(self, request, context):
        if request.incarnation == self.incarnation:
            known = self.acknowledged.get(request.data_plane, 0)
            self.acknowledged[request.data_plane] = max(known, request.generation)
        return control_pb2.AcknowledgeGenerationsResponse()

    async def WatchDemand(self, request, context):
        queue: asyncio.Queue[control_pb2.WatchDemandResponse | None] = asyncio.Queue()
        self._demand_watchers[queue] = request.pool
        self.watching_demand.append(request.pool)
        try:
            yield self._demand_answer(request.pool)
            while (message := await queue.get()) is not None:
                yield message
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
        finally:
            del self._demand_watchers[queue]
            self.watching_demand.remove(request.pool)

    async def WatchClientLimits(self, request, context):
        known = request.revision
        while True:
            changes = self._client_limits_changed.count
            if self._client_limits.revision not in ("", known):
                known = self._client_limits.revision
                yield self._client_limits
            await self._client_limits_changed.after(changes)

    async def ReportVersions(self, request, context):
        self.reports[request.process] = request
        answer = control_pb2.ReportVersionsResponse()
        answer.lease_expire_time.GetCurrentTime()
        answer.lease_expire_time.FromMicroseconds(
            answer.lease_expire_time.ToMicroseconds() + int(self.lease_s * 1_000_000)
        )
        return answer

    def _publish(self, model: str, message: control_pb2.WatchTablesResponse) -> None:
        self._models[model] = message
        for queue in self._table_watchers:
            queue.put_nowait(self._stamped(message))

    def _stamped(self, message: control_pb2.WatchTablesResponse) -> control_pb2.WatchTablesResponse:
        stamped = control_pb2.WatchTablesResponse()
        stamped.CopyFrom(message)
        stamped.incarnation, stamped.newest_generation = self.incarnation, self._generation
        return stamped

    def _demand_answer(self, pool: str) -> control_pb2.WatchDemandResponse:
        return control_pb2.WatchDemandResponse(versions=self._demand.get(pool, ()), incarnation=self.incarnation)


def resolved_version(
    model: str,
    version: str,
    *,
    inputs: Sequence[tensor_pb2.TensorSpec] = (),
    outputs: Sequence[tensor_pb2.TensorSpec] = (),
    artifacts: Sequence[registry_pb2.Artifact] = (),
) -> control_pb2.ResolvedVersion:
    """Return a version with default serving settings: FP32 `x` of four columns to FP32 `y` of one, unless told."""
    contract = tensor_pb2.ServingContract(
        inputs=inputs or [tensor_pb2.TensorSpec(name="x", datatype="FP32", shape=[4])],
        outputs=outputs or [tensor_pb2.TensorSpec(name="y", datatype="FP32", shape=[1])],
    )
    shapes = [(spec.name, spec.datatype, tuple(spec.shape)) for spec in [*contract.inputs, *contract.outputs]]
    return control_pb2.ResolvedVersion(
        model=model,
        version=version,
        digest=sha256(f"{model}/{version}".encode()).hexdigest(),
        contract=contract,
        signature_hash=sha256(repr(shapes).encode()).hexdigest(),
        serving=registry_pb2.ServingSettings(
            max_batch_rows=32,
            preferred_batch_rows=[8, 16, 32],
            max_wait=duration_pb2.Duration(nanos=5_000_000),
            instances=1,
        ),
        artifacts=artifacts,
    )


def lookup(*, mode: str = "HYBRID", key: str = "INPUTS", cache_large_inputs: bool = False, **seconds: float):
    """Return how a route looks answers up. seconds: of the durations of `Lookup`, by name."""
    durations = {
        name: duration_pb2.Duration(nanos=int(value * 1e9) % 10**9, seconds=int(value))
        for name, value in seconds.items()
    }
    return route_pb2.Lookup(mode=f"MODE_{mode}", key=f"KEY_{key}", cache_large_inputs=cache_large_inputs, **durations)  # type: ignore[arg-type]


def table(
    model: str,
    versions: Sequence[control_pb2.ResolvedVersion],
    *,
    shares: Mapping[str, float] | None = None,
    pool: str = "default",
    generation: int = 0,
    lookup: route_pb2.Lookup | None = None,
    kept: Sequence[control_pb2.StoredAnswers] = (),
) -> control_pb2.RouteTable:
    """Return a table with one variant per version, named after it.

    shares: by version, adding up to 1; the first version takes everything when there are none.
    """
    made = control_pb2.RouteTable(
        model=model,
        generation=generation,
        salt=sha256(model.encode()).digest()[:16],
        lookup=lookup,
        stored_answers=kept,
    )
    end = 0.0
    for position, version in enumerate(versions):
        made.versions.append(version)
        made.variants.add(name=version.version, digest=version.digest, pool=pool)
        share = float(position == 0) if shares is None else shares.get(version.version, 0.0)
        end += share
        if share > 0:
            made.ranges.add(end=round(end * BUCKETS), variant=position)
    return made
