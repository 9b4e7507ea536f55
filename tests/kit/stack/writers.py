"""Somebody who writes all the time and keeps a log of what was acknowledged, to be compared with what is there.

async with Writers.writing(stack, tmp_path) as writers:
    ... take something away and give it back ...
await writers.check()
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from headrace_client import HeadraceError, Variant, Version
from headrace_servicekit.testing import eventually
from headrace_stack.components import s3
from headrace_stack.components.s3 import request

from tests.kit.models import onnx_models
from tests.kit.stack.operator import METRICS, Operator
from tests.kit.stack.running import RunningStack

T = TypeVar("T")

# Within this the client tries again; whoever gets no answer at all gives up later.
_WRITE_S = 15.0
_GIVE_UP_S = 30.0
# The registry looks into every model file in a process of its own, which costs it a second.
_BETWEEN_VERSIONS_S, _BETWEEN_ROUTES_S = 1.5, 0.2


@dataclass(slots=True)
class Write:
    """One write: what it was about, and when it was acknowledged; None when nobody knows whether it was made."""

    subject: str
    asked_at: float
    acknowledged_at: float | None = None
    refusal: str = ""


class Writers:
    """Registers versions (their files go to S3, their rows to PostgreSQL) and declares a route, one after another."""

    def __init__(self, stack: RunningStack, operator: Operator, folder: Path) -> None:
        self.stack, self.operator, self._folder = stack, operator, folder
        self.versions: list[Write] = []
        self.routes: list[Write] = []
        self._digests: dict[str, str] = {}
        self._begun = f"w{time.time_ns() // 1_000_000}"

    @classmethod
    @contextlib.asynccontextmanager
    async def writing(
        cls, stack: RunningStack, folder: Path, model: str = "written", *, tries: int = 8
    ) -> AsyncIterator[Self]:
        """Write until the block ends; the last writes are awaited. tries: of the client, for each write."""
        async with Operator.of(stack, model, folder, tries=tries) as operator:
            await operator.register("v1", onnx_models.linear(seed=1))
            await operator.promote("v1")
            writers = cls(stack, operator, folder)
            ending = asyncio.Event()
            writing = [asyncio.create_task(writers._register(ending)), asyncio.create_task(writers._declare(ending))]
            try:
                yield writers
            finally:
                ending.set()
                await asyncio.gather(*writing)

    def refused(self) -> list[str]:
        """Return the writes that nobody acknowledged, with when and why."""
        writes = sorted([*self.versions, *self.routes], key=lambda write: write.asked_at)
        return [f"{write.subject} at {write.asked_at:.3f}: {write.refusal}" for write in writes if write.refusal]

    def acknowledged_since(self, moment: float) -> bool:
        """Whether both kinds of writes have been acknowledged that were asked for after a moment."""
        return all(
            any(write.acknowledged_at is not None and write.asked_at >= moment for write in writes)
            for writes in (self.versions, self.routes)
        )

    async def resumed(self, *, within: float = 60.0) -> float:
        """Return how many seconds it takes from now until both kinds of writes are acknowledged again."""
        began = time.monotonic()
        await eventually(lambda: self.acknowledged_since(began), within=within, every=0.05)
        return time.monotonic() - began

    async def lost(self) -> list[str]:
        """Return what was acknowledged and is not there. Asks through clients of its own."""
        async with Operator.of(self.stack, self.operator.model, self._folder) as reader:
            model, client = self.operator.model, reader.client
            there = {version.name.rpartition("/")[2] for version in await client.versions.list(model)}
            acknowledged = [write.subject for write in self.versions if write.acknowledged_at is not None]
            missing = [f"version {subject}" for subject in acknowledged if subject not in there]
            missing += [f"file of {subject}" for subject in acknowledged if not await self._stored(subject)]
            declared = (await client.routes.get(model)).route
            weights = "/".join(f"{variant.weight:g}" for variant in declared.variants)
            if weights not in self._possible_routes():
                missing.append(f"route {self._possible_routes()}, which is {weights}")
        return missing

    def _possible_routes(self) -> list[str]:
        """Return the last acknowledged route, and those asked for after it, of which nobody knows."""
        acknowledged = [at for at, write in enumerate(self.routes) if write.acknowledged_at is not None]
        return [write.subject for write in self.routes[acknowledged[-1] if acknowledged else 0 :]]

    async def _stored(self, version: str) -> bool:
        settings = self.stack.settings
        path = f"/{s3.BUCKET}/blobs/sha256/{self._digests[version]}"
        return await request("HEAD", settings.ports.s3, path, keys=s3.keys(settings), timeout_s=10) == 200

    async def _register(self, ending: asyncio.Event) -> None:
        for number in itertools.count(1):
            if ending.is_set():
                return
            version = f"{self._begun}-{number}"
            path = self._folder / f"{version}.onnx"
            path.write_bytes(onnx_models.linear(seed=time.time_ns() % 2**32).content)
            write = Write(version, time.monotonic())
            self.versions.append(write)
            made = await self._noted(
                write,
                self.operator.client.versions.register(
                    self.operator.model, version, path, metrics=METRICS, timeout=_WRITE_S
                ),
            )
            if made is not None:
                self._digests[version] = made.artifacts[0].sha256
            await _pause(ending, _BETWEEN_VERSIONS_S)

    async def _declare(self, ending: asyncio.Event) -> None:
        for number in itertools.count(1):
            if ending.is_set():
                return
            write = Write(f"{number}/1", time.monotonic())
            self.routes.append(write)
            arms = [Variant("kept", Version("v1"), float(number)), Variant("other", Version("v1"), 1.0)]
            await self._noted(write, self.operator.client.routes.split(self.operator.model, arms, timeout=_WRITE_S))
            await _pause(ending, _BETWEEN_ROUTES_S)

    async def _noted(self, write: Write, act: Awaitable[T]) -> T | None:
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                answer = await act
        except HeadraceError as error:
            write.refusal = f"{error.code.name} {error.reason}"
            return None
        except TimeoutError:
            write.refusal = "no answer"
            return None
        write.acknowledged_at = time.monotonic()
        return answer


async def _pause(ending: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ending.wait()
