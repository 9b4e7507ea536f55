"""What a look-up needs around it, held in a test's hand: who computes, what the store has, and the time.

bench = Bench()                                    # in a running loop
asked = asyncio.ensure_future(bench.find())
await bench.asked()
bench.answer(b"outputs")
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import control_pb2, predict_pb2
from headrace_router import stored_answers
from headrace_router.data.answer.answer import Answer
from headrace_router.data.batchers.parts import AnswersInParts
from headrace_router.data.batchers.work import Work
from headrace_router.data.lookup.layers import Layers, Memory
from headrace_router.data.lookup.lookup import Lookup
from headrace_router.data.lookup.metrics import Counts
from headrace_router.data.request.request import Call, Request, ResolvedRequest, Tensors
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.table import Table, table_of
from headrace_servicekit.errors import ServiceError, Unavailable
from headrace_servicekit.identity import Identity
from headrace_servicekit.testing import eventually

from tests.kit.router.digits import ROW, V1
from tests.kit.router.fake_control import INCARNATION, lookup, table

UNIX_MS = 1_700_000_000_000.0
ONE, TWO, THREE = (bytes([number, 0, 0, 0]) for number in (1, 2, 3))
DOWN = Unavailable("down", reason="NO_BACKEND")
WINDOWS = lookup(ttl=60, stale_while_revalidate=30, stale_on_error=600)
BATCH = lookup(mode="BATCH")


def outputs(value: bytes = b"\0\0\0\0", rows: int = 1) -> bytes:
    """Return encoded outputs of V1, each row with this value."""
    message = predict_pb2.PredictResponse(raw_output_contents=[value * rows])
    message.outputs.add(name="y", datatype="FP32", shape=[rows, 1])
    return message.SerializeToString()


def encoded_outputs(values: dict[str, bytes]) -> bytes:
    """Return encoded outputs of one row and one value each, by name."""
    message = predict_pb2.PredictResponse(raw_output_contents=list(values.values()))
    for name in values:
        message.outputs.add(name=name, datatype="FP32", shape=[1, 1])
    return message.SerializeToString()


async def error_of(asked: asyncio.Task[Answer]) -> ServiceError:
    """Return what a look-up fails with."""
    with pytest.raises(ServiceError) as caught:
        await asked
    return caught.value


class HeldOnline:
    """Computes nothing by itself. works: what it was given and has not been taken back, in order."""

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.submitted = 0

    @property
    def in_flight(self) -> int:
        return len(self.works)

    def submit(self, works: Iterable[Work]) -> None:
        for work in works:
            self.submitted += 1
            self.works.append(work)

    def withdraw(self, work: Work) -> None:
        if work in self.works:  # else it was answered just now
            self.works.remove(work)


class HeldStore:
    """A dictionary. up: whether it answers. holds: keeps look-ups until `release`."""

    def __init__(self, now_ms: Callable[[], float]) -> None:
        self.values: dict[bytes, bytes] = {}
        self.keep_ms: dict[bytes, int] = {}
        self.up, self.holds = True, False
        self.reads = 0
        self._now_ms = now_ms
        self._held: list[tuple[tuple[bytes, ...], Callable[[Any], object]]] = []

    def now_ms(self) -> float:
        return self._now_ms()

    def get(
        self,
        keys: tuple[bytes, ...],
        on_values: Callable[[Sequence[bytes | None] | None], object],
        *,
        patient: bool = False,
    ) -> None:
        self.reads += 1
        if self.holds:
            self._held.append((keys, on_values))
        else:
            on_values([self.values.get(key) for key in keys] if self.up else None)

    def put(self, key: bytes, value: bytes, keep_ms: int) -> None:
        if self.up:
            self.values[key], self.keep_ms[key] = value, keep_ms

    def release(self) -> None:
        held, self._held = self._held, []
        self.holds = False
        for keys, on_values in held:
            self.get(keys, on_values)


class MovedLoop:
    """The running loop with a clock that can be put forward."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ahead_s = 0.0

    def time(self) -> float:
        return self._loop.time() + self.ahead_s

    def create_future(self) -> asyncio.Future[Any]:
        return self._loop.create_future()

    def call_at(self, when: float, callback: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
        return self._loop.call_at(when - self.ahead_s, callback, *arguments)


class Bench:
    """A look-up on its bench. alone: without a store. how: of the table, as for `put_table`."""

    def __init__(
        self, *, memory_bytes: int = 1 << 20, ttl_s: float = 60.0, version=V1, alone: bool = False, **how: Any
    ) -> None:
        self.loop = MovedLoop()
        self.started = self.loop.time()
        self.online, self.counts, self.version = HeldOnline(), Counts(), version
        self.store = HeldStore(lambda: UNIX_MS + (self.loop.time() - self.started) * 1000)
        self.memory = Memory(memory_bytes, 1 << 16)
        store = None if alone else self.store
        self.layers = Layers(self.memory, store, self.counts, max_entry_bytes=1 << 16, now=self.loop.time)
        self.parts = AnswersInParts(self.online, max_per_client=2, max_per_model=3, loop=self.loop)  # type: ignore[arg-type]
        loop: Any = self.loop
        self.lookup = Lookup(
            self.online, self.online, self.layers, self.counts, self.parts, default_ttl_s=ttl_s, loop=loop
        )
        self.table = self.put_table(**how)

    def put_table(self, *, epoch: int = 0, generation: int = 0, **how: Any) -> Table:
        """Put a table in force. epoch, generation: of the stored answers."""
        return self.put_kept(
            control_pb2.StoredAnswers(digest=self.version.digest, cache_epoch=epoch, precomputed_generation=generation),
            **how,
        )

    def put_kept(
        self,
        answers: control_pb2.StoredAnswers,
        *,
        fallback: Sequence[control_pb2.ResolvedFallbackStep] = (),
        **how: Any,
    ) -> Table:
        """Put a table in force with these stored answers."""
        made = table("digits", [self.version], kept=[answers], **how)
        made.fallback.extend(fallback)
        self.table = table_of(made, {}, INCARNATION)
        return self.table

    def resolved(
        self,
        inputs: bytes | None = ROW,
        rows: int = 1,
        names: tuple[str, ...] = (),
        within_s: float = 5.0,
        **fields: Any,
    ) -> ResolvedRequest:
        """Return a request; inputs: of the only tensor, None leaves it out."""
        variant = self.table.assign(user_id="", entity_id="", request_id="")
        (spec,) = self.version.contract.inputs
        described = () if inputs is None else ((spec.name, spec.datatype, rows, *spec.shape),)
        tensors = Tensors(described, () if inputs is None else (inputs,))
        request = Request("digits", lambda _contract, _max_rows: tensors, outputs=names, **fields)
        layout = Layout(rows, (), (0,), (), (), (), True) if inputs is None else variant.served.layout(described, 64)
        call = Call(Identity("ann", None), "request-1", self.loop.time() + within_s)
        return ResolvedRequest(
            self.table, variant, request, call, tensors, layout, tensors.contents, variant.served.selection(names)
        )

    async def find(self, **how: Any) -> Answer:
        """Ask, by what the route's table has for its requests."""
        return await self.lookup.stage(self.table)(self.resolved(**how))

    def ask(self, **how: Any) -> asyncio.Task[Answer]:
        """Ask in a task of its own."""
        return asyncio.ensure_future(self.find(**how))

    async def asked(self, count: int = 1) -> list[Work]:
        """Return what is to be computed, once that are so many."""
        await eventually(lambda: len(self.online.works) == count, every=0)  # it takes some turns of the loop
        return self.online.works

    def answer(self, value: bytes = b"\0\0\0\0", **fields: Any) -> None:
        """Answer everything that is to be computed; fields: of the response, such as `code`."""
        works, self.online.works = self.online.works, []
        for work in works:
            encoded = b"" if fields.get("code") else outputs(value, work.rows)
            work.answer.set_result(batcher_pb2.InferResponse(outputs=encoded, batch_requests=1, **fields))

    def fail(self, error: Exception) -> None:
        """Fail everything that is to be computed."""
        works, self.online.works = self.online.works, []
        for work in works:
            work.answer.set_exception(error)

    async def fill(self, value: bytes = b"\0\0\0\0", **how: Any) -> Answer:
        """Ask, and have it computed."""
        asked = self.ask(**how)
        await self.asked()
        self.answer(value)
        return await asked

    def precompute(self, entity: str, value: bytes, *, generation: int, age_s: float = 0.0) -> None:
        """Put a precomputed answer into the store."""
        key = stored_answers.precomputed_prefix(INCARNATION, self.version.digest, generation) + entity.encode()
        entry = stored_answers.Entry(int(self.store.now_ms() - age_s * 1000), outputs(value))
        self.store.values[key] = stored_answers.encode(key, entry)
