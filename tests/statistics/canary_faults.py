"""Canaries beside faults of everything, with small rises, and with slow answers: through the service's judgement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from headrace_rollout.decisions.policies import Policy
from headrace_rollout.decisions.rollouts import State

from tests.statistics.figures import NOTHING, Figure, Table
from tests.statistics.judged_rollouts import NEW, OLD, JudgedRollout, answers, ends, policy_of

Law = Callable[[np.random.Generator, int], np.ndarray]


@dataclass
class Fault:
    """Errors of everything for a while. base: rate of errors otherwise. lag: seconds by which the canary meets it later
    than the baseline. step, after: where and how many seconds into it the fault begins.
    """

    rate: float
    lasts: float
    lag: float = 0.0
    step: int = 0
    after: float = 20.0
    base: float = 0.002
    begins: float | None = None

    def rates(self, judged: JudgedRollout) -> tuple[float, float]:
        """Return the rates of the canary and the baseline in the next second."""
        if self.begins is None and judged.rollout.step >= self.step:
            self.begins = judged.second + self.after
        return self._rate(judged.second, max(0.0, self.lag)), self._rate(judged.second, max(0.0, -self.lag))

    def _rate(self, second: int, lag: float) -> float:
        if self.begins is None:
            return self.base
        begins = self.begins + lag
        inside = max(0.0, min(second + 1, begins + self.lasts) - max(second, begins))
        return self.base + inside * (self.rate - self.base)


# Shares of requests that fail, and for how long.
FAULTS = {"30 % for a minute": (0.3, 60.0), "all for ten seconds": (1.0, 10.0)}


def outages(rng: np.random.Generator, runs: int) -> Table:
    """Something fails for everything, also seconds later in one arm, in the first step and in the last, which has the
    version before beside it until it is over. .2 % fail otherwise.
    """
    figures = []
    for what, (rate, lasts) in FAULTS.items():
        for rps in (50, 2_300):
            found = [
                _run(rng, policy_of(0.5, 1.0, dwell_s=40), rps, Fault(rate, lasts, step=1, after=5 + rng.random()), 240)
                for _ in range(runs)
            ]
            figures.append(_good(f"{what}, last step, {rps:,}/s", found))
        for lag in (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0):
            for rps in (200, 7_000):
                policy = policy_of(0.05, 1.0, dwell_s=600)
                found = [
                    _run(rng, policy, rps, Fault(rate, lasts, lag, after=20 + rng.random()), 100) for _ in range(runs)
                ]
                figures.append(_good(f"{what}, canary {lag:+g} s, {rps:,}/s", found, barred=abs(lag) <= 2))
    return Table("Faults of everything: good canaries taken back", tuple(figures))


def small_rises(rng: np.random.Generator, runs: int) -> Table:
    """Errors at ratios around the tolerated 1.5, counted every five seconds, at 5 and 50 % for two hours at most."""
    figures = []
    for base, rps in ((0.02, 500), (0.05, 500), (0.01, 5_000)):
        for ratio in (1.2, 1.7, 2.0, 2.5, 3.0):
            policy, found = policy_of(0.05, 0.5, 1.0, dwell_s=600), []
            for _ in range(runs):
                judged = JudgedRollout(policy)
                while judged.end is None and judged.second < 7_200:
                    asked = [rng.poisson(5 * rps * share) for share in (judged.share, 1 - judged.share)]
                    bad = rng.binomial(asked, [base * ratio, base])
                    judged.take(answers(NEW, asked[0], bad[0]) + answers(OLD, asked[1], bad[1]), seconds=5)
                found.append(judged)
            worse = ratio > 1.5
            (back, shown), (promoted, gone_on) = (ends(found, state) for state in (State.ROLLED_BACK, State.PROMOTING))
            at = sorted(one.second for one in found if one.end is State.ROLLED_BACK)
            held = promoted <= 0.05 * runs and back >= 0.9 * runs if worse else back == 0
            figures.append(
                Figure(
                    f"{100 * base:g} % times {ratio}, {rps:,}/s",
                    f"back {shown}{f', median {at[len(at) // 2]:,} s' if at else ''}; promoted {gone_on}",
                    "≥ 90 % back" if worse else "0 back",
                    held,
                )
            )
    return Table("Small rises of the error rate", tuple(figures))


def lognormal(median: float, spread: float) -> Law:
    return lambda rng, n: rng.lognormal(np.log(median), spread, n)


def mixed(median: float, slow: float, share: float) -> Law:
    """Most answers take about the median, a share much longer."""
    return lambda rng, n: np.where(rng.random(n) < share, slow, median) * rng.lognormal(0, 0.2, n)


def gamma(mean: float, shape: float) -> Law:
    return lambda rng, n: rng.gamma(shape, mean / shape, n)


# Laws of the version before and of the new one; the bar of a worse one: seconds at 200/s and at 7,000/s, None for none.
LAWS: dict[str, tuple[Law, Law, tuple[int | None, int | None] | None]] = {
    "equal, lognormal, spread 1.5": (lognormal(0.01, 1.5), lognormal(0.01, 1.5), None),
    "equal, 2 % take a second": (mixed(0.01, 1.0, 0.02), mixed(0.01, 1.0, 0.02), None),
    "equal, gamma of shape .5": (gamma(0.01, 0.5), gamma(0.01, 0.5), None),
    "1.2 times as slow": (lognormal(0.02, 0.5), lognormal(0.024, 0.5), (None, None)),
    "1.5 times as slow": (lognormal(0.02, 0.5), lognormal(0.03, 0.5), (120, 8)),
    "2 times as slow": (lognormal(0.02, 0.5), lognormal(0.04, 0.5), (20, 8)),
    "median 10 times, 1 % took a second": (mixed(0.01, 1.0, 0.01), mixed(0.1, 1.0, 0.01), (20, 8)),
    "median 10 times, 3 % took a second": (mixed(0.01, 1.0, 0.03), mixed(0.1, 1.0, 0.03), (20, 8)),
    "3 % take a second": (lognormal(0.01, 0.2), mixed(0.01, 1.0, 0.03), (60, 8)),
    "gamma, mean 4 times": (gamma(0.01, 0.5), gamma(0.04, 0.5), (20, 8)),
}


def slow_answers(rng: np.random.Generator, runs: int) -> Table:
    """Durations of both versions by law, at 5 %, for ten minutes at most: seconds until a rollback, median."""
    figures = []
    for what, (old, new, bars) in LAWS.items():
        for at, rps in enumerate((200, 7_000)):
            found = [_slow(rng, rps, old, new, 600 if rps == 200 else 60) for _ in range(runs)]
            if bars is None:
                figures.append(_good(f"{what}, {rps:,}/s", found))
                continue
            back, shown = ends(found, State.ROLLED_BACK)
            seconds = sorted(one.second if one.end is State.ROLLED_BACK else np.inf for one in found)
            median, bar = seconds[runs // 2], bars[at]
            ours = f"{median:g} s, back {shown}" if back * 2 > runs else f"back {shown}"
            shown_bar = NOTHING if bar is None else f"< {bar} s"
            figures.append(Figure(f"{what}, {rps:,}/s", ours, shown_bar, bar is None or median < bar))
    return Table("Slow answers, with what is installed", tuple(figures))


def _run(rng: np.random.Generator, policy: Policy, rps: int, fault: Fault, seconds: int) -> JudgedRollout:
    judged = JudgedRollout(policy)
    while judged.end is None and judged.second < seconds:
        asked = [rng.poisson(rps * share) for share in (judged.share, 1 - judged.share)]
        bad = rng.binomial(asked, fault.rates(judged))
        judged.take(answers(NEW, asked[0], bad[0]) + answers(OLD, asked[1], bad[1]))
    return judged


def _slow(rng: np.random.Generator, rps: int, old: Law, new: Law, seconds: int) -> JudgedRollout:
    judged = JudgedRollout(policy_of(0.05, 1.0, dwell_s=600), every=1)
    while judged.end is None and judged.second < seconds:
        counts = ()
        for arm, law, share in ((NEW, new, judged.share), (OLD, old, 1 - judged.share)):
            n = rng.poisson(rps * share)
            # As `judgement.bucket_of`.
            found = np.ceil((np.log2(law(rng, n)) + 20) * 64).astype(int)
            buckets, numbers = np.unique(np.maximum(found, 0), return_counts=True)
            counts += answers(arm, n, durations=dict(zip(buckets.tolist(), numbers.tolist(), strict=True)))
        judged.take(counts)
    return judged


def _good(what: str, found: list[JudgedRollout], *, barred: bool = True) -> Figure:
    back, shown = ends(found, State.ROLLED_BACK)
    return Figure(what, f"back {shown}", "0 back" if barred else NOTHING, not barred or back == 0)
