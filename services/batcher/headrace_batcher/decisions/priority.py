"""ONLINE before SHADOW before BATCH: the share of the lower priorities while callers wait. Pure rules.

Callers are not to notice the lower priorities. An execution cannot be interrupted, so one that begins just before a
caller comes makes that caller wait. While ONLINE requests come, the others therefore have only what costs callers next
to nothing: room in batches that take no longer for it, executions that are short, and a small share that is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from headrace_batcher.decisions import policy
from headrace_batcher.decisions.policy import Cut, Limits, Wait, Waiting
from headrace_batcher.decisions.work import ONLINE, PRIORITIES

# Of the rows that go while a priority waits, this share is its own, whatever the more urgent ones want. As few callers
# are disturbed by it, so that their 99th percentile hardly moves.
SHARE = 0.01
# Without an ONLINE request for this long, lower priorities run freely.
QUIET_S = 0.5
# A short execution takes at most this share of the wait for batch-mates that the version declares, and no longer than
# those of callers do, who then wait no longer for it than for each other; except that callers never mind this long.
SHORT = 0.2
UNFELT_S = 0.0003
# A batch may take this much longer with others in it.
FREE = 1.05


class Credits:
    """The rows that each priority is owed: a share of what more urgent ones were served while it waited.

    While a priority waits, `served by it >= SHARE * served before it - largest credit`, since each batch adds the
    difference to its credit, and a credit is paid out as soon as it covers the next request.
    """

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows = [0.0] * len(PRIORITIES)

    def count(self, served: Sequence[int], waiting: Sequence[int]) -> None:
        """Count a batch. served, waiting: rows of each priority in it, and left in the queue after it."""
        before = 0
        for at, rows in enumerate(served):
            if at != ONLINE:
                self.rows[at] = max(0.0, self.rows[at] + SHARE * before - rows) if waiting[at] else 0.0
            before += rows


def room_beside(online_rows: int, limits: Limits, learnt_s: Callable[[int], float]) -> int:
    """Return how many rows a batch of `online_rows` may have with those of other priorities.

    The largest size that takes about as long: none where the time depends on the rows. learnt_s: service time of so
    many rows; it does not tell sizes between two powers of two apart, so the size below is compared with.
    """
    longest_s = FREE * learnt_s(max(1, online_rows // 2))
    sizes = (limits.max_rows, *reversed(limits.preferred_rows))
    return next((rows for rows in sizes if rows > online_rows and learnt_s(rows) <= longest_s), online_rows)


def short_rows(limits: Limits, learnt_s: Callable[[int], float], online_rows: float) -> int:
    """Return how many rows make a short execution, 0 when even one row takes too long.

    online_rows: of callers, in a usual batch of theirs.
    """
    longest_s = min(SHORT * limits.max_wait_s, max(UNFELT_S, learnt_s(max(1, round(online_rows)))))
    sizes = (limits.max_rows, *reversed(limits.preferred_rows), 1)
    return next((rows for rows in sizes if learnt_s(rows) <= longest_s), 0)


class Callers(NamedTuple):
    """What is known of ONLINE requests. at: when the last one came; rows: in a usual batch of theirs."""

    at: float
    rows: float


def next_step(
    waiting: Waiting,
    finishes: Sequence[float],
    limits: Limits,
    learnt_s: Callable[[int], float],
    callers: Callers,
    now: float,
) -> Cut | Wait:
    """Return whether to cut a batch now, and which. finishes: when each execution at the backend should end."""
    executing, ahead_at = len(finishes), policy.ahead_at(finishes, learnt_s(limits.max_rows))
    step = policy.next_step(waiting, executing, limits, ahead_at, now)
    return step if waiting.online else step_back(step, executing, limits, learnt_s, callers, now)


def step_back(
    step: Cut | Wait, executing: int, limits: Limits, learnt_s: Callable[[int], float], callers: Callers, now: float
) -> Cut | Wait:
    """Return what to do instead of a step without ONLINE requests."""
    quiet_at = callers.at + QUIET_S
    if now >= quiet_at:
        return step
    if isinstance(step, Wait) or executing >= limits.instances:
        return Wait(quiet_at, "callers may come")
    rows = min(step.rows, short_rows(limits, learnt_s, callers.rows))
    first_rows = 1 if step.group.first is None else step.group.first.rows
    if first_rows > rows:
        return Wait(quiet_at, "callers may come")
    return Cut(step.group, rows, "callers may come, but it is short")
