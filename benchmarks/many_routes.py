"""Front doors whose data plane knows 1, 100 or 1,000 routes from a file, ten of which have traffic.

There is no control plane: each starts from a file of last good tables, as a data plane does that finds none. Behind
them is one batcher that answers at once, so that what grows with the table would show.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from headrace.router.v1 import control_pb2
from headrace_router.data.lastgood import LastGood
from headrace_servicekit.testing import free_port

from benchmarks import calls, subject
from benchmarks.calls import Call, Rows
from benchmarks.connection import WireError
from benchmarks.constant_batcher import SCORE
from benchmarks.generator import Target
from benchmarks.load import BenchmarkError
from benchmarks.measuring import System
from benchmarks.processes import families
from benchmarks.references import ROOT, process, until_listening
from examples.recommender.register import contract
from tests.kit.control import INCARNATION, lookup, resolved_version, table

COUNTS = (1, 100, 1000)
_WITH_TRAFFIC = 10
_KEPT_S = 600.0
_READY_S = 60.0


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """One of them. port: of predictions. metrics_port: of its data plane."""

    port: int
    metrics_port: int
    pid: int


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
        command = [sys.executable, "-m", "benchmarks.constant_batcher", str(port), digest()]
        batcher = stack.enter_context(process(scratch / "constant-batcher.log", command))
        until_listening(port, scratch / "constant-batcher.log")
        systems = {}
        for count in COUNTS:
            folder = scratch / f"routes-{count}"
            folder.mkdir()
            LastGood(folder / "data").write(tables(count))
            door = stack.enter_context(_front_door(folder, identity, f"127.0.0.1:{port}"))
            call = calls.predict(asked(count), halves)
            target = partial(_target, door.port, identity)
            _until_answering(target, call, folder / "front-door.log")
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


@contextlib.contextmanager
def _front_door(folder: Path, identity: Path, batcher: str) -> Iterator[FrontDoor]:
    port, admin, grpc, rest, metrics, nobody = (free_port() for _ in range(6))
    told = {
        "FRONT_DOOR_PORT": port,
        "FRONT_DOOR_ADMIN_PORT": admin,
        "FRONT_DOOR_STATE_DIR": folder / "envoy",
        "FRONT_DOOR_DATA_PLANE": "here",
        "FRONT_DOOR_CONCURRENCY": 1,
        "FRONT_DOOR_JWKS_FILE": identity / "jwks.json",
        "FRONT_DOOR_DRAIN_NOTICE_S": 0,
        "ROUTER_DATA_PORT": grpc,
        "ROUTER_DATA_REST_PORT": rest,
        "ROUTER_DATA_METRICS_PORT": metrics,
        "ROUTER_DATA_STATE_DIR": folder / "data",
        "ROUTER_DATA_ID": "benchmark",
        "ROUTER_DATA_CONTROL_TARGET": f"127.0.0.1:{nobody}",
        "ROUTER_DATA_POOLS": f"default={batcher}",
        "PYTHONPATH": ROOT / "deploy" / "envoy",
    }
    environment = {**os.environ, **{variable: str(value) for variable, value in told.items()}}
    command = [sys.executable, "-P", str(ROOT / "deploy" / "envoy" / "front_door.py")]
    with process(folder / "front-door.log", command, environment) as pid:
        until_listening(port, folder / "front-door.log")
        yield FrontDoor(port, metrics, pid)


def _until_answering(target: partial[Target], call: Call, log: Path) -> None:
    end = time.monotonic() + _READY_S
    while True:
        try:
            subject.warm_up(target(), call)
        except (BenchmarkError, WireError, OSError) as error:
            if time.monotonic() > end:
                raise BenchmarkError(f"{error}\n{log.read_text(errors='replace')[-2000:]}") from error
            time.sleep(0.5)
        else:
            return
