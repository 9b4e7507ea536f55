"""A version that serves with nothing beside it and is slow, or predicts what is invalid: how often one that is as good
as the version before is taken back, and how soon one that is worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from headrace_statistics.canary.bets import HIGHEST_TOLERATED, SLOW_NATS_PER_TICK
from headrace_statistics.canary.intervals import rate_bounds
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.wealth import FIRST_STAKE, RISE_LOG_WEIGHTS, RISES, alone_gains, mixture
from scipy import stats

from tests.statistics.figures import NOTHING, Figure, Table

POLICY = Policy()
METRICS = 4
NEEDED = math.log(METRICS / POLICY.alpha)
RPS, BLOCKS, BLOCK_S, LOOKS = 200, 12, 300, 300
# As the rollout service has them.
SLOW_FACTOR, BURDEN_FACTOR, BURDEN_ERRORS, BURDEN_S = 1.5, 1.5, 3.0, 30.0
# Durations are lognormal.
SPREAD = 0.5
WEEK, DAY = 7 * 86_400.0, 86_400.0


@dataclass(frozen=True)
class Answers:
    """Durations of one version. factor: how many times as long as before. pause_every_s: mean time between pauses of
    the machine, of a second on average. halved_every_s: between times in which all takes twice as long, of a quarter of
    an hour on average. hits: of the cache of the version before; that of the new one is cold, and fills in a minute.
    """

    factor: float = 1.0
    pause_every_s: float = 600.0
    halved_every_s: float = math.inf
    hits: float = 0.0


def slow_share(factor: np.ndarray | float) -> np.ndarray:
    """Return the share of answers beyond the SLO that the version before had learned from."""
    limit = stats.norm.isf(0.01) + math.log(SLOW_FACTOR) / SPREAD
    return stats.norm.sf(limit - np.log(factor) / SPREAD)


def alone(rng: np.random.Generator, runs: int) -> Table:
    """Slow and invalid answers of a version with nothing beside it, against the worst five minutes of the hour before.

    Slow is half as long again as the slowest hundredth of that hour. "Seconds unbounded" is without the bound on what
    one second of slow answers proves.
    """
    equal = {
        "equal, the machine pauses every ten minutes": (Answers(), True),
        "equal, cold after a version with 80 % hits": (Answers(hits=0.8), True),
        "equal, all takes twice as long once a week": (Answers(halved_every_s=WEEK), True),
        "equal, all takes twice as long once a day": (Answers(halved_every_s=DAY), False),
    }
    figures = []
    for what, (answers, barred) in equal.items():
        found, unlimited = (_slow(rng, runs, answers, limit) for limit in (SLOW_NATS_PER_TICK, math.inf))
        figures.append(_kept(what, found, barred, f"seconds unbounded: {int(np.isfinite(unlimited).sum())}"))
    figures.append(_kept("equal, 0.01 % invalid", _invalid(rng, runs, 0.0001), True, NOTHING))
    for factor in (1.5, 2.0, 3.0):
        found = _slow(rng, min(runs, 400), Answers(factor), SLOW_NATS_PER_TICK)
        figures.append(_taken_back(f"{factor:g} times as slow", found, barred=factor >= 2))
    for share in (0.01, 0.05, 1.0):
        found = _invalid(rng, min(runs, 400), share)
        figures.append(_taken_back(f"0.01 % → {100 * share:g} % invalid", found, barred=True))
    return Table("A version that serves alone, slow or invalid: rolled back within 300 s at 200/s", tuple(figures))


def _slow(rng: np.random.Generator, runs: int, answers: Answers, limit: float) -> np.ndarray:
    """Return when each run is rolled back; infinite for never. limit: of what a bet gains in a second."""
    seconds = BLOCKS * BLOCK_S + LOOKS
    # Of each run, when the machine is at half its speed, from long before the hour.
    began = seconds - rng.exponential(answers.halved_every_s, runs) if answers.halved_every_s < math.inf else np.inf
    until = began + rng.exponential(900.0, runs)

    def share(second: float, factor: np.ndarray | float) -> np.ndarray:
        halved = (np.asarray(began) <= second) & (until > second)
        paused = np.minimum(rng.poisson(1 / answers.pause_every_s, runs) * rng.exponential(1.0, runs), 1.0)
        return paused + (1 - paused) * slow_share(factor * np.where(halved, 2.0, 1.0))

    before = RPS * (1 - answers.hits)
    worst = np.zeros(runs)
    for block in range(BLOCKS):
        # Seconds of a block are alike but for pauses.
        paused = np.minimum(rng.poisson(BLOCK_S / answers.pause_every_s, runs) / BLOCK_S, 1.0)
        halved = (np.asarray(began) <= block * BLOCK_S + 150) & (until > block * BLOCK_S + 150)
        rate = paused + (1 - paused) * slow_share(np.where(halved, 2.0, 1.0))
        worst = np.maximum(worst, rng.binomial(int(before * BLOCK_S), rate))
    past = _tolerated(worst, int(before * BLOCK_S))
    bets, kept = Bets(runs, limit), math.exp(-1 / BURDEN_S)
    late, late_s = np.zeros(runs), 0.0
    for second in range(1, LOOKS + 1):
        warm = answers.hits * (1 - math.exp(-second / 60.0))
        computed = RPS * (1 - warm)
        # What computes five times as much has its requests wait for twice as long.
        waits = 1.0 + (computed / before - 1) / 4
        slow = share(BLOCKS * BLOCK_S + second, answers.factor * waits)
        asked = rng.poisson(computed, runs)
        late, late_s = kept * late + asked, kept * late_s + 1
        away = asked - (most := BURDEN_FACTOR * before)
        certain = np.abs(away) > BURDEN_ERRORS * math.sqrt(most)
        burdened = np.where(certain, away > 0, late > most * late_s)
        bets.take(second, asked, rng.binomial(asked, slow), np.where(burdened, HIGHEST_TOLERATED, past))
    return bets.found


def _invalid(rng: np.random.Generator, runs: int, share: float) -> np.ndarray:
    worst = rng.binomial(BLOCK_S * RPS, 0.0001, (runs, BLOCKS)).max(axis=1)
    past, bets = _tolerated(worst, BLOCK_S * RPS), Bets(runs, math.inf)
    for second in range(1, LOOKS + 1):
        asked = rng.poisson(RPS, runs)
        bets.take(second, asked, rng.binomial(asked, share), past)
    return bets.found


def _tolerated(worst: np.ndarray, requests: int) -> np.ndarray:
    highest = {bad: rate_bounds(int(bad), requests, POLICY.alpha / 10)[1] for bad in np.unique(worst)}
    high = np.array([highest[bad] for bad in worst])
    return np.minimum(HIGHEST_TOLERATED, POLICY.tolerated_ratio * high + POLICY.margin_rate)


class Bets:
    """The bets of many runs, with their log wealth. found: when each led to a rollback. That they are those of the
    judgement is a unit test.
    """

    def __init__(self, runs: int, limit: float) -> None:
        self.log_wealth, self.found = np.full((runs, RISES.size), math.log(FIRST_STAKE)), np.full(runs, np.inf)
        self._limit = limit

    def take(self, second: int, asked: np.ndarray, bad: np.ndarray, tolerated: np.ndarray) -> None:
        self.log_wealth += np.minimum(alone_gains(asked, bad, tolerated), self._limit)
        wealth = mixture(self.log_wealth, RISE_LOG_WEIGHTS)
        self.found = np.where((wealth >= NEEDED) & np.isinf(self.found), second, self.found)


def _kept(what: str, found: np.ndarray, barred: bool, others: str) -> Figure:
    count = int(np.isfinite(found).sum())
    held = not barred or bool(stats.binom.sf(count - 1, found.size, POLICY.alpha) >= 0.01)
    return Figure(what, f"{count} of {found.size:,}", "≤ .1 %" if barred else NOTHING, held, others)


def _taken_back(what: str, found: np.ndarray, *, barred: bool) -> Figure:
    median, p95 = (float(np.percentile(found, at, method="higher")) for at in (50, 95))
    said = [f"{at:.0f} s" if math.isfinite(at) else "never" for at in (median, p95)]
    bar = "< 60 s" if barred else NOTHING
    return Figure(what, f"{said[0]}, p95 {said[1]}", bar, not barred or median < 60)
