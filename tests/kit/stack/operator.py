"""Somebody who operates a model through the front door: registers, promotes, rolls back and splits, and keeps a log.

async with Operator.of(stack, "digits", tmp_path) as operator:
    await operator.register("v1", linear(seed=1))
    await operator.models.promote("v1")
    ... operator.log is what tests/kit/stack/guarantees.py checks answers against ...
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Self

from headrace.router.v1 import route_pb2
from headrace_client import AsyncClient, Production, RetryPolicy, Variant, Version

from tests.kit.models.onnx_models import TinyModel
from tests.kit.stack.guarantees import Operation
from tests.kit.stack.running import RunningStack

METRICS = {"accuracy": 0.95, "latency_p99_ms": 2.0}
# What a version takes to load on a machine that does other things too.
READY_S = 90.0

Arms = tuple[tuple[str, float], ...]
"""Version and weight of each arm; "" stands for whatever is in production."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One operation to be made: promote(version), rollback(), or split(arms)."""

    kind: str
    version: str = ""
    arms: Arms = ()


class Operator:
    """Operates one model. versions: what is registered, by id. log: what was done to the route, in order."""

    def __init__(self, client: AsyncClient, model: str, folder: Path) -> None:
        self.client, self.model, self._folder = client, model, folder
        self.versions: dict[str, TinyModel] = {}
        self.log: list[Operation] = []
        self.production = ""
        self.arms: Arms = (("", 1.0),)

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, stack: RunningStack, model: str, folder: Path, *, tries: int = 8) -> AsyncIterator[Self]:
        """Call the front door with a token of every scope; only what is safe is tried again."""
        retry = RetryPolicy(max_attempts=tries)
        async with AsyncClient(stack.address, token=lambda: stack.token("operator"), retry=retry) as client:
            yield cls(client, model, folder)

    async def register(self, version: str, file: TinyModel, **told: Any) -> None:
        """Upload a model and register it as a version."""
        path = self._folder / f"{self.model}-{version}.onnx"
        path.write_bytes(file.content)
        await self.client.versions.register(self.model, version, path, contract=file.contract, metrics=METRICS, **told)
        self.versions[version] = file

    async def promote(self, version: str) -> Operation:
        """Put a version into production and wait until it serves and every data plane has acknowledged that."""

        async def act() -> route_pb2.RouteStatus:
            answer = await self.client.models.promote(self.model, version)
            self.production = version
            return await self.client.routes.await_epoch(self.model, answer.model.epoch, timeout=READY_S)

        return await self._logged(f"promote {version}", act)

    async def ask(self, version: str) -> int:
        """Put a version into production without waiting for anything; return the epoch of that."""
        asked_at = time.monotonic()
        answer = await self.client.models.promote(self.model, version)
        self.production = version
        self.log.append(Operation(f"ask for {version}", asked_at, time.monotonic(), frozenset({version}), 0))
        return answer.model.epoch

    async def roll_back(self) -> Operation:
        """Put the version before back into production and wait likewise."""

        async def act() -> route_pb2.RouteStatus:
            answer = await self.client.models.rollback(self.model)
            self.production = answer.model.production_version
            return await self.client.routes.await_epoch(self.model, answer.model.epoch, timeout=READY_S)

        return await self._logged("roll back", act)

    async def split(self, arms: Arms) -> Operation:
        """Declare the arms and wait until they serve and every data plane has acknowledged that."""
        variants = [
            Variant(f"arm-{version or 'production'}", Version(version) if version else Production(), weight)
            for version, weight in arms
        ]

        async def act() -> route_pb2.RouteStatus:
            answer = await self.client.routes.split(self.model, variants, timeout=READY_S)
            self.arms = arms
            return answer.status

        return await self._logged(f"split {dict(arms)}", act)

    async def do(self, planned: Planned) -> Operation:
        """Make one planned operation."""
        if planned.kind == "promote":
            return await self.promote(planned.version)
        return await (self.roll_back() if planned.kind == "rollback" else self.split(planned.arms))

    async def _logged(self, what: str, act: Callable[[], Coroutine[Any, Any, route_pb2.RouteStatus]]) -> Operation:
        """Make an operation and note when it was asked, when it returned and what may answer from then on."""
        asked_at = time.monotonic()
        try:
            status = await act()
        except Exception:
            unknown = frozenset(self.versions)
            self.log.append(Operation(what, asked_at, time.monotonic(), unknown, 0))
            raise
        allowed = frozenset(version or self.production for version, _ in self.arms)
        named = tuple(status.unacknowledged_data_planes)
        operation = Operation(what, asked_at, time.monotonic(), allowed, status.generation, named)
        self.log.append(operation)
        return operation


def plan(count: int, versions: list[str], rng: Random) -> list[Planned]:
    """Return operations in random order: promotions, rollbacks where there is something to go back to, splits."""
    planned: list[Planned] = []
    history = [versions[0]]
    while len(planned) < count:
        kind = rng.choice(("promote", "rollback", "split"))
        if kind == "promote":
            version = rng.choice([one for one in versions if one != history[-1]])
            history.append(version)
            planned.append(Planned(kind, version))
        elif kind == "rollback" and len(history) > 1:
            history.pop()
            planned.append(Planned(kind))
        elif kind == "split":
            others = rng.sample(versions, rng.choice((0, 1, 2)))
            shares = rng.choice(((80.0, 10.0, 10.0), (50.0, 50.0), (1.0, 99.0), (34.0, 33.0, 33.0)))
            planned.append(Planned(kind, arms=tuple(zip(["", *others], shares, strict=False))))
    return planned
