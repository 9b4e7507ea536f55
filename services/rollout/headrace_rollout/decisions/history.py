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

    @property
    def accepted(self) -> int:
        """Those that were not refused."""
        return self.asked - self.refused


def tolerated_refusals(blocks: Sequence[Block]) -> float | None:
    """Return the share of refusals of a version alone that is its callers'; None where too little is known."""
    known = _known(blocks)
    return max(one.refused / one.asked for one in known) + SPARE_REFUSALS if known else None


def past(blocks: Sequence[Block], alpha: float) -> Past:
    """Return errors and timeouts in the block that may have been the worst; nothing where too little is known."""
    # Of a few requests that were not refused any rate may have been the true one.
    known = [one for one in _known(blocks) if one.accepted >= ENOUGH_IN_BLOCK]
    if not known:
        return NO_PAST
    counts = {
        Metric.ERRORS: [(one.errors, one.accepted) for one in known],
        Metric.TIMEOUTS: [(one.timeouts, one.accepted) for one in known],
    }
    return {metric: max(found, key=lambda one: rate_bounds(*one, alpha)[1]) for metric, found in counts.items()}


def _known(blocks: Sequence[Block]) -> list[Block]:
    found = [one for one in blocks if one.asked >= ENOUGH_IN_BLOCK]
    return found if sum(one.asked for one in found) >= ENOUGH_ASKED else []
