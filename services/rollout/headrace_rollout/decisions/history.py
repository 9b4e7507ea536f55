"""What the version before had in the hour before a rollout: for a version that serves with nothing beside it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace_statistics.canary.counts import Metric
from headrace_statistics.canary.intervals import rate_bounds
from headrace_statistics.canary.state import NO_PAST, Past

# Fewer requests in all say too little, and in one block.
ENOUGH_ASKED, ENOUGH_IN_BLOCK = 1000, 100
# What share of everything one caller may have refused who begins to ask for what no version takes: few send that much.
SPARE_REFUSALS = 0.2


@dataclass(frozen=True, slots=True)
class Block:
    """Some minutes. asked: requests that were to be computed. refused, errors, timeouts: of them."""

    asked: int
    refused: int = 0
    errors: int = 0
    timeouts: int = 0


def tolerated_refusals(blocks: Sequence[Block]) -> float | None:
    """Return the share of refusals of a version alone that is its callers'; None where too little is known."""
    known = _known(blocks)
    return max(one.refused / one.asked for one in known) + SPARE_REFUSALS if known else None


def past(blocks: Sequence[Block], alpha: float) -> Past:
    """Return errors and timeouts in the block that may have been the worst; nothing where too little is known."""
    counts = {
        Metric.ERRORS: [(one.errors, one.asked - one.refused) for one in _known(blocks)],
        Metric.TIMEOUTS: [(one.timeouts, one.asked - one.refused) for one in _known(blocks)],
    }
    if not any(counts.values()):
        return NO_PAST
    return {metric: max(found, key=lambda one: rate_bounds(*one, alpha)[1]) for metric, found in counts.items()}


def _known(blocks: Sequence[Block]) -> list[Block]:
    found = [one for one in blocks if one.asked >= ENOUGH_IN_BLOCK]
    return found if sum(one.asked for one in found) >= ENOUGH_ASKED else []
