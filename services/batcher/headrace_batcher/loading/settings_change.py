"""Serving settings that change while a version serves: its next batches follow them. Where they concern the backend, it
reloads the version first and answers by the former settings meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from headrace_runtime.artifacts.cache import ArtifactError
from headrace_runtime.backends.backend import BackendLost, LoadError, ModelError
from headrace_runtime.shapes import WrongInput, WrongOutput

from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.batching.execution_gate import ExecutionGate
from headrace_batcher.decisions.version_state import Opened, Phase
from headrace_batcher.loading.held import Held
from headrace_batcher.loading.holdings import Holding
from headrace_batcher.loading.loader import Loader

log = structlog.get_logger()

# What waited when settings changed is answered within a few executions. It is given up when it is not.
RETIRE_S, _RETIRE_POLL_S = 30.0, 0.02


class Settling:
    """Puts serving settings into force, one version at a time where the backend loads again.

    crashed: called when the process that runs a version has ended. became_ready: called each time a version is loaded
    again. wake: called when that has ended. attempt_s: the longest that one may take.
    """

    def __init__(
        self,
        holding: Holding,
        loader: Loader,
        gate: ExecutionGate,
        *,
        crashed: Callable[[Held, str], None],
        became_ready: Callable[[Held], None],
        wake: Callable[[], None],
        attempt_s: float,
    ) -> None:
        self._holding, self._loader, self._gate = holding, loader, gate
        self._crashed, self._became_ready = crashed, became_ready
        self._wake, self._attempt_s = wake, attempt_s
        self.reloading = False
        """Whether the backend loads a version again: nothing else is loaded meanwhile."""

    def step(self, tasks: asyncio.TaskGroup) -> None:
        """Begin what is due for the versions that serve; the others load by the settings that they are wanted with."""
        for held in list(self._holding):
            wanted = held.wanted
            if not held.serves or wanted.serving_revision in (held.serving_revision, held.refused_revision):
                continue
            if held.on_demand:  # the next load applies them
                held.serving_revision, held.refusal = wanted.serving_revision, ""
                continue
            if held.opened is None or held.opened.suits(wanted):
                self._apply(held, tasks)
            # A former batcher's batches may be larger than the new configuration allows, so wait for its end.
            elif not self.reloading and not held.settling and self._gate.open:
                self.reloading = True
                held.settling += 1
                self._gate.begin_loading()
                tasks.create_task(self._reload(held, tasks), name=f"reload {held.name}")

    def _apply(self, held: Held, tasks: asyncio.TaskGroup) -> None:
        held.serving_revision, held.refusal = held.wanted.serving_revision, ""
        if not held.forms_as_wanted:
            before = self._holding.replace_batcher(held, tasks, crashed=self._crashed)
            held.settling += 1
            tasks.create_task(self._retire(held, *before), name=f"retire {held.name}")
        self._holding.move(held, held.phase, held.reason)  # tells the control plane
        log.info("serving settings in force", model=held.name, revision=held.serving_revision)

    async def _reload(self, held: Held, tasks: asyncio.TaskGroup) -> None:
        """Have the backend load a version again, which answers by what was there before meanwhile."""
        revision, before = held.wanted.serving_revision, held.opened
        try:
            async with asyncio.timeout(self._attempt_s):
                await self._loader.reload(held, [one for one in self._holding if one is not held])
        except TimeoutError:
            self._refused(held, revision, before, f"it was not loaded within {self._attempt_s:g} s")
        except BackendLost as error:  # which says nothing of the settings
            held.opened = before
            log.warning("serving settings not taken", model=held.name, revision=revision, cause=str(error))
        except (ArtifactError, LoadError, ModelError, WrongInput, WrongOutput) as error:
            self._refused(held, revision, before, str(error))
        except Exception as error:
            log.error("loading failed", model=held.name, exc_info=error)
            self._refused(held, revision, before, "internal error while loading")
        else:
            if held.serves and held.wanted.serving_revision == revision:
                self._apply(held, tasks)
            self._became_ready(held)
        finally:
            self.reloading = False
            held.settling -= 1
            self._gate.end_loading()
            self._wake()

    def _refused(self, held: Held, revision: int, before: Opened | None, reason: str) -> None:
        held.opened = before
        if held.phase is Phase.READY:
            held.refused_revision, held.refusal = revision, f"serving settings not taken: {reason}"
        log.warning("serving settings not taken", model=held.name, revision=revision, cause=reason)

    async def _retire(self, held: Held, batcher: Batcher, serving: asyncio.Task[None]) -> None:
        """End a batcher that gets nothing new, once it has answered what it has."""
        for _ in range(round(RETIRE_S / _RETIRE_POLL_S)):
            if not batcher.rows:
                break
            await asyncio.sleep(_RETIRE_POLL_S)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        held.settling -= 1
        self._wake()
