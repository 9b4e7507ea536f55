"""The baseline's traffic in the hour before a rollout, for a version that then serves alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headrace_statistics.canary.counts import ArmCounts, Metric
from headrace_statistics.canary.intervals import rate_bounds
from headrace_statistics.canary.state import NO_PAST, Past

from headrace_rollout.decisions.counts import Count, answered_and_refused

BLOCK_MINUTES, BLOCKS = 5, 12
# Fewer requests in all say too little, and in one block.
ENOUGH_ASKED, ENOUGH_IN_BLOCK = 1000, 100
# What share of everything one caller may have refused who begins to ask for what no version takes: few send that much.
SPARE_REFUSALS = 0.2


@dataclass(frozen=True, slots=True)
class Block:
    """Some minutes. answered: what was to be computed and was not refused. refused: the rest."""

    answered: ArmCounts
    refused: int = 0

    @property
    def asked(self) -> int:
        """All that was to be computed."""
        return self.answered.requests + self.refused


def block_of(counts: Iterable[Count], slow: Sequence[int]) -> Block:
    """Return the block of what was counted in it."""
    return Block(*answered_and_refused(counts, slow))


def tolerated_refusals(blocks: Sequence[Block]) -> float | None:
    """Return the share of refusals of a version alone that is its callers'; None where too little is known."""
    known = _known(blocks)
    return max(one.refused / one.asked for one in known) + SPARE_REFUSALS if known else None


def past(blocks: Sequence[Block], alpha: float, *, slow_known: bool) -> Past:
    """Return what each metric had in the block that may have been its worst; nothing where too little is known.

    slow_known: whether it is known what is slow.
    """
    # Of a few requests that were not refused any rate may have been the true one.
    known = [one.answered for one in _known(blocks) if one.answered.requests >= ENOUGH_IN_BLOCK]
    if not known:
        return NO_PAST
    metrics = [metric for metric in Metric if slow_known or metric is not Metric.SLO]
    counts = {metric: [(one.of(metric), one.requests) for one in known] for metric in metrics}
    return {metric: max(found, key=lambda one: rate_bounds(*one, alpha)[1]) for metric, found in counts.items()}


def busiest_rps(blocks: Sequence[Block]) -> float | None:
    """Return how many requests a second were answered in the busiest block; None where too little is known."""
    known = _known(blocks)
    return max(one.answered.requests for one in known) / (60.0 * BLOCK_MINUTES) if known else None


def _known(blocks: Sequence[Block]) -> list[Block]:
    found = [one for one in blocks if one.asked >= ENOUGH_IN_BLOCK]
    return found if sum(one.asked for one in found) >= ENOUGH_ASKED else []
