"""Which problems of pools are worth an alert: those that last. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from headrace_autoscaler.decisions.problems import Problem

# A single failed poll, or a replica that is slightly late, raises no alert.
RAISE_AFTER_S = 15.0
# A problem that recurs within this time continues its alert, such as repeated refusals or an intermittent signal.
CLEAR_AFTER_S = 60.0

Finding = tuple[str, Problem]
"""A pool, and a kind of problem of it."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """A problem that lasts. since_s: first found; found_s: last found; both by the monotonic clock."""

    since_s: float
    found_s: float
    sentences: str

    @property
    def raised(self) -> bool:
        """Whether it has lasted long enough for an alert."""
        return self.found_s - self.since_s >= RAISE_AFTER_S


Findings = Mapping[Finding, Lasting]


def follow(before: Findings, pools: Iterable[tuple[str, Sequence[tuple[Problem, str]]]], now_s: float) -> Findings:
    """Return the findings after another poll of the pools. pools: each with its current problems."""
    after = dict(_remembered(before, now_s))
    for pool, problems in pools:
        for kind in {kind for kind, _ in problems}:
            sentences = " ".join(sentence for one, sentence in problems if one is kind)
            known = after.get((pool, kind), Lasting(now_s, now_s, sentences))
            after[pool, kind] = replace(known, found_s=now_s, sentences=sentences)
    return after


def _remembered(before: Findings, now_s: float) -> Iterator[tuple[Finding, Lasting]]:
    for finding, lasting in before.items():
        if now_s - lasting.found_s <= (CLEAR_AFTER_S if lasting.raised else RAISE_AFTER_S):
            yield finding, lasting


def raised(findings: Findings) -> Iterator[tuple[Finding, Lasting]]:
    """Yield the findings that raise an alert, sorted."""
    for finding in sorted(findings):
        if findings[finding].raised:
            yield finding, findings[finding]
