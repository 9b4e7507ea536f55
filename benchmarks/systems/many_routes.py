"""Front doors whose data plane knows 1, 100 or 1,000 routes from a file, ten of which have traffic.

There is no control plane: each starts from a file of last-known-good tables, as a data plane does that finds none.
Behind them is one batcher that answers at once, so that what grows with the table would show.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from headrace.router.v1 import control_pb2
from headrace_router.data.tables.last_known_good import LastKnownGood
from headrace_servicekit.testing import free_port

from benchmarks.load import calls
from benchmarks.load.calls import Call, Rows
from benchmarks.load.generator import Target
from benchmarks.measures.measuring import System
from benchmarks.measures.processes import families
from benchmarks.systems import front_doors, subject
from benchmarks.systems.constant_batcher import SCORE
from benchmarks.systems.references import process, until_answering, until_listening
from examples.recommender.register import contract
from tests.kit.router.fake_control import INCARNATION, lookup, resolved_version, table

COUNTS = (1, 100, 1000)
_WITH_TRAFFIC = 10
_KEPT_S = 600.0


def tables(count: int) -> list[control_pb2.WatchTablesResponse]:
    """Return the snapshot of so many routes. All lead to the same version, whose digest is that of the first."""
    described = contract()
    messages = []
    for number in range(count):
        versions = [
            resolved_version(name(number), variant, inputs=described.inputs, outputs=described.outputs)
            for variant in ("v1", "v2")
        ]
        for version in versions:
            version.digest = digest()
        made = table(
            name(number),
            versions,
            shares={"v1": 0.5, "v2": 0.5},
            generation=number + 1,
            lookup=lookup(ttl=_KEPT_S),
        )
        messages.append(control_pb2.WatchTablesResponse(table=made))
    messages.append(control_pb2.WatchTablesResponse(snapshot_complete=True))
    for message in messages:
        message.incarnation, message.newest_generation = INCARNATION, count
    return messages


def digest() -> str:
    """Return the digest of the one version."""
    return resolved_version(name(0), "v1").digest


def name(number: int) -> str:
    """Return a route's name."""
    return f"route-{number:04d}"


def asked(count: int) -> Sequence[str]:
    """Return the routes that have traffic, spread over the table."""
    return [name(number * count // _WITH_TRAFFIC) for number in range(min(count, _WITH_TRAFFIC))]


@contextlib.contextmanager
def running(scratch: Path, identity: Path, rows: Rows) -> Iterator[dict[int, System]]:
    """Yield a front door for each count of routes."""
    halves = replace(rows, scores=[SCORE] * len(rows.scores))
    with contextlib.ExitStack() as stack:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.systems.constant_batcher", str(port), digest()]
        batcher = stack.enter_context(process(scratch / "constant-batcher.log", command))
        until_listening(port, scratch / "constant-batcher.log")
        systems = {}
        for count in COUNTS:
            folder = scratch / f"routes-{count}"
            folder.mkdir()
            LastKnownGood(folder / "data").write(tables(count))
            told = {
                "ROUTER_DATA_ID": "benchmark",
                "ROUTER_DATA_CONTROL_TARGET": f"127.0.0.1:{free_port()}",
                "ROUTER_DATA_POOLS": f"default=127.0.0.1:{port}",
            }
            door = stack.enter_context(front_doors.running(folder, identity, told))
            call = calls.predict(asked(count), halves)
            target = partial(_target, door.port, identity)
            until_answering(door.pid, door.log, partial(_warm_up, target, call))
            systems[count] = System(
                target,
                {"predict": call},
                partial(families, {"front-door": door.pid, "constant batcher": batcher}),
                f"http://127.0.0.1:{door.metrics_port}/metrics",
                partial(_warm_up, target, call),
            )
        yield systems


def _target(port: int, identity: Path) -> Target:
    return Target(("127.0.0.1", port), subject.tokens(identity))


def _warm_up(target: partial[Target], call: Call) -> None:
    subject.warm_up(target(), call)
