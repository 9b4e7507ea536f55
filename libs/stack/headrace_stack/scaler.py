"""Scales what a supervisor runs: starts replicas, tells those who call them, and takes replicas away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace_stack import endpoints, scale_changes, topology
from headrace_stack.checks import StartError
from headrace_stack.component import Component
from headrace_stack.replicas import Replicas
from headrace_stack.scale_changes import ScalingError
from headrace_stack.settings import StackSettings
from headrace_stack.snapshot import Phase
from headrace_stack.supervisor import Supervisor

# All of them at once would make each of them late on a small machine.
_AT_ONCE = 4
# Callers poll the files once a second. Until then some may still call a replica that is being removed.
_HEARD_S = 1.5


@dataclass(frozen=True, slots=True)
class Change:
    """What was done: how many replicas a component had and has, and which were started and stopped."""

    component: str
    before: int
    after: int
    started: tuple[str, ...]
    stopped: tuple[str, ...]


class Scaler:
    """One change at a time. `settings.replicas` is what runs."""

    def __init__(self, settings: StackSettings, supervisor: Supervisor, only: Sequence[str] = ()) -> None:
        self._settings, self._supervisor, self._only = settings, supervisor, only
        self._alone = asyncio.Lock()

    def scalable(self) -> dict[str, int]:
        """Return what can be scaled and how many there are."""
        now, services = self._settings.replicas, topology.scalable(self._settings)
        return {name: scale_changes.count(now, services, name) for name in scale_changes.scalable(now, services)}

    async def scale(self, component: str, replicas: int, *, to_zero: bool = False, first: Sequence[str] = ()) -> Change:
        """Return once a component has so many replicas, all ready. Raises ScalingError, and then nothing is changed.

        first: addresses of the batchers that leave first, in order. Who is not there any more has left.
        """
        async with self._alone:
            now, services = self._settings.replicas, topology.scalable(self._settings)
            by_address = topology.numbers(self._settings, component)
            leaving = [by_address[address] for address in first if address in by_address]
            wanted = scale_changes.scaled(now, services, component, replicas, to_zero=to_zero, first=leaving)
            return await self._change(component, wanted)

    async def add(self, component: str, backend: str, replicas: int) -> Change:
        """Return once a pool of batchers is there and ready. Raises ScalingError, and then nothing is changed."""
        async with self._alone:
            wanted = scale_changes.added(self._settings.replicas, component, backend, replicas)
            return await self._change(component, wanted)

    async def remove(self, component: str) -> Change:
        """Return once a pool of batchers is gone. Raises ScalingError."""
        async with self._alone:
            now, services = self._settings.replicas, topology.scalable(self._settings)
            return await self._change(component, scale_changes.removed(now, services, component))

    async def _change(self, component: str, wanted: Replicas) -> Change:
        phase = self._supervisor.snapshot.phase
        if phase is not Phase.READY:
            raise ScalingError("component", f"the stack is {phase.lower()}: it can be scaled when it is ready")
        if self._only:
            raise ScalingError("component", f"the stack runs only {', '.join(self._only)}: start all of it to scale it")
        before, after = self._settings, replace(self._settings, replicas=wanted)
        counts = self._count(before, component), self._count(after, component)
        now, then = topology.components(before), topology.components(after)
        steps = scale_changes.steps(_names(now), _names(then))
        await self._start(steps.start, now, then)
        self._settings = after
        # Who is not called any more has nothing to answer but what it has begun.
        await asyncio.to_thread(endpoints.publish, after)
        self._supervisor.revise(then)
        if steps.stop:
            await asyncio.sleep(_HEARD_S)
        for name in steps.stop:
            await self._supervisor.remove(name)
        return Change(component, *counts, steps.start, steps.stop)

    async def _start(self, names: Sequence[str], now: Sequence[Component], then: Sequence[Component]) -> None:
        """Return when these are ready. Raises ScalingError, and then they are gone again."""
        try:
            for begin in range(0, len(names), _AT_ONCE):
                so_far = names[: begin + _AT_ONCE]
                self._supervisor.revise([*now, *(one for one in then if one.name in so_far)])
                await asyncio.gather(*map(self._supervisor.until_ready, names[begin : begin + _AT_ONCE]))
        except (StartError, OSError, ValueError) as error:
            await self._undo(names, now)
            raise ScalingError("replicas", f"not started, and nothing was changed: {error}") from None

    async def _undo(self, names: Sequence[str], now: Sequence[Component]) -> None:
        begun = {component.name for component in self._supervisor.components}
        for name in reversed(names):
            if name in begun:
                await self._supervisor.remove(name)
        if self._supervisor.snapshot.phase is Phase.READY:
            self._supervisor.revise(now)

    def _count(self, settings: StackSettings, component: str) -> int:
        try:
            return scale_changes.count(settings.replicas, topology.scalable(settings), component)
        except ScalingError:
            return 0  # it is not there


def _names(components: Sequence[Component]) -> tuple[str, ...]:
    return tuple(component.name for component in components)
