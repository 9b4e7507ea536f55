"""What batchers report that they hold, and whether that is enough to serve a version."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime


class Phase(enum.IntEnum):
    """How far a batcher is with a version; the numbers are the proto's."""

    LOADING = 1
    READY = 2
    FAILED = 3
    DRAINING = 4


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a batcher is, or one version in it: rows that wait or execute, and the predicted wait of a new one.

    queued: of the rows, those that wait. answered, shed, compute_s: of one version, since the batcher held it.
    variation: of what executions of the same size take.
    """

    rows: int
    wait_s: float
    queued: int = 0
    answered: int = 0
    shed: int = 0
    compute_s: float = 0.0
    variation: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """One version in one batcher. reason: why it failed. load_s: how long it took to make it ready the last time, None
    before the first. serving_revision: of the settings that it serves by.
    """

    phase: Phase
    reason: str = ""
    load_s: float | None = None
    serving_revision: int = 0


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What else a batcher says, which no change waits for.

    load: over all versions, None when it does not say; loads: by digest. computes: where it executes them, by digest:
    number of the way in the API, and why. unwanted: what it still holds though nothing
    wants it, by digest. draining: it is about to stop. gpu: shares of its GPUs' time and memory that are used; None
    where none is visible. formats: of the registry's API that it runs; none, from a release before formats, is ONNX.
    """

    load: Load | None = None
    loads: Mapping[str, Load] = field(default_factory=dict)
    unwanted: Mapping[str, Held] = field(default_factory=dict)
    draining: bool = False
    gpu: tuple[float, float] | None = None
    formats: tuple[int, ...] = ()
    computes: Mapping[str, tuple[int, str]] = field(default_factory=dict)


NOTHING_MORE = Occupancy()


@dataclass(frozen=True, slots=True)
class Report:
    """All that a batcher process holds, valid until its lease expires. versions: those wanted, by digest."""

    pool: str
    process: str
    address: str
    expires_at: datetime
    versions: Mapping[str, Held] = field(default_factory=dict)
    occupancy: Occupancy = NOTHING_MORE


@dataclass(frozen=True, slots=True)
class Needed:
    """A version that must be ready in a pool. model: empty for the route's own; another's is a pipeline's member."""

    version: str
    digest: str
    pool: str
    model: str = ""

    @property
    def name(self) -> str:
        """Return what people call it beside the model of its route."""
        return f"{self.model}@{self.version}" if self.model else self.version


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far a pool is with a version: numbers of live batchers. failure: why one of those that failed did."""

    needed: Needed
    batchers: int
    ready: int
    loading: int
    failed: int
    failure: str = ""


class Fleet:
    """The batchers whose reports are valid at one time, by pool."""

    def __init__(self, reports: Iterable[Report], now: datetime) -> None:
        self.now = now
        self._pools: dict[str, list[Report]] = {}
        for report in reports:
            if report.expires_at > now:
                self._pools.setdefault(report.pool, []).append(report)

    def batchers(self, pool: str = "") -> list[Report]:
        """Return the reports of one pool, or of every pool, by pool and address."""
        found = [report for name, reports in self._pools.items() if pool in ("", name) for report in reports]
        return sorted(found, key=lambda report: (report.pool, report.address, report.process))

    def lacks(self, needed: Iterable[Needed], *, grace_over: bool) -> str | None:
        """Return why not everything needed is ready, as a sentence about the first that is not; None when all is.

        Ready means on every batcher of the pool; once `grace_over`, on at least half of them and on one: a batcher that
        hangs may hold up a change for a while, not for ever.
        """
        for one in needed:
            state = self.readiness(one)
            if not state.batchers:
                return f"version '{one.name}' needs pool '{one.pool}', which has no batcher"
            enough = max(1, (state.batchers + 1) // 2) if grace_over else state.batchers
            if state.ready < enough:
                return _describe(state)
        return None

    def readiness_of_all(self, needed: Needed, members: Iterable[Needed]) -> Readiness:
        """Return how far a pool is with a version: of a pipeline, with the member that is the least far."""
        states = [self.readiness(one) for one in members] or [self.readiness(needed)]
        least = min(states, key=lambda state: (state.ready - state.batchers, -state.failed))
        return replace(least, needed=needed)

    def readiness(self, needed: Needed) -> Readiness:
        """Return how far the pool is with a version."""
        batchers = self._pools.get(needed.pool, ())
        held = [state for report in batchers if (state := report.versions.get(needed.digest)) is not None]
        phases = Counter(state.phase for state in held)
        failures = sorted({state.reason for state in held if state.phase is Phase.FAILED})
        return Readiness(
            needed,
            len(batchers),
            phases[Phase.READY],
            phases[Phase.LOADING],
            phases[Phase.FAILED],
            (failures[0] or "loading failed") if failures else "",
        )


def _describe(state: Readiness) -> str:
    needed = state.needed
    where = f"version '{needed.name}' is ready on {state.ready} of {state.batchers} batchers of pool '{needed.pool}'"
    return f"{where}: {state.failure}" if state.failure else where


ONNX = 1
"""The format of a batcher that names none, by its number in the registry's API: it is of a release before formats."""


def formats_by_pool(reports: Iterable[Report]) -> Mapping[str, frozenset[int]]:
    """Return what every batcher of each pool runs: a version goes to all of them."""
    pools: dict[str, frozenset[int]] = {}
    for report in reports:
        formats = frozenset(report.occupancy.formats or (ONNX,))
        pools[report.pool] = pools.get(report.pool, formats) & formats
    return dict(sorted(pools.items()))
