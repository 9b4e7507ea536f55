"""The loop that keeps the components of a stack running: starts them in order, restarts what dies, stops in reverse."""

import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from headrace_stack import restarts
from headrace_stack.component import Component, PrepareError, missing
from headrace_stack.logfile import LogLimits, rotate
from headrace_stack.ordering import dependents, start_waves
from headrace_stack.process import Child, describe_exit, me
from headrace_stack.replicas import ONE_OF_EACH, Replicas
from headrace_stack.settings import DataPlane
from headrace_stack.snapshot import ComponentStatus, Phase, Snapshot, State

_READY_POLL_S = 0.05
_READY_CHECK_TIMEOUT_S = 5.0
_ROTATE_EVERY_S = 5.0

T = TypeVar("T")


class StartError(Exception):
    """A component did not become ready; the message names it and says why."""


class _StopRequestedError(Exception):
    """The stack is being stopped: whoever waits for something gives up."""


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
        log_limits: LogLimits | None = None,
    ) -> None:
        start_waves(components)  # refuses what cannot start
        self._components = tuple(components)
        self._logs = log_directory
        self._log_limits = log_limits or LogLimits()
        self._report = report
        self._stopping = asyncio.Event()
        self._ready = {component.name: asyncio.Event() for component in components}
        self._stopped = {component.name: asyncio.Event() for component in components}
        self._dependents = dependents(components)
        self._children: dict[str, Child] = {}
        self._snapshot = Snapshot(
            supervisor=me(),
            base_port=base_port,
            phase=Phase.STARTING,
            components=tuple(
                ComponentStatus(component.name, State.WAITING, tuple(port.number for port in component.ports))
                for component in components
            ),
            replicas=replicas,
            data_plane=data_plane,
        )

    def stop(self) -> None:
        """Ask for an ordered stop; `run` returns when it is done."""
        self._stopping.set()

    async def run(self) -> Snapshot:
        """Run until `stop` is called or a component cannot be started; return the last snapshot (STOPPED or FAILED)."""
        self._publish()
        async with asyncio.TaskGroup() as tasks:
            rotation = tasks.create_task(self._rotate_logs())
            announcement = tasks.create_task(self._announce_ready())
            keepers = [tasks.create_task(self._keep(component)) for component in self._components]
            await asyncio.wait(keepers)
            rotation.cancel()
            announcement.cancel()
        if self._snapshot.phase is not Phase.FAILED:
            self._snapshot = replace(self._snapshot, phase=Phase.STOPPED)
        self._publish()
        return self._snapshot

    async def _keep(self, component: Component) -> None:
        """Own one component from its first start to its stop."""
        name = component.name
        try:
            for need in component.needs:
                await self._unless_stopping(self._ready[need].wait())
            await self._start_for_ever(component)
        except _StopRequestedError:
            self._note(name, state=State.STOPPED)
        except StartError as error:
            self._note(name, state=State.FAILED, detail=str(error))
            self._snapshot = replace(self._snapshot, phase=Phase.FAILED, reason=f"{name}: {error}")
            self._stopping.set()
        finally:
            self._stopped[name].set()

    async def _start_for_ever(self, component: Component) -> None:
        deaths = 0
        first_attempt = time.monotonic()
        while True:
            self._note(component.name, state=State.STARTING)
            started = time.monotonic()
            try:
                was_ready, end = await self._one_life(component, first_attempt)
            except StartError as error:
                if not self._ready[component.name].is_set():
                    raise
                was_ready, end = False, str(error)  # it has worked: what is in its way, a full disk say, may go
            death = restarts.Death(lived_s=time.monotonic() - started, was_ready=was_ready)
            match restarts.decide(component.restart, death, deaths, self._ready[component.name].is_set()):
                case restarts.GiveUp(deaths=count):
                    raise StartError(f"{end} (start {count} of {count}); see {self._log(component.name)}")
                case restarts.RestartAfter(wait_s=wait_s, deaths_in_a_row=deaths):
                    detail = f"{end}; starting again in {wait_s:.1f} s"
                    self._note(component.name, state=State.RESTARTING, detail=detail, restarted=True)
                    await self._unless_stopping(asyncio.sleep(wait_s))

    async def _one_life(self, component: Component, first_attempt: float) -> tuple[bool, str]:
        """Start, wait until ready, wait for the end. Return whether it was ready, and how it ended."""
        child = await self._spawn(component)
        self._children[component.name] = child
        self._note(component.name)
        exited = asyncio.create_task(child.wait(), name=f"{component.name} exit")
        try:
            await self._unless_stopping(self._until_ready(component, exited))
            was_ready = not exited.done()
            if was_ready:
                self._note(component.name, state=State.READY, detail="", ready_after_s=time.monotonic() - first_attempt)
                self._ready[component.name].set()
            return was_ready, describe_exit(await self._unless_stopping(child.wait()))
        except _StopRequestedError:
            await self._stop_in_turn(component, child)
            raise
        finally:
            await child.stop(component.stop_signal, component.stop_grace_s)
            exited.cancel()
            if component.tidy is not None:
                component.tidy()
            del self._children[component.name]
            self._note(component.name)

    async def _spawn(self, component: Component) -> Child:
        try:
            if component.prepare is not None:
                await self._unless_stopping(component.prepare())
            return Child.start(
                component.command,
                environment={**os.environ, **component.environment},
                cwd=component.cwd,
                log=self._log(component.name),
                death_signal=component.death_signal,
            )
        except (OSError, subprocess.SubprocessError, PrepareError) as error:
            raise StartError(str(error)) from error

    async def _until_ready(self, component: Component, exited: asyncio.Task[int]) -> None:
        """Return when the component says that it works, or has exited; raise StartError when it takes too long."""
        deadline = time.monotonic() + component.start_timeout_s
        while not exited.done():
            lacks = await missing(component, _READY_CHECK_TIMEOUT_S)
            if lacks is None:
                return
            self._note(component.name, detail=lacks)
            if time.monotonic() > deadline and not self._ready[component.name].is_set():
                waited = f"not ready after {component.start_timeout_s:.0f} s"
                raise StartError(f"{waited}: {lacks}; see {self._log(component.name)}")
            await asyncio.wait([exited], timeout=_READY_POLL_S)

    async def _stop_in_turn(self, component: Component, child: Child) -> None:
        for name in self._dependents[component.name]:
            await self._stopped[name].wait()
        self._note(component.name, state=State.STOPPING, detail="")
        graceful = await child.stop(component.stop_signal, component.stop_grace_s)
        if not graceful:
            self._note(component.name, detail=f"killed after {component.stop_grace_s:.0f} s")

    async def _unless_stopping(self, awaitable: Awaitable[T]) -> T:
        """Await; raise _StopRequestedError instead when the stack is stopped meanwhile."""
        work = asyncio.ensure_future(awaitable)
        stopping = asyncio.ensure_future(self._stopping.wait())
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
        restarted: bool = False,
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
                    restarts=status.restarts + restarted,
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
        for event in self._ready.values():
            await event.wait()
        if self._snapshot.phase is Phase.STARTING:
            self._snapshot = replace(self._snapshot, phase=Phase.READY)
            self._publish()

    async def _rotate_logs(self) -> None:
        while True:
            rotate([self._log(component.name) for component in self._components], self._log_limits)
            await asyncio.sleep(_ROTATE_EVERY_S)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"
