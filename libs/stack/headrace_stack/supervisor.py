"""The loop that keeps the components of a stack running: starts them in order, restarts what dies, stops in reverse."""

import asyncio
import math
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from headrace_stack import restarts
from headrace_stack.checks import StartError, until_ready, until_the_end
from headrace_stack.component import Component, PrepareError
from headrace_stack.logfile import LogLimits, last_lines, rotate, size
from headrace_stack.process import Child, describe_exit, me
from headrace_stack.replicas import ONE_OF_EACH, Replicas
from headrace_stack.settings import DataPlane
from headrace_stack.snapshot import ComponentStatus, Phase, Snapshot, State
from headrace_stack.start_order import dependents, start_waves

_LAST_WORDS = 12
_ROTATE_EVERY_S = 5.0

T = TypeVar("T")


class _StopRequestedError(Exception):
    """The stack is being stopped: pending waits end."""


@dataclass(frozen=True, slots=True)
class _Life:
    """How a process ended, how long it was well since it was ready (None: never ready), and whether we ended it."""

    end: str
    well_s: float | None = None
    was_ended: bool = False


class Supervisor:
    """Runs one set of components once. `report` gets a snapshot at every change."""

    def __init__(
        self,
        components: Sequence[Component],
        *,
        log_directory: Path,
        base_port: int,
        report: Callable[[Snapshot], None],
        replicas: Replicas = ONE_OF_EACH,
        data_plane: DataPlane = DataPlane.FRONT_DOOR,
        parts: tuple[str, ...] = (),
        log_limits: LogLimits | None = None,
        ends_unwell: bool = True,
    ) -> None:
        start_waves(components)  # refuses what cannot start
        self._components = {component.name: component for component in components}
        self._logs = log_directory
        self._log_limits = log_limits or LogLimits()
        self._report = report
        self._ends_unwell = ends_unwell
        self._stopping = asyncio.Event()
        self._ending = {component.name: asyncio.Event() for component in components}
        self._ready = {component.name: asyncio.Event() for component in components}
        self._stopped = {component.name: asyncio.Event() for component in components}
        # Those without which the stack has not started, and the tasks that own all of them.
        self._required = frozenset(self._components)
        self._keepers: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._children: dict[str, Child] = {}
        # How large each log was before the present start, and who is not well.
        self._log_before: dict[str, int] = {}
        self._unwell: set[str] = set()
        self._snapshot = Snapshot(
            supervisor=me(),
            base_port=base_port,
            phase=Phase.STARTING,
            components=tuple(map(_waiting, components)),
            replicas=replicas,
            data_plane=data_plane,
            parts=parts,
        )

    @property
    def snapshot(self) -> Snapshot:
        """How everything is."""
        return self._snapshot

    @property
    def components(self) -> tuple[Component, ...]:
        """What runs."""
        return tuple(self._components.values())

    def stop(self) -> None:
        """Ask for an ordered stop; `run` returns when it is done."""
        self._stopping.set()
        for ending in self._ending.values():
            ending.set()

    async def run(self) -> Snapshot:
        """Run until `stop` is called or a component cannot be started; return the last snapshot (STOPPED or FAILED)."""
        self._publish()
        async with asyncio.TaskGroup() as self._tasks:
            rotation = self._tasks.create_task(self._rotate_logs())
            announcement = self._tasks.create_task(self._announce_ready())
            for component in self.components:
                self._begin(component)
            await self._stopping.wait()
            while self._keepers:
                await asyncio.wait(self._keepers)
            rotation.cancel()
            announcement.cancel()
        if self._snapshot.phase is not Phase.FAILED:
            self._snapshot = replace(self._snapshot, phase=Phase.STOPPED)
        self._publish()
        return self._snapshot

    def revise(self, components: Sequence[Component]) -> None:
        """Begin to run those that are new, and give the others what they will be started with the next time.

        `components` are all that are to run and in what order they are shown; those that run and are not among them
        stay until `remove`. Raises TopologyError, or ValueError while the stack is being stopped.
        """
        if self._stopping.is_set():
            raise ValueError("the stack is being stopped")
        leaving = [one for name, one in self._components.items() if name not in {new.name for new in components}]
        start_waves([*components, *leaving])
        new = [component for component in components if component.name not in self._components]
        self._components = {component.name: component for component in (*components, *leaving)}
        known = {status.name: status for status in self._snapshot.components}
        statuses = tuple(known.get(name) or _waiting(component) for name, component in self._components.items())
        for component in new:
            for events in (self._ending, self._ready, self._stopped):
                events[component.name] = asyncio.Event()
        self._snapshot = replace(self._snapshot, components=statuses)
        self._publish()
        for component in new:
            self._begin(component)

    async def until_ready(self, name: str) -> None:
        """Return when a component is ready. Raises StartError when it cannot be started, or is being stopped."""
        ready = asyncio.ensure_future(self._ready[name].wait())
        stopped = asyncio.ensure_future(self._stopped[name].wait())
        await asyncio.wait([ready, stopped], return_when=asyncio.FIRST_COMPLETED)
        for event in (ready, stopped):
            event.cancel()
        if not self._ready[name].is_set():
            (status,) = [status for status in self._snapshot.components if status.name == name]
            raise StartError("\n".join([status.detail or "it is being stopped", *status.last_words]))

    async def remove(self, name: str) -> None:
        """Have a component finish what it has begun, and forget it. Those that need it go on."""
        self._required -= {name}
        self._ending[name].set()
        await self._stopped[name].wait()
        for of in (self._components, self._ending, self._ready, self._stopped):
            of.pop(name, None)
        left = tuple(status for status in self._snapshot.components if status.name != name)
        self._snapshot = replace(self._snapshot, components=left)
        self._publish()

    def _begin(self, component: Component) -> None:
        assert self._tasks is not None
        keeper = self._tasks.create_task(self._keep(component), name=component.name)
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)

    async def _keep(self, component: Component) -> None:
        """Own one component from its first start to its stop."""
        name = component.name
        try:
            for need in component.needs:
                if need in self._ready:
                    await self._unless_stopping(name, self._ready[need].wait())
            await self._start_for_ever(name)
        except _StopRequestedError:
            self._note(name, state=State.STOPPED)
        except StartError as error:
            words = last_lines(self._log(name), _LAST_WORDS, since=self._log_before.get(name, 0))
            self._note(name, state=State.FAILED, detail=str(error), last_words=words)
            if name in self._required:
                self._snapshot = replace(self._snapshot, phase=Phase.FAILED, reason=f"{name}: {error}")
                self.stop()
        finally:
            self._stopped[name].set()

    async def _start_for_ever(self, name: str) -> None:
        deaths = endings = 0
        first_attempt = time.monotonic()
        while True:
            component = self._components[name]  # it may have been revised
            self._note(component.name, state=State.STARTING)
            started = time.monotonic()
            try:
                life = await self._one_life(component, first_attempt, endings)
            except StartError as error:
                if not self._ready[component.name].is_set():
                    raise
                life = _Life(str(error))  # it has worked: what is in its way, a full disk say, may go
            if life.well_s is not None:
                endings = (0 if life.well_s >= component.restart.steady_s else endings) + life.was_ended
            death = restarts.Death(lived_s=time.monotonic() - started, was_ready=life.well_s is not None)
            match restarts.decide(component.restart, death, deaths, self._ready[component.name].is_set()):
                case restarts.GiveUp(deaths=count):
                    raise StartError(f"{life.end} (start {count} of {count}); see {self._log(component.name)}")
                case restarts.RestartAfter(wait_s=wait_s, deaths_in_a_row=deaths):
                    detail = f"{life.end}; starting again in {wait_s:.1f} s"
                    self._note(component.name, state=State.RESTARTING, detail=detail, restarted_for=life.end)
                    await self._unless_stopping(name, asyncio.sleep(wait_s))

    async def _one_life(self, component: Component, first_attempt: float, endings: int) -> _Life:
        """Start, wait until ready, wait for the end, or end it when it is unwell for too long. Return how it went."""
        began = time.monotonic()
        child = await self._spawn(component)
        self._children[component.name] = child
        self._note(component.name)
        exited = asyncio.create_task(child.wait(), name=f"{component.name} exit")
        try:
            await self._unless_stopping(
                component.name,
                until_ready(
                    *(component, child, exited),
                    first=not self._ready[component.name].is_set(),
                    has_needs=lambda: self._are_well(component.needs),
                    note=lambda lacks: self._note(component.name, detail=lacks),
                ),
            )
            if exited.done():
                return _Life(describe_exit(exited.result()))
            ready = time.monotonic()
            self._note(component.name, state=State.READY, detail="", ready_after_s=ready - first_attempt)
            self._ready[component.name].set()
            patience_s = math.inf
            if self._ends_unwell:
                patience_s = restarts.patience_s(component.restart, ready - began, endings)
            illness = await self._unless_stopping(
                component.name,
                until_the_end(
                    *(component, exited, patience_s),
                    is_excused=lambda: not self._are_well(component.leans_on),
                    note=lambda said, illness: self._note_check(component.name, said, illness, patience_s),
                ),
            )
            if illness is None:
                return _Life(describe_exit(exited.result()), time.monotonic() - ready)
            end = f"not well for {illness.lasted_s(time.monotonic()):.0f} s: {illness.said}"
            self._note(component.name, state=State.RESTARTING, detail=f"{end}; being ended")
            return _Life(end, illness.since_s - ready, was_ended=True)
        except _StopRequestedError:
            await self._stop_in_turn(component, child)
            raise
        finally:
            await child.stop(component.stop_signal, component.stop_grace_s)
            exited.cancel()
            self._unwell.discard(component.name)
            if component.tidy is not None:
                component.tidy()
            del self._children[component.name]
            self._note(component.name)

    async def _spawn(self, component: Component) -> Child:
        self._log_before[component.name] = size(self._log(component.name))
        try:
            if component.prepare is not None:
                await self._unless_stopping(component.name, component.prepare())
            return Child.start(
                component.command,
                environment={**os.environ, **component.environment},
                cwd=component.cwd,
                log=self._log(component.name),
                death_signal=component.death_signal,
            )
        except (OSError, subprocess.SubprocessError, PrepareError) as error:
            raise StartError(str(error)) from error

    def _are_well(self, names: Sequence[str]) -> bool:
        states = {status.name: status.state for status in self._snapshot.components}
        # A removed component counts as ready.
        return all(states.get(name, State.READY) is State.READY and name not in self._unwell for name in names)

    def _note_check(self, name: str, said: str | None, illness: restarts.Illness | None, patience_s: float) -> None:
        if said is None:
            if name in self._unwell:
                self._unwell.discard(name)
                self._note(name, detail="")
            return
        self._unwell.add(name)
        if illness is not None and math.isinf(patience_s):
            self._note(name, detail=f"not well: {said}")
        elif illness is None:
            self._note(name, detail=f"not well without what it leans on: {said}")
        else:
            left_s = max(0.0, patience_s - illness.lasted_s(time.monotonic()))
            self._note(name, detail=f"not well: {said}; started again in {left_s:.0f} s unless it is")

    async def _stop_in_turn(self, component: Component, child: Child) -> None:
        if self._stopping.is_set():
            for name in dependents(self.components)[component.name]:
                if name in self._stopped:  # else it was removed meanwhile
                    await self._stopped[name].wait()
        self._note(component.name, state=State.STOPPING, detail="")
        graceful = await child.stop(component.stop_signal, component.stop_grace_s)
        if not graceful:
            self._note(component.name, detail=f"killed after {component.stop_grace_s:.0f} s")

    async def _unless_stopping(self, name: str, awaitable: Awaitable[T]) -> T:
        """Await; raise _StopRequestedError instead when the component, or all of them, are to stop meanwhile."""
        work = asyncio.ensure_future(awaitable)
        stopping = asyncio.ensure_future(self._ending[name].wait())
        try:
            await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise _StopRequestedError
            return work.result()
        finally:
            stopping.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait([work])

    def _note(
        self,
        name: str,
        *,
        state: State | None = None,
        detail: str | None = None,
        ready_after_s: float | None = None,
        restarted_for: str | None = None,
        last_words: tuple[str, ...] = (),
    ) -> None:
        """Change one component's status and publish when anything changed."""
        components = []
        for status in self._snapshot.components:
            if status.name == name:
                child = self._children.get(name)
                status = replace(
                    status,
                    state=status.state if state is None else state,
                    detail=status.detail if detail is None else detail,
                    process=None if child is None else child.id,
                    restarts=status.restarts + (restarted_for is not None),
                    restarted_for=status.restarted_for if restarted_for is None else restarted_for,
                    last_words=last_words or status.last_words,
                    ready_after_s=ready_after_s if status.ready_after_s is None else status.ready_after_s,
                )
            components.append(status)
        if tuple(components) != self._snapshot.components:
            self._snapshot = replace(self._snapshot, components=tuple(components))
            self._publish()

    def _publish(self) -> None:
        if self._stopping.is_set() and self._snapshot.phase in (Phase.STARTING, Phase.READY):
            self._snapshot = replace(self._snapshot, phase=Phase.STOPPING)
        self._report(self._snapshot)

    async def _announce_ready(self) -> None:
        for event in tuple(self._ready.values()):
            await event.wait()
        if self._snapshot.phase is Phase.STARTING:
            self._snapshot = replace(self._snapshot, phase=Phase.READY)
            self._publish()

    async def _rotate_logs(self) -> None:
        while True:
            rotate([self._log(name) for name in self._components], self._log_limits)
            await asyncio.sleep(_ROTATE_EVERY_S)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def _waiting(component: Component) -> ComponentStatus:
    return ComponentStatus(component.name, State.WAITING, tuple(port.number for port in component.ports))
