"""Whether a batcher that has just started can replace another one: a rolling restart goes on to the next one then."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from headrace_batcher.decisions.version_state import Need, Wanted

# Data planes look for a batcher that is away twice a second; by then all of them have found it.
KNOWN_AFTER_S = 1.0


def lacking(demand: Sequence[Wanted] | None, tried: Collection[str], listening_s: float) -> str | None:
    """Return what is still missing, or None.

    demand: None while nobody has said what is wanted. tried: digests of what was loaded or failed; a version that does
    not load must not hold up the others for ever. listening_s: for how long data planes could connect.
    """
    if demand is None:
        return "what is wanted here is not known yet"
    untried = [one for one in demand if one.need is Need.ACTIVE and one.digest not in tried]
    if untried:
        return f"{len(untried)} versions that serve are not loaded yet, such as {untried[0].name}"
    if listening_s < KNOWN_AFTER_S:
        return "data planes may not have come back yet"
    return None
