"""Attempts to load a version: fetch → verify → load → warm up → probe → READY, or why it is not, and when the next is.

They run beside serving; a version that fails is tried again with back-off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from headrace_runtime.artifacts.cache import ArtifactError
from headrace_runtime.backends.backend import BackendLost, LoadError, ModelError, Unanswered
from headrace_runtime.shapes import WrongInput, WrongOutput

from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_batcher.decisions import lifecycle
from headrace_batcher.decisions.version_state import End, Phase
from headrace_batcher.loading.evictions import Evicting
from headrace_batcher.loading.held import Held
from headrace_batcher.loading.holdings import Holding
from headrace_batcher.loading.loader import Loader, NoRoom

log = structlog.get_logger()


class Attempts:
    """Attempts to load versions; `decisions/lifecycle.py` decides when one begins. attempt_s: timeout of one attempt.
    became_ready: called each time a version is loaded. wake: called to decide again.
    """

    def __init__(
        self,
        holding: Holding,
        loader: Loader,
        gate: ExecutionGate,
        evicting: Evicting,
        *,
        attempt_s: float,
        became_ready: Callable[[Held], None],
        wake: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self._holding, self._loader, self._gate, self._evicting = holding, loader, gate, evicting
        self._attempt_s, self._became_ready = attempt_s, became_ready
        self._wake, self._now = wake, now
        # Grows whenever the backend goes: what was loaded before is not loaded any more.
        self._backend_incarnation = 0

    def begin(self, held: Held, tasks: asyncio.TaskGroup) -> None:
        """Begin to load a version."""
        self._holding.move(held, Phase.LOADING, "")
        self._gate.begin_loading()
        held.begin(tasks.create_task(self._load(held), name=f"load {held.name}"), self._now())

    def end(self, held: Held, why: End) -> None:
        """Cancel an attempt; it is over when its task has ended."""
        if held.ended is None and held.loading is not None:
            held.ended = why
            held.loading.cancel()
            log.warning("loading ended", model=held.name, why=why.name)

    def backend_down(self) -> None:
        """Note that the backend is gone: the result of a running attempt is not loaded any more."""
        self._backend_incarnation += 1

    def fail(self, held: Held, reason: str, **how: Any) -> None:
        """Take a version for failed; how: as `Held.count_failure` has it."""
        held.count_failure(self._now(), **how)
        if held.given_up:
            reason = f"{reason}; not tried again after {lifecycle.MAX_COSTLY} attempts until a request needs it"
        self._evicting.failed(held)
        self._holding.move(held, Phase.FAILED, reason)
        log.warning("version failed", model=held.name, reason=reason, failures=held.failures)

    async def _load(self, held: Held) -> None:
        """Make one version ready, or say why it is not."""
        incarnation, failure, took = self._backend_incarnation, None, {}
        try:
            took = await self._loader.load(held, [one for one in self._holding if one is not held])
        except asyncio.CancelledError:
            if held.ended is None:  # all of this ends
                raise
        except Exception as error:
            failure = error
        finally:
            attempt_s = held.stop(self._now())
            self._gate.end_loading()
            self._wake()
        if held.ended is not None:
            self._settle_ended(held, held.ended, attempt_s)
        elif failure is not None:
            self._settle_failure(held, failure, attempt_s)
        elif incarnation == self._backend_incarnation:
            self._make_ready(held, took)
        else:
            self._holding.move(held, Phase.WAITING, "the backend restarted")

    def _settle_ended(self, held: Held, why: End, attempt_s: float) -> None:
        if why is End.OVERDUE:
            reason = f"it was not loaded within {self._attempt_s:g} s"
            self.fail(held, reason, attempt_s=attempt_s, blamed=True)
        else:
            self._holding.move(held, Phase.WAITING, "others have their turn" if why is End.GIVES_WAY else "")

    def _settle_failure(self, held: Held, error: Exception, attempt_s: float) -> None:
        if isinstance(error, BackendLost) and not isinstance(error, Unanswered):
            self._lost(held, str(error), attempt_s)
        elif isinstance(error, (NoRoom, ArtifactError)):
            self.fail(held, str(error), short=isinstance(error, NoRoom), attempt_s=attempt_s)
        elif isinstance(error, (LoadError, ModelError, WrongInput, WrongOutput, Unanswered)):
            self.fail(held, str(error), attempt_s=attempt_s, blamed=True)
        else:
            log.error("loading failed", model=held.name, exc_info=error)
            self.fail(held, "internal error while loading", attempt_s=attempt_s)

    def _make_ready(self, held: Held, took: Mapping[str, float]) -> None:
        held.count_success()
        held.load_s = self._now() - held.loading_since
        self._evicting.became_ready(held, took["load_s"])
        held.batcher.accept()
        self._holding.move(held, Phase.READY, "")
        log.info("version ready", model=held.name, digest=held.wanted.digest, **took)
        self._became_ready(held)

    def _lost(self, held: Held, cause: str, attempt_s: float) -> None:
        """Take a version back whose loading ended because the backend went away. Once says nothing of the version."""
        if held.failures:
            reason = f"the backend went away while this version was loaded: {cause}"
            self.fail(held, reason, crashed=True, attempt_s=attempt_s)
            return
        held.count_loss(self._now())
        self._evicting.failed(held)
        self._holding.move(held, Phase.WAITING, f"the backend went away: {cause}")
