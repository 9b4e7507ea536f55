"""Whether a route held while its backend failed: pure, from what callers saw."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

WELL = "well"
METRIC = "game_day"
"""What a passed game day is measured as on its version: 1, a failed one as 0."""


class Fault(enum.StrEnum):
    """What is made of the backend."""

    DEAD = "dead"
    SLOW = "slow"
    WRONG = "wrong"
    WEDGE = "wedge"
    OUT_OF_MEMORY = "out-of-memory"


REQUIRED = (Fault.DEAD, Fault.SLOW, Fault.WRONG)
"""A game day with fewer passes nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Outcome of one request. error: its reason or code, empty for an answer. row: index of the request's row.

    matches: whether the answer equals the version's answer to the row without faults; None where that is unknown.
    """

    took_ms: float
    row: int
    error: str = ""
    version: str = ""
    step: str = ""
    degraded: bool = False
    matches: bool | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a route has to keep to. error_share: of requests of a phase. recover_s: from the end of a fault on."""

    error_share: float
    recover_s: float


@dataclass(frozen=True, slots=True)
class Phase:
    """What callers saw in one phase. hits: calls that the fault met, of all simulators. recovered_s: None for never."""

    name: str
    replies: Sequence[Reply]
    hits: int = 0
    recovered_s: float | None = None


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """A phase, counted and judged. problems: why it is not passed, in sentences; none when it is."""

    name: str
    requests: int
    own: int
    steps: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    errors: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    wrong: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    hits: int = 0
    recovered_s: float | None = None
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Return whether the route held."""
        return not self.problems


def judged(phase: Phase, version: str, bounds: Bounds) -> PhaseResult:
    """Return what a phase shows. version: which should answer where nothing is wrong."""
    replies = phase.replies
    answered = [one for one in replies if not one.error]
    took = [one.took_ms for one in answered]
    p50_ms, p99_ms = (float(value) for value in np.percentile(took, (50, 99))) if took else (None, None)
    result = PhaseResult(
        name=phase.name,
        requests=len(replies),
        own=sum(one.version == version and not one.degraded for one in answered),
        steps=Counter(one.step or "(no step)" for one in answered if one.degraded),
        errors=Counter(one.error for one in replies if one.error),
        wrong=sum(one.matches is False for one in answered if not one.degraded),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        hits=phase.hits,
        recovered_s=phase.recovered_s,
    )
    problems = _problems_while_well if phase.name == WELL else _problems
    return replace(result, problems=tuple(problems(result, version, bounds)))


def _problems(result: PhaseResult, version: str, bounds: Bounds) -> list[str]:
    found = _errors(result, bounds)
    if not result.hits:
        found.append(
            "the fault met no call: is the simulator in front of the batcher that serves the version, and does the "
            "batcher execute it in Triton (BATCHER_COMPUTE=triton)?"
        )
    elif not result.steps:
        found.append(
            "no fallback answered: has every batcher of the pool a simulator that was named, and the route a fallback "
            "that may? `headrace routes fallback show MODEL`"
        )
    if result.wrong:
        found.append(f"{result.wrong} wrong answers of {version} were passed on as good ones")
    if result.recovered_s is None:
        found.append(f"{version} did not answer again within {bounds.recover_s:g} s of the end of the fault")
    return found


def _problems_while_well(result: PhaseResult, version: str, bounds: Bounds) -> list[str]:
    found = _errors(result, bounds)
    if strangers := result.requests - sum(result.errors.values()) - result.own:
        found.append(f"{strangers} of {result.requests} requests were not answered by {version}")
    return found


def _errors(result: PhaseResult, bounds: Bounds) -> list[str]:
    failed = sum(result.errors.values())
    if not result.requests:
        return ["nothing was asked"]
    if failed <= bounds.error_share * result.requests:
        return []
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(result.errors.items()))
    found = [f"{failed} of {result.requests} requests got no answer ({reasons}); {bounds.error_share:.1%} may"]
    if "DEADLINE_EXCEEDED" in result.errors and result.steps:
        found.append("fallbacks were asked too late for some: leave them more time, as in `backup:v1,left=100ms`")
    return found


def complete(phases: Sequence[PhaseResult]) -> bool:
    """Return whether a game day had every fault that one has to have."""
    return set(REQUIRED) <= {phase.name for phase in phases}


def measured(phases: Sequence[PhaseResult]) -> float | None:
    """Return what a game day says of its version: 1 where the route held whatever it has to, 0 where it did not in one
    thing, which also takes back what an earlier day said; None where it says neither."""
    if any(phase.name in REQUIRED and not phase.passed for phase in phases):
        return 0.0
    return 1.0 if complete(phases) and passed(phases) else None


def passed(phases: Sequence[PhaseResult]) -> bool:
    """Return whether a route held in every phase."""
    return all(phase.passed for phase in phases)


def document(phase: PhaseResult) -> dict[str, Any]:
    """Return a phase as `--json` prints it."""
    return {
        "name": phase.name,
        "passed": phase.passed,
        "problems": list(phase.problems),
        "requests": phase.requests,
        "own": phase.own,
        "steps": dict(phase.steps),
        "errors": dict(phase.errors),
        "wrong": phase.wrong,
        "p50_ms": phase.p50_ms,
        "p99_ms": phase.p99_ms,
        "fault_hits": phase.hits,
        "recovered_s": phase.recovered_s,
    }
