"""How often a canary is rolled back without cause, and how soon with one."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from headrace_statistics.canary.bets import HIGHEST_TOLERATED, NATS_PER_S, RESTART_EVERY_S, paced, restart_stake
from headrace_statistics.canary.counts import Metric
from headrace_statistics.canary.intervals import rate_bounds
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.wealth import FIRST_STAKE, RISE_LOG_WEIGHTS, RISES, alone_gains, mixture, rise_gains
from scipy import stats

from tests.statistics.figures import NOTHING, Figure, Table

POLICY = Policy()
THRESHOLD = math.log(1 / POLICY.alpha)
SHARE = 0.05
# Medians of the prototype's table are of 100 runs each: so far they differ by chance. What arms may meet seconds apart
# is waited for.
CHANCE, WAIT_S = 1.2, 4

Counts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of each run in one second: requests and errors of the canary, and of the baseline."""
Bars = tuple[int | None, int | None, int | None, int | None]


class Bets:
    """The recursion of `betting.bet` for one metric and many runs at once; that it is the same is a unit test."""

    def __init__(self, runs: int) -> None:
        self.log_wealth = np.full((runs, RISES.size), math.log(FIRST_STAKE))
        self._due = np.zeros((runs, RISES.size))
        self._waiting: Counts = (np.zeros(runs), np.zeros(runs), np.zeros(runs), np.zeros(runs))
        self._restarts = 0

    def take(self, second: int, counts: Counts) -> np.ndarray:
        """Take a second in; return the log wealth of each run. second: from 1."""
        if second % int(RESTART_EVERY_S) == 0:
            self._restarts += 1
            self.log_wealth = np.logaddexp(self.log_wealth, restart_stake(self._restarts))
        n, c, m, b = (waiting + new for waiting, new in zip(self._waiting, counts, strict=True))
        both = (n > 0) & (m > 0)
        gained, due = paced(rise_gains(n, c, m, b, POLICY.tolerated_ratio, 0.0), self._due, NATS_PER_S)
        self.log_wealth += gained * both[:, None]
        self._due = np.where(both[:, None], due, self._due)
        self._waiting = (n * ~both, c * ~both, m * ~both, b * ~both)
        return mixture(self.log_wealth, RISE_LOG_WEIGHTS)


@dataclass
class Streams:
    """Answers of one second in runs of one kind.

    rps: requests that are computed. base, ratio: the baseline's error rate, and how many times that the canary's is.
    share: of the canary at a second. hits: of the baseline's cache, where the canary's is cold. client: share of all
    errors that come from one client, whose requests fail in either arm.
    """

    runs: int
    rps: float
    base: float | Callable[[int], float]
    ratio: float = 1.0
    share: Callable[[int], float] = field(default=lambda second: SHARE)
    hits: float = 0.0
    client: float = 0.0

    def second(self, rng: np.random.Generator, second: int) -> Counts:
        """Return the counts of a second."""
        share, base = self.share(second), self.base(second) if callable(self.base) else self.base
        n = rng.poisson(self.rps * share, self.runs)
        m = rng.poisson(self.rps * (1 - share) * (1 - self.hits), self.runs)
        own = base * (1 - self.client)
        c, b = rng.binomial(n, min(1.0, own * self.ratio)), rng.binomial(m, min(1.0, own))
        if self.client:
            failing = rng.poisson(self.rps * base * self.client, self.runs)
            of_canary = rng.binomial(failing, share)
            n, c, m, b = n + of_canary, c + of_canary, m + failing - of_canary, b + failing - of_canary
        return n, c, m, b


