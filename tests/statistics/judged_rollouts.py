"""A rollout as the service runs it, from counts of each second: begin, take, judge, decide, with installed settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace_rollout.decisions import judgement, progress, routes
from headrace_rollout.decisions.counts import Arms, Count, Counts
from headrace_rollout.decisions.headroom import Room
from headrace_rollout.decisions.observation import Observation
from headrace_rollout.decisions.policies import DEFAULT, Policy, Step, completed
from headrace_rollout.decisions.rollouts import Rollout, State
from headrace_servicekit.errors import Code
from scipy import stats

NEW, OLD = ("v2", routes.VARIANT), ("v1", "main")
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def policy_of(*shares: float, dwell_s: float, sticky: bool = False) -> Policy:
    """Return the installed policy with steps of these shares, shorter ones than are installed."""
    steps = tuple(Step(share, timedelta(seconds=dwell_s)) for share in shares)
    return completed(replace(DEFAULT, steps=steps, sticky=sticky))


class JudgedRollout:
    """One rollout of v2 beside v1. second: that it is in. every: seconds between two verdicts; what is enough for a
    rollback stays enough.
    """

    def __init__(self, policy: Policy, every: int = 5) -> None:
        self.policy, self.second, self._every = policy, 0, every
        begun = Rollout(
            *(1, "digits", "v2", "v1", OLD[1], "default", "follow_production", "", policy, "", "", "ana", "", BEGIN),
            state=State.RUNNING,
            step=0,
            moving=True,
        )
        self.rollout = progress.moved(begun, "e", BEGIN).rollout
        self.record = judgement.begin(policy, "", BEGIN)

    @property
    def share(self) -> float:
        """Of the traffic, that the version has."""
        return self.rollout.share

    @property
    def end(self) -> State | None:
        """As which it is over, or is about to be; None while it runs."""
        return None if self.rollout.state is State.RUNNING else self.rollout.ends_as or self.rollout.state

    def take(self, counts: tuple[Count, ...], seconds: int = 1, **units: Any) -> None:
        """Take what was counted in the next second, or seconds."""
        self.second += seconds
        one, now = self.rollout, BEGIN + self.second * SECOND
        assert one.step_time is not None
        arms = Arms(NEW, OLD, alone=one.share == 1, share=one.share)
        new = Counts(now, seconds * SECOND, counts, **units)
        self.record = judgement.taken(self.record, self.policy, arms, new, "", one.step, one.step_time)
        if self.second % self._every:
            return
        verdict = judgement.verdict(self.record, self.policy, one.step, one.step_time, now)
        seen = Observation(one.manager, one.baseline, verdict=verdict, room=Room())
        after = progress.observed(one, seen, now).rollout
        self.rollout = progress.moved(after, "e", now).rollout if after.moving else after


def answers(
    arm: tuple[str, str], asked: int, bad: int = 0, durations: Mapping[int, int] | None = None
) -> tuple[Count, ...]:
    """Return what was answered to so many requests, of which some were faults. durations: of answers, by bucket."""
    first = min(durations, default=0) if durations else 0
    counts = tuple(durations.get(at, 0) for at in range(first, max(durations) + 1)) if durations else ()
    return (
        Count(*arm, online=True, code=0, count=int(asked - bad), first_bucket=first, durations=counts),
        Count(*arm, online=False, code=Code.INTERNAL, count=int(bad)),
    )


def ends(found: Sequence[JudgedRollout], state: State) -> tuple[int, str]:
    """Return how many ended so, and that with its 95 % interval (Clopper and Pearson)."""
    count, runs = sum(one.end is state for one in found), len(found)
    low, high = stats.binomtest(count, runs).proportion_ci()
    return count, f"{count} of {runs} ({100 * low:.0f}–{100 * high:.0f} %)"
