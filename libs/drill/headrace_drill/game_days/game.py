"""A game day: the backend is well, then fails in one way after the other, and callers ask all the while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace_client.errors import HeadraceError

from headrace_drill.game_days.simulators import Simulators
from headrace_drill.game_days.traffic import Callers, Memory, ask, ask_for
from headrace_drill.game_days.verdicts import WELL, Bounds, Fault, Phase, PhaseResult, judged

WELL_S = 3.0
# A fault ends by itself so long after it should have been cleared.
_MARGIN_S = 10.0
_RECOVERY_POLL_S = 0.2
# Answers of the version itself, one after the other.
_RECOVERED = 5


@dataclass(frozen=True, slots=True)
class GameDay:
    """Plan of a game day. faults: in this order. seconds: of each. on_model: the model in Triton that they affect, `*`
    for all."""

    version: str
    faults: Sequence[Fault]
    seconds: float
    on_model: str
    bounds: Bounds
    well_s: float = WELL_S


async def run(
    day: GameDay, callers: Callers, simulators: Simulators, describe: Callable[[str], None] = lambda text: None
) -> list[PhaseResult]:
    """Run a game day; return its phases, only the first where the route is not well without any fault.

    Its faults are cleared however it ends; an unreachable simulator ends its fault by itself. Raises HeadraceError
    where a simulator refuses a fault.
    """
    memory = Memory()
    describe("asking while all is well")
    well = Phase(WELL, await ask_for(callers, day.well_s, memory, well=True))
    results = [judged(well, day.version, day.bounds)]
    if not results[0].passed:
        return results
    for fault in day.faults:
        describe(f"backend {fault}")
        results.append(judged(await _phase(day, fault, callers, simulators, memory), day.version, day.bounds))
        if results[-1].recovered_s is None:
            break  # what comes next would say nothing
    return results


def fault_of(kind: Fault, day: GameDay, deadline_s: float) -> Mapping[str, Any]:
    """Return a fault as simulators take it. deadline_s: of callers, which a slow backend misses."""
    more: Mapping[Fault, Mapping[str, Any]] = {
        Fault.SLOW: {"base_ms": 2000 * deadline_s},
        # An error that the contract excludes: no check can detect a wrong number.
        Fault.WRONG: {"how": "shape"},
        Fault.OUT_OF_MEMORY: {"on": "infer"},
    }
    return {"kind": kind.value, "model": day.on_model, "for_s": day.seconds + _MARGIN_S, **more.get(kind, {})}


async def _phase(day: GameDay, fault: Fault, callers: Callers, simulators: Simulators, memory: Memory) -> Phase:
    name = f"game-day-{fault}"
    async with _set(simulators, name, fault_of(fault, day, callers.deadline_s)):
        replies = await ask_for(callers, day.seconds, memory, well=False)
        hits = await simulators.hits(name)
    # Refused connections carry no call to count: only the callers see those failures.
    if fault is Fault.DEAD:
        hits = max(hits, sum(one.degraded or bool(one.error) for one in replies))
    return Phase(fault.value, replies, hits, await _recovered(day, callers, memory))


@contextlib.asynccontextmanager
async def _set(simulators: Simulators, name: str, fault: Mapping[str, Any]) -> AsyncIterator[None]:
    """Have a fault set until the block ends, however it ends."""
    try:
        await simulators.put(name, fault)
        yield
    except BaseException:
        with contextlib.suppress(HeadraceError):  # it ends by itself, and there is something worse to tell
            await simulators.clear(name)
        raise
    await simulators.clear(name)


async def _recovered(day: GameDay, callers: Callers, memory: Memory) -> float | None:
    """Return after how many seconds the version answers by itself again, None if it does not in time."""
    began, row, in_a_row = time.monotonic(), 0, 0
    while (passed_s := time.monotonic() - began) < day.bounds.recover_s:
        reply = await ask(callers, row % callers.row_count, memory, well=False)
        good = not reply.error and not reply.degraded and reply.version == day.version and reply.matches is not False
        in_a_row = in_a_row + 1 if good else 0
        if in_a_row == _RECOVERED:
            return passed_s
        row += 1
        await asyncio.sleep(0 if good else _RECOVERY_POLL_S)
    return None