def ramp(second: int) -> float:
    """5, 10, 25 and 50 %, a quarter of an hour each."""
    return (0.05, 0.10, 0.25, 0.50)[min(second // 900, 3)]


def unrest(second: int) -> float:
    """2 %, and for a minute in each hour 30 % in both arms, as when something behind both is away."""
    return 0.30 if second % 3600 < 60 else 0.02


def false_rollbacks(rng: np.random.Generator, runs: int, looks: int) -> Table:
    """Share of rollouts of versions that are no worse than is tolerated that are rolled back within `looks` seconds."""
    tolerated = POLICY.tolerated_ratio
    cases = {
        "equal, errors .1 %": Streams(runs, 200, 0.001),
        "equal, errors 5 %": Streams(runs, 200, 0.05),
        "equal, errors 50 %": Streams(runs, 20, 0.5),
        "1.5 times, errors 2 %": Streams(runs, 200, 0.02, tolerated),
        "1.5 times, errors .1 %, 2,300/s": Streams(runs, 2300, 0.001, tolerated),
        "equal, ramp from 5 to 50 %": Streams(runs, 200, 0.02, share=ramp),
        "1.5 times, ramp from 5 to 50 %": Streams(runs, 200, 0.02, tolerated, ramp),
        "equal, cold beside a baseline with 80 % hits": Streams(runs, 200, 0.02, hits=0.8),
        "1.5 times, cold beside a baseline with 80 % hits": Streams(runs, 200, 0.02, tolerated, hits=0.8),
        "equal, one client has 30 % of all errors": Streams(runs, 200, 0.02, client=0.3),
        "equal, 30 % errors in both for a minute an hour": Streams(runs, 200, unrest),
    }
    bets, found = Bets(runs * len(cases)), np.full(runs * len(cases), np.inf)
    for second in range(1, looks + 1):
        parts = zip(*(streams.second(rng, second) for streams in cases.values()), strict=True)
        n, c, m, b = (np.concatenate(one) for one in parts)
        found = np.where(bets.take(second, (n, c, m, b)) >= THRESHOLD, np.minimum(found, second), found)
    figures = []
    for what, of_case in zip(cases, np.split(found, len(cases)), strict=True):
        count = int(np.isfinite(of_case).sum())
        # More than chance makes of one in a thousand.
        held = bool(stats.binom.sf(count - 1, runs, POLICY.alpha) >= 0.01)
        figures.append(Figure(what, f"{count} of {runs:,}", "≤ .1 %", held))
    return Table(f"Rolled back without cause, within {looks:,} s", tuple(figures))


# Base rate, the canary's, and the prototype's median seconds at 7000, 2300, 200 and 20 requests/s; None where the
# table has none within ten minutes.
DETECTION: tuple[tuple[float, float, Bars], ...] = (
    (0.001, 1.0, (1, 1, 1, 4)),
    (0.001, 0.05, (1, 1, 10, 93)),
    (0.001, 0.01, (3, 9, 76, None)),
    (0.001, 0.005, (11, 31, 362, None)),
    (0.001, 0.003, (45, 128, None, None)),
    (0.0001, 0.005, (3, None, None, None)),
)
RATES = (7000, 2300, 200, 20)


def detection(rng: np.random.Generator, runs: int) -> Table:
    """Median seconds until a rollback, of one metric, and with the six metrics that are judged together."""
    cases = [(f"errors {_share(base)} → {_share(bad)}", base, bad, bars) for base, bad, bars in DETECTION]
    figures = []
    for what, base, bad, bars in cases:
        for rps, bar in zip(RATES, bars, strict=True):
            if bar is None:
                continue
            streams = Streams(runs, rps, base, bad / base)
            found, six = (first_rollbacks(rng, streams, 900, metrics=metrics) for metrics in (1, len(Metric)))
            median = float(np.median(found))
            ours = f"{_seconds(found)}, p95 {_seconds(found, 95)}; of six metrics {_seconds(six)}"
            most = CHANCE * bar + WAIT_S
            figures.append(Figure(f"{what}, {rps}/s", ours, f"≤ {most:.0f} s", median <= most))
    return Table("Seconds until a worse canary with 5 % of the traffic is rolled back, median", tuple(figures))


def late_breakage(rng: np.random.Generator, runs: int) -> Table:
    """A version that was good for an hour is seen nearly as soon as one that was never good."""
    figures = []
    for bad, rps in ((1.0, 200), (0.05, 200), (0.05, 2300)):
        streams = Streams(runs, rps, 0.001)
        bets, found = Bets(runs), np.full(runs, np.inf)
        for second in range(1, 3601):
            bets.take(second, streams.second(rng, second))
        broken = Streams(runs, rps, 0.001, bad / 0.001)
        for second in range(3601, 4201):
            wealth = bets.take(second, broken.second(rng, second))
            found = np.where((wealth >= THRESHOLD) & np.isinf(found), second - 3600, found)
        figures.append(
            Figure(f"errors 0.1 % → {_share(bad)}, {rps}/s", _seconds(found), "< 60 s", bool(np.median(found) < 60))
        )
    return Table("Seconds until a version is rolled back that breaks after an hour, median", tuple(figures))


# A fifth of what is asked may be one caller's mistakes; what is beyond counts as errors. As the rollout service has it.
SPARE_REFUSALS = 0.2


def alone(rng: np.random.Generator, runs: int) -> Table:
    """A version that serves with nothing beside it, held against the worst five minutes of the hour before.

    Twenty callers send shares of the traffic as in Zipf's law, the first 28 % of it. Now and then one sends what
    every version refuses, for half an hour on average. How often is a version that is as good as the one before taken
    back within five minutes, and how soon one that is worse?
    """
    figures = []
    week, day = 7 * 86_400.0, 86_400.0
    for what, every_s, barred in (("a week", week, True), ("a day", day, False)):
        found = _rollbacks_alone(rng, runs, every_s, 0.0, 300)
        count = int(np.isfinite(found).sum())
        half = int(np.isfinite(_rollbacks_alone(rng, runs, every_s, 0.0, 300, spare=None)).sum())
        held = not barred or bool(stats.binom.sf(count - 1, runs, POLICY.alpha) >= 0.01)
        bar = "≤ .1 %" if barred else NOTHING
        figures.append(
            Figure(f"equal, each caller errs once {what}", f"{count} of {runs:,}", bar, held, f"beyond half: {half}")
        )
    for refused in (0.25, 1 / 3, 0.5):
        found = _rollbacks_alone(rng, min(runs, 200), week, refused, 300)
        half = _rollbacks_alone(rng, min(runs, 200), week, refused, 300, spare=None)
        median = float(np.median(found))
        figures.append(
            Figure(
                f"refuses {_share(refused)}", _seconds(found), "< 60 s", median < 60, f"beyond half: {_seconds(half)}"
            )
        )
    return Table("A version that serves alone and refuses: rolled back within 300 s at 200/s", tuple(figures))


def _rollbacks_alone(
    rng: np.random.Generator,
    runs: int,
    every_s: float,
    refused: float,
    seconds: int,
    spare: float | None = SPARE_REFUSALS,
) -> np.ndarray:
    """Return when each run is rolled back. every_s: mean time between a caller's mistakes. refused: of what the version
    before took. spare: None for what is beyond half of the traffic.
    """
    shares = 1 / np.arange(1, 21)
    shares /= shares.sum()
    lasting_s, base, rps = 1800.0, 0.001, 200
    blocks = 12
    # Of each caller and run, when it last began to err, and for how long it does, from long before the hour.
    began = -rng.exponential(every_s, (runs, 20)) + 300 * blocks + seconds
    until = began + rng.exponential(lasting_s, (runs, 20))

    def erring(at: float) -> np.ndarray:
        return (((began <= at) & (until > at)) * shares).sum(axis=1)

    worst_refused, worst_errors = np.zeros(runs), np.zeros(runs)
    for block in range(blocks):
        share = erring(300.0 * block + 150)
        worst_refused = np.maximum(worst_refused, share)
        worst_errors = np.maximum(worst_errors, rng.binomial(300 * rps, base * (1 - share)))
    tolerated = np.full(runs, 0.5) if spare is None else np.minimum(0.5, worst_refused + spare)
    highest = {errors: rate_bounds(int(errors), 300 * rps, POLICY.alpha / 10)[1] for errors in np.unique(worst_errors)}
    high = np.array([highest[errors] for errors in worst_errors])
    past = np.minimum(HIGHEST_TOLERATED, POLICY.tolerated_ratio * high + POLICY.margin_rate)
    rate = past if spare is not None else np.full(runs, HIGHEST_TOLERATED)
    log_wealth, found = np.full((runs, RISES.size), math.log(FIRST_STAKE)), np.full(runs, np.inf)
    for second in range(1, seconds + 1):
        share = erring(300.0 * blocks + second)
        asked = rng.poisson(rps, runs)
        bad = rng.binomial(asked, share + (1 - share) * refused)
        counted = np.maximum(0, bad - np.floor(tolerated * asked))
        errors = rng.binomial(asked - bad, base) + counted
        requests = asked - bad + counted
        log_wealth += alone_gains(requests, errors, rate)
        wealth = mixture(log_wealth, RISE_LOG_WEIGHTS)
        # Of four metrics.
        found = np.where((wealth >= THRESHOLD + math.log(4)) & np.isinf(found), second, found)
        if np.isfinite(found).all():
            break
    return found


def first_rollbacks(rng: np.random.Generator, streams: Streams, seconds: int, *, metrics: int = 1) -> np.ndarray:
    """Return the second in which each run is rolled back; infinite for never. metrics: judged beside it, all well."""
    bets, found = Bets(streams.runs), np.full(streams.runs, np.inf)
    needed = THRESHOLD + math.log(metrics)
    for second in range(1, seconds + 1):
        wealth = bets.take(second, streams.second(rng, second))
        found = np.where((wealth >= needed) & np.isinf(found), second, found)
        if np.isfinite(found).all():
            break
    return found


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"


def _seconds(found: np.ndarray, percentile: float = 50) -> str:
    at = float(np.percentile(found, percentile, method="higher"))
    return f"{at:.0f} s" if math.isfinite(at) else "never"
