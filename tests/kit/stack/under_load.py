"""A stack in use while something happens to it: callers predict, people write, and both keep logs.

async with in_use(stack, tmp_path) as scene:
    was = parts.kill(stack, "registry")
    await parts.back(stack, "registry", was)
    await scene.well_again()
assert await scene.complaints() == []
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from front_door.admin import ask
from headrace_servicekit.testing import eventually
from headrace_stack import snapshot
from headrace_stack.snapshot import ProcessId, State

from tests.kit.models import onnx_models
from tests.kit.stack.guarantees import broken
from tests.kit.stack.load import Exchange, Load
from tests.kit.stack.operator import Operator
from tests.kit.stack.running import RunningStack
from tests.kit.stack.writers import Writers

VERSIONS = {f"v{number}": onnx_models.linear(seed=number) for number in (1, 2, 3)}
RATE = 60.0


@dataclass(slots=True)
class Scene:
    """What is going on. processes: of every component when it began."""

    stack: RunningStack
    operator: Operator
    load: Load
    writers: Writers
    processes: dict[str, ProcessId]

    async def well_again(self, *, within: float = 60.0) -> tuple[float, float]:
        """Return how many seconds it takes from now until predictions and writes both go through again."""
        began = time.monotonic()
        await self.load.steady(within=within)
        predictions_s = time.monotonic() - began
        await self.writers.resumed(within=within)
        return predictions_s, time.monotonic() - began

    def restarted(self) -> set[str]:
        """Return the components that are other processes than when it began."""
        return {name for name, process in _processes(self.stack).items() if self.processes.get(name) != process}

    async def complaints(self, *, excused: tuple[float, float] | None = None) -> list[str]:
        """Return what callers and writers may complain about, now that nothing is sent any more.

        excused: begin and end of a time in which nothing could answer; requests that were sent before its end and were
        still open at its begin may have failed.
        """
        return await complaints(self.operator, self.load, self.writers, excused)


@contextlib.asynccontextmanager
async def in_use(
    stack: RunningStack,
    folder: Path,
    *,
    rate: float = RATE,
    deadline_s: float = 8.0,
    rest_one_in: int = 5,
    tries: int = 8,
) -> AsyncIterator[Scene]:
    """Serve a model of three versions, predict and write, until the block ends. The same stack may be used again.

    rest_one_in: one of so many predictions goes over REST, 0 for none. tries: of the client that writes.
    """
    await whole(stack)
    async with Operator.of(stack, "survivor", folder) as operator:
        for version, file in VERSIONS.items():
            await operator.register(version, file)
        await operator.promote("v1")
        async with (
            Writers.writing(stack, folder, tries=tries) as writers,
            Load.running(
                stack, operator.model, VERSIONS, rate=rate, deadline_s=deadline_s, rest_one_in=rest_one_in
            ) as load,
        ):
            await load.steady()
            yield Scene(stack, operator, load, writers, _processes(stack))


async def whole(stack: RunningStack, *, but: Sequence[str] = (), within: float = 60.0) -> None:
    """Return when every component is ready and the front door uses every replica, as a rolling restart waits for.

    but: components that are away on purpose.
    """

    async def is_whole() -> bool:
        seen = snapshot.read(stack.settings.snapshot)
        ready = seen is not None and all(status.state is State.READY for status in seen.components)
        unused = await _unused_hosts(stack) if ready else []
        return ready and not [line for line in unused if not but or not line.startswith(tuple(but))]

    await eventually(is_whole, within=within, every=0.05)


async def _unused_hosts(stack: RunningStack) -> list[str]:
    """Return the hosts that the front door does not use at present, with Envoy's reason."""
    text = await asyncio.to_thread(ask, stack.settings.run / "envoy" / "admin.sock", "GET", "/clusters")
    flags = [line for line in text.splitlines() if "::health_flags::" in line]
    return [line for line in flags if not line.endswith("::healthy")] if flags else ["Envoy names no host"]


async def complaints(
    operator: Operator, load: Load, writers: Writers, excused: tuple[float, float] | None
) -> list[str]:
    """Return broken promises, but for those to callers who are excused, and writes that were lost."""
    found = [str(one) for one in broken(operator.log, load.exchanges) if not _is_excused(one.exchange, excused)]
    return [*found[:10], *await writers.lost()]


def _processes(stack: RunningStack) -> dict[str, ProcessId]:
    return {status.name: status.process for status in stack.seen().components if status.process is not None}


def _is_excused(exchange: Exchange, excused: tuple[float, float] | None) -> bool:
    if excused is None or exchange.answered:
        return False
    return exchange.sent_at <= excused[1] and exchange.received_at >= excused[0]
