"""What looking an answer up costs a data plane: CPU time of this process per request, alone on its loop.

python -m benchmarks.lookup          starts a Valkey of its own
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import uvloop
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import control_pb2
from headrace_router.data.batchers.parts import AnswersInParts
from headrace_router.data.batchers.work import Work
from headrace_router.data.lookup.layers import Layers, Memory, Store
from headrace_router.data.lookup.lookup import Lookup
from headrace_router.data.lookup.metrics import Counts
from headrace_router.data.lookup.valkey.connection import Address, StoreClock
from headrace_router.data.lookup.valkey.store import Valkey
from headrace_router.data.request.request import Call, Request, ResolvedRequest, Tensors
from headrace_router.data.tables.table import Table, table_of
from headrace_servicekit.identity import Identity
from headrace_servicekit.testing import eventually, free_port
from headrace_stack.components import valkey

from tests.kit.router.fake_control import INCARNATION, lookup, resolved_version, table
from tests.kit.router.lookup_bench import outputs

VERSION = resolved_version("digits", "v1")
GATHERED = 8
"""Requests that arrive in one turn of the loop, where that matters."""


class Echo:
    """Computes at once: what is left is the look-up's own cost. in_flight: as if others were asking too."""

    in_flight = 1

    def submit(self, works: Iterable[Work]) -> None:
        for work in works:
            work.answer.set_result(batcher_pb2.InferResponse(outputs=outputs(), batch_requests=1))

    def withdraw(self, work: Work) -> None:
        pass


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="of each kind")
    options = parser.parse_args()
    uvloop.run(measure(options.requests))


async def measure(count: int) -> None:
    """Measure every way to an answer."""
    loop = asyncio.get_running_loop()
    online, hybrid = (table_with(lookup(mode=mode)) for mode in ("ONLINE", "HYBRID"))
    async with own_valkey() as store:
        for name, made, memory_bytes, kept in (
            ("computed, route online", online, 1 << 26, None),
            ("computed and remembered, no Valkey", hybrid, 1 << 26, None),
            ("computed and kept in both", hybrid, 1 << 26, store),
            ("from memory", hybrid, 1 << 26, None),
            ("from Valkey", hybrid, 0, store),
        ):
            counts, memory = Counts(), Memory(memory_bytes, 1 << 20)
            layers = Layers(memory, kept, counts, max_entry_bytes=1 << 20, now=loop.time)
            parts = AnswersInParts(Echo(), max_per_client=1, max_per_model=1, loop=loop)
            look = Lookup(Echo(), Echo(), layers, counts, parts, default_ttl_s=3600.0, loop=loop)
            if name.startswith("from"):
                fresh = resolved_requests(made, 64, name)
                await asked(look, fresh)
                await asyncio.sleep(0.1)
                many = fresh * (count // len(fresh))
            else:
                many = resolved_requests(made, count, name)
            for together in (1, GATHERED):
                print(f"{await cost_us(look, many, together):8.1f} µs  {name}, {together} at once")
                if not name.startswith("from"):
                    many = resolved_requests(made, count, name + "again")


async def cost_us(look: Lookup, many: list[ResolvedRequest], together: int) -> float:
    """Return the CPU time per request, less what the tasks cost that ask."""
    base = await timed(lambda batch: asyncio.gather(*[nothing() for _ in batch]), many, together)
    return await timed(lambda batch: asked(look, batch), many, together) - base


async def timed(
    ask: Callable[[list[ResolvedRequest]], Awaitable[object]], many: list[ResolvedRequest], together: int
) -> float:
    began = time.process_time()
    for at in range(0, len(many), together):
        await ask(many[at : at + together])
    return (time.process_time() - began) * 1e6 / len(many)


async def asked(look: Lookup, batch: list[ResolvedRequest]) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    await asyncio.gather(*[look.find(resolved, resolved.variant, deadline) for resolved in batch])


async def nothing() -> None:
    """Stand for a request that costs nothing."""


def table_with(how: object) -> Table:
    answers = control_pb2.StoredAnswers(digest=VERSION.digest, cache_epoch=1)
    return table_of(table("digits", [VERSION], lookup=how, kept=[answers]), {}, INCARNATION)  # type: ignore[arg-type]


def resolved_requests(made: Table, count: int, seed: str) -> list[ResolvedRequest]:
    """Return requests of 16 bytes that are in no cache."""
    rng = random.Random(seed)
    variant = made.assign(user_id="", entity_id="", request_id="")
    call = Call(Identity("ann", None), "request-1", 0.0)
    found = []
    for _ in range(count):
        tensors = Tensors((("x", "FP32", 1, 4),), (rng.randbytes(16),))
        request = Request("digits", lambda _contract, _max_rows, tensors=tensors: tensors)
        layout = variant.served.layout(tensors.described, 64)
        found.append(ResolvedRequest(made, variant, request, call, tensors, layout, tensors.contents, ()))
    return found


@contextlib.asynccontextmanager
async def own_valkey() -> AsyncIterator[Store]:
    """Run a Valkey, and a connection to it."""
    loop, port = asyncio.get_running_loop(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = (str(valkey.binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "")
        server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        store = Valkey(
            Address("127.0.0.1", port), Counts(), StoreClock(loop.time, time.time),
            timeout_s=1.0, loop=loop, rng=random.Random(1),
        )  # fmt: skip
        connection = asyncio.create_task(store.run(), name="valkey")
        try:
            await eventually(lambda: store.answers)
            yield store
        finally:
            connection.cancel()
            await asyncio.gather(connection, return_exceptions=True)
            server.terminate()
            await server.wait()


if __name__ == "__main__":
    main()
