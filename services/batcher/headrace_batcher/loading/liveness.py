"""Liveness probes: a row of zeros through each loaded version without a recent answer. A backend can be alive and not
answer: a GPU hangs, a model's process is stuck. A version that does not answer leaves service until it does; after
longer silence the version is reloaded, or the backend restarted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

import structlog
from headrace_runtime.backends.backend import Backend, BackendLost, ModelCrashed
from headrace_servicekit.peers import count, reason_of

from headrace_batcher.decisions.version_state import Phase
from headrace_batcher.loading.held import Held

log = structlog.get_logger()

# Silence of 2 s, a round, a probe of 1.5 s and a check of health, all at their longest, end within five seconds.
EVERY_S = 0.5
# Time that a probe has at least, and in multiples of what a row takes and of what waits before it.
MIN_DEADLINE_S, PATIENCE = 1.5, 4.0


class Service(Protocol):
    """What a probe reports to (`headrace_batcher.loading.versions.Versions`)."""

    @property
    def wedged(self) -> bool: ...

    def loaded(self) -> list[Held]: ...

    def stall(self, held: Held, reason: str) -> None: ...

    def resume(self, held: Held) -> None: ...

    def crashed(self, held: Held, reason: str) -> None: ...


class Supervisor(Protocol):
    """Who can end what is stuck (`headrace_runtime.backends.triton_process.TritonProcess`)."""

    def restart(self, reason: str) -> None: ...

    def end_model(self, name: str) -> bool: ...


@dataclass(slots=True)
class _Watched:
    """One version under watch. answered: when a probe last came back. silent_since: None while it answers."""

    answered: float
    silent_since: float | None = None
    probing: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Liveness:
    """What is known of one version: when it last answered anybody, and whether it is out of service."""

    digest: str
    answered: float
    stalled: bool


def due(known: Sequence[Liveness], silence_s: float, now: float) -> list[str]:
    """Return the versions to send a probe through now. silence_s: age from which an answer proves nothing any more.

    The one that has been silent for longest, so that probes cost the same however many versions there are; all that
    are silent once one does not answer, to learn whether it is alone with that.
    """
    stalled = [one.digest for one in known if one.stalled]
    silent = [one for one in known if not one.stalled and now - one.answered >= silence_s]
    if not stalled and silent:
        silent = [min(silent, key=lambda one: one.answered)]
    return stalled + [one.digest for one in silent]


def deadline_s(row_s: float, wait_s: float) -> float:
    """Return how long a probe may take. row_s: what a row takes. wait_s: what waits before it, both estimates."""
    return max(MIN_DEADLINE_S, PATIENCE * (row_s + wait_s))


class LivenessProbes:
    """Watches everything that is loaded.

    supervisor: None where the backend is not a child process. silence_s: for how long an answer proves that a version
    is alive. restart_after_s: silence after which a version is reloaded, or the backend restarted.
    """

    def __init__(
        self,
        backend: Backend,
        service: Service,
        *,
        supervisor: Supervisor | None,
        silence_s: float,
        restart_after_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._service = service
        self._supervisor = supervisor
        self._silence_s = silence_s
        self._restart_after_s = restart_after_s
        self._now = now
        self._watched: dict[str, _Watched] = {}
        self._backend_silent_since: float | None = None

    async def healthy(self) -> None:
        """Raise what is wrong: the backend does not answer, or no version on it does."""
        if not await self._backend.ready():
            raise BackendLost("the backend is not live")
        if self._service.wedged:
            raise BackendLost(f"no version answers: {self._service.loaded()[0].reason}")

    async def run(self) -> NoReturn:
        """Watch for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._check_all(tasks)
                await asyncio.sleep(EVERY_S)
        raise AssertionError  # the loop has no end; type checkers do not see it through the block

    async def _check_all(self, tasks: asyncio.TaskGroup) -> None:
        loaded = {held.wanted.digest: held for held in self._service.loaded()}
        now = self._now()
        self._watched = {digest: self._watched.get(digest) or _Watched(now) for digest in loaded}
        if not await self._live():
            for held in loaded.values():
                self._service.stall(held, "the backend does not answer")
        else:
            known = [
                Liveness(digest, max(held.batcher.last_answer, self._watched[digest].answered), held.stalled)
                for digest, held in loaded.items()
            ]
            for digest in due(known, self._silence_s, now):
                watched = self._watched[digest]
                if watched.probing is None or watched.probing.done():
                    watched.probing = tasks.create_task(
                        self._send(loaded[digest], watched), name=f"liveness probe {digest}"
                    )

    async def _live(self) -> bool:
        """Return whether the backend itself answers; restart it after too long a silence."""
        now = self._now()
        try:
            live = await self._backend.ready()
        except BackendLost:
            live = False
        if live:
            self._backend_silent_since = None
            return True
        if self._backend_silent_since is None:
            self._backend_silent_since = now
        elif self._supervisor is not None and now - self._backend_silent_since >= self._restart_after_s:
            self._backend_silent_since = None
            self._supervisor.restart(f"it has not answered for {self._restart_after_s:g} s")
        return False

    async def _send(self, held: Held, watched: _Watched) -> None:
        """Send one probe and act on what comes of it."""
        if held.phase is not Phase.READY:
            return
        incarnation, now = held.batcher.incarnation, self._now()
        # Versions may share threads, so the wait for any of them may be before this one.
        wait_s = max(other.batcher.predicted_wait_s(now) for other in (held, *self._service.loaded()))
        allowed_s = deadline_s(held.batcher.service_times.estimate(1, now), wait_s)
        try:
            async with asyncio.timeout(allowed_s):
                await held.probe.run(1)
        except TimeoutError:
            self._count_silence(held, f"a row of zeros was not answered within {allowed_s:.1f} s")
        except ModelCrashed as error:
            if incarnation == held.batcher.incarnation:
                self._service.crashed(held, str(error))
        except BackendLost:
            pass  # the backend's supervisor reports it
        except Exception as error:
            # An answer, if a bad one: what was right when it was loaded is wrong now.
            count("backend", error)
            log.warning("liveness probe failed", model=held.name, cause=reason_of(error))
            self._answered(held, watched)
        else:
            self._answered(held, watched)

    def _answered(self, held: Held, watched: _Watched) -> None:
        watched.answered, watched.silent_since = self._now(), None
        self._service.resume(held)

    def _count_silence(self, held: Held, reason: str) -> None:
        watched = self._watched.get(held.wanted.digest)
        now = self._now()
        if watched is None or held.batcher.last_answer > now - self._silence_s:
            return  # unloaded, or it has answered meanwhile
        self._service.stall(held, reason)
        if watched.silent_since is None:
            watched.silent_since = now
        elif now - watched.silent_since >= self._restart_after_s:
            watched.silent_since = None
            self._end(held, f"{reason}, for {self._restart_after_s:g} s")

    def _end(self, held: Held, reason: str) -> None:
        """Reload a version: end its stuck process, or the whole backend where models have no processes."""
        if self._supervisor is not None and not self._supervisor.end_model(held.name):
            self._supervisor.restart(f"'{held.name}': {reason}")
        else:
            self._service.crashed(held, reason)
