"""One version as this process holds it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace_runtime.backends.backend import ModelFiles
from headrace_runtime.probe import Probe

from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.decisions import lifecycle
from headrace_batcher.decisions.compute import Choice
from headrace_batcher.decisions.version_state import (
    End,
    Need,
    Opened,
    Phase,
    VersionState,
    VersionStatus,
    Wanted,
)
from headrace_batcher.metrics import BatchCounters


@dataclass(slots=True)
class Held:
    """A version that is wanted, or still here.

    rank: place in the demand, None when it is not wanted. serving: the loop of its batcher. stalled: loaded, but does
    not answer. failures: to load, in a row; losses: those of them that ended the backend. crashes: close to each other
    while it served; crashed_at: the last of those. used_s: time of the attempts to load it since it was last loaded;
    costly: long failed attempts in a row. change: the last that waited for it. loading_since, opening_since: as in
    `VersionState`. load_s: time from the start of the last load until ready. opened: configuration at the backend, None
    before the first load. serving_revision: of the serving settings in force; refused_revision: of those that the
    backend refused, and why. settling: number of tasks that bring new settings into force: a reload, and former
    batchers that answer their queue. on_demand: evicted, but still announced. answered_at: when it last answered, by a
    former batcher. loaded_at: when it last became ready. open_s: time of the backend's last load. compute: where it
    executes, None while unknown.
    """

    wanted: Wanted
    batcher: Batcher
    probe: Probe
    handle: int
    serving: asyncio.Task[None]
    counters: BatchCounters
    unwanted_since: float
    rank: int | None = None
    need: Need = Need.ACTIVE
    phase: Phase = Phase.WAITING
    reason: str = ""
    stalled: bool = False
    failures: int = 0
    losses: int = 0
    short: bool = False
    crashes: int = 0
    crashed_at: float = 0.0
    retry_at: float = 0.0
    cost_bytes: int = 0
    wanted_since: float = 0.0
    change: str = ""
    used_s: float = 0.0
    costly: int = 0
    loading: asyncio.Task[None] | None = None
    ended: End | None = None
    loading_since: float = 0.0
    opening_since: float = math.inf
    load_s: float | None = None
    opened: Opened | None = None
    serving_revision: int = 0
    refused_revision: int = 0
    refusal: str = ""
    settling: int = 0
    on_demand: bool = False
    answered_at: float = -math.inf
    loaded_at: float = -math.inf
    open_s: float = 0.0
    compute: Choice | None = None

    @property
    def name(self) -> str:
        """Return its name on the backend."""
        return self.wanted.name

    @property
    def serves(self) -> bool:
        """Return whether requests may be sent to it."""
        return self.on_demand or (self.phase is Phase.READY and not self.stalled)

    @property
    def forms_as_wanted(self) -> bool:
        """Return whether its batches are formed as its serving settings say."""
        return (self.batcher.limits, self.batcher.padding) == (self.wanted.limits, self.wanted.padding)

    def count_crash(self, now: float) -> None:
        """Count that what ran it went while it served, and say when it is loaded again."""
        self.crashes = 1 if now - self.crashed_at > lifecycle.CRASHES_FORGOTTEN_S else self.crashes + 1
        self.crashed_at, self.stalled = now, False
        self.retry_at = now + lifecycle.reload_after_s(self.crashes)

    def begin(self, loading: asyncio.Task[None], now: float) -> None:
        """Note that an attempt to load it begins, with its file."""
        self.loading, self.ended = loading, None
        self.loading_since, self.opening_since = now, math.inf

    def stop(self, now: float) -> float:
        """Note that the attempt is over; return what it took since the file was there, in seconds."""
        attempt_s = max(0.0, now - self.opening_since)
        self.loading, self.opening_since = None, math.inf
        self.used_s += attempt_s
        return attempt_s

    def want(self, wanted: Wanted, rank: int, now: float) -> None:
        """Record that it is wanted, and its rank. Clears its failures when it is wanted again: it was unwanted
        meanwhile, is needed more, or another change waits for it. Then it queues behind the versions that wait already.
        """
        if self.unwanted_since != math.inf or wanted.need < self.need or wanted.change not in ("", self.change):
            self.failures = self.losses = self.costly = 0
            self.used_s = self.retry_at = 0.0
            self.wanted_since = now
        self.rank, self.need, self.unwanted_since = rank, wanted.need, math.inf
        self.change = wanted.change or self.change
        # Under one digest only its serving settings may differ.
        self.wanted = wanted

    @property
    def given_up(self) -> bool:
        """Return whether it is not tried again until it is wanted again."""
        return self.costly >= lifecycle.MAX_COSTLY

    def count_failure(
        self, now: float, *, crashed: bool = False, short: bool = False, attempt_s: float = 0.0, blamed: bool = False
    ) -> None:
        """Count that it did not load, and say when that is tried again.

        crashed: it took the backend with it. short: there was no memory for it. blamed: nothing but the version can be
        the cause.
        """
        self.failures, self.short = self.failures + 1, short
        self.losses += crashed
        if blamed and attempt_s > lifecycle.CHEAP_S:
            self.costly += 1
        rest_s = lifecycle.retry_after_s(self.failures, self.losses if crashed else 0, attempt_s)
        self.retry_at = math.inf if self.given_up else now + rest_s

    def count_loss(self, now: float) -> None:
        """Count that the backend went while it was loaded, for the first time: it may not be the cause."""
        self.failures = self.losses = 1
        self.retry_at = now + lifecycle.FIRST_RETRY_S

    def count_success(self) -> None:
        """Count that it loaded: what failed before has nothing to do with what fails from now on."""
        self.failures = self.losses = self.costly = 0
        self.used_s, self.short = 0.0, False

    def status(self, now: float) -> VersionStatus:
        """Return its state for the control plane; one that does not answer is LOADING."""
        counters = self.counters
        return VersionStatus(
            self.wanted.digest,
            self._reported_phase,
            self.reason or self.refusal,
            self.rank is not None,
            rows=self.batcher.rows,
            wait_s=self.batcher.predicted_wait_s(now),
            load_s=self.load_s,
            queued=counters.queued_rows(),
            answered=counters.answered + counters.failed.total(),
            shed=counters.shed.total() + counters.expired,
            compute_s=counters.compute_s.total,
            serving_revision=self.serving_revision,
            variation=self.batcher.service_times.variation,
            compute=self.compute,
        )

    @property
    def _reported_phase(self) -> Phase:
        if self.on_demand and self.phase is not Phase.DRAINING:
            return Phase.READY
        return Phase.LOADING if self.stalled else self.phase

    def state(self) -> VersionState:
        """Return what decisions are made from."""
        return VersionState(
            self.wanted.digest,
            self.wanted.name,
            self.phase,
            self.rank,
            self.unwanted_since,
            self.retry_at,
            self.need,
            max(self.wanted.size_bytes, self.cost_bytes),
            self.short,
            self.failures,
            self.used_s,
            self.wanted_since,
            self.loading_since,
            self.opening_since,
            bool(self.losses),
            self.wanted.pinned,
            bool(self.batcher.rows) or self.batcher.asked,
            max(self.answered_at, self.batcher.last_answer),
            self.loaded_at,
            self.wanted.device != "CPU",
            self.settling > 0,
        )

    def files(self, path: Path, beside: Mapping[str, Path]) -> ModelFiles:
        """Return it as a backend loads it now, from the model file at `path` and those beside it."""
        wanted = self.wanted
        opened = self.opened = Opened.of(wanted, self.batcher.limits.max_rows)
        return ModelFiles(
            *(wanted.name, path, wanted.contract, opened.max_rows, opened.instances, opened.device),
            *(wanted.kept_as, wanted.model_file, beside),
        )
