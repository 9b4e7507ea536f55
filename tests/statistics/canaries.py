"""How often a canary is rolled back without cause, and how soon with one: label betting, and what others do with the
same answers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from headrace_statistics.canary.betting import FIRST_STAKE, HIGHEST_TOLERATED, RESTART_EVERY_S, restart_stake
from headrace_statistics.canary.intervals import rate_bounds
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.wealth import RISE_LOG_WEIGHTS, RISES, alone_gains, mixture, rise_gains
from scipy import stats

from tests.statistics.figures import NOTHING, Figure, Table

POLICY = Policy()
THRESHOLD = math.log(1 / POLICY.alpha)
SHARE = 0.05
# Medians of the prototype's table are of 100 runs each: so far they differ by chance.
CHANCE = 1.2

Counts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of each run in one second: requests and errors of the canary, and of the baseline."""
Bars = tuple[int | None, int | None, int | None, int | None]


class Bets:
    """The recursion of `betting.bet` for one metric and many runs at once; that it is the same is a unit test."""

    def __init__(self, runs: int) -> None:
        self.log_wealth = np.full((runs, RISES.size), math.log(FIRST_STAKE))
        self._waiting: Counts = (np.zeros(runs), np.zeros(runs), np.zeros(runs), np.zeros(runs))
        self._restarts = 0

    def take(self, second: int, counts: Counts) -> np.ndarray:
        """Take a second in; return the log wealth of each run. second: from 1."""
        if second % int(RESTART_EVERY_S) == 0:
            self._restarts += 1
            self.log_wealth = np.logaddexp(self.log_wealth, restart_stake(self._restarts))
        n, c, m, b = (waiting + new for waiting, new in zip(self._waiting, counts, strict=True))
        both = (n > 0) & (m > 0)
        self.log_wealth += rise_gains(n, c, m, b, POLICY.tolerated_ratio, 0.0) * both[:, None]
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
    figures = []
    for what, streams in cases.items():
        rolled_back = first_rollbacks(rng, streams, looks)
        count = int(np.isfinite(rolled_back).sum())
        # More than chance makes of one in a thousand.
        held = bool(stats.binom.sf(count - 1, runs, POLICY.alpha) >= 0.01)
        others = minutes_of(rng, replaced(streams, min(runs, 100)), min(looks, 3600))
        shares = ", ".join(f"{name} {_percent(np.isfinite(found))}" for name, found in others.items())
        figures.append(Figure(what, f"{count} of {runs:,}", "≤ .1 %", held, shares))
    return Table(f"Rolled back without cause, within {looks:,} s; naive: within an hour", tuple(figures))


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
# Of answers beyond the baseline's P99, with lognormal durations of a spread of .5: by the factor of the canary's.
SLOWER: dict[float, Bars] = {1.2: (12, None, 322, None), 1.5: (1, None, 22, None), 2.0: (1, None, 5, None)}
RATES = (7000, 2300, 200, 20)


def detection(rng: np.random.Generator, runs: int) -> Table:
    """Median seconds until a rollback, of one metric, and with the four metrics that are judged together."""
    cases = [(f"errors {_share(base)} → {_share(bad)}", base, bad, bars) for base, bad, bars in DETECTION]
    for factor, bars in SLOWER.items():
        beyond = float(stats.norm.sf(stats.norm.isf(0.01) - math.log(factor) / 0.5))
        cases.append((f"{factor} times as slow, beyond P99", 0.01, beyond, bars))
    figures = []
    for what, base, bad, bars in cases:
        for rps, bar in zip(RATES, bars, strict=True):
            if bar is None:
                continue
            streams = Streams(runs, rps, base, bad / base)
            found, four = (first_rollbacks(rng, streams, 900, metrics=metrics) for metrics in (1, 4))
            median = float(np.median(found))
            others = minutes_of(rng, replaced(streams, 40), 900)
            seen = ", ".join(f"{name} {_seconds(found)}" for name, found in others.items())
            ours = f"{_seconds(found)}, p95 {_seconds(found, 95)}; of four metrics {_seconds(four)}"
            figures.append(Figure(f"{what}, {rps}/s", ours, f"prototype {bar} s", median <= CHANCE * bar + 1, seen))
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


def sticky(rng: np.random.Generator, runs: int, seconds: int) -> Table:
    """Units keep their arm, and one client has 30 % of all errors: errors counted, and distinct units that erred."""
    users, rps, base = 2_000, 100, 0.02
    by_errors, by_units = Bets(runs), Bets(runs)
    arms = rng.random((runs, users)) < 0.2
    erred = np.zeros((runs, users), dtype=bool)
    rolled_back = {"errors": np.full(runs, np.inf), "units": np.full(runs, np.inf)}
    rows = np.arange(runs)
    for second in range(1, seconds + 1):
        asked = rng.integers(1, users, (runs, rps))
        failed = rng.random((runs, rps)) < base * 0.7
        failing = rng.poisson(rps * base * 0.3, runs)  # of user 0
        in_canary = np.take_along_axis(arms, asked, axis=1)
        n = in_canary.sum(axis=1) + failing * arms[:, 0]
        c = (failed & in_canary).sum(axis=1) + failing * arms[:, 0]
        m, b = rps + failing - n, failed.sum(axis=1) + failing - c
        before = erred.copy()
        row, column = np.nonzero(failed)
        erred[row, asked[row, column]] = True
        erred[rows, 0] |= failing > 0
        new = erred & ~before
        units_c, units_b = (new & arms).sum(axis=1), (new & ~arms).sum(axis=1)
        for name, wealth in (
            ("errors", by_errors.take(second, (n, c, m, b))),
            ("units", by_units.take(second, (n, units_c, m, units_b))),
        ):
            found = rolled_back[name]
            rolled_back[name] = np.where((wealth >= THRESHOLD) & np.isinf(found), second, found)
    units = np.isfinite(rolled_back["units"])
    held = bool(stats.binom.sf(int(units.sum()) - 1, runs, POLICY.alpha) >= 0.01)
    figure = Figure(
        "equal, sticky by user, one client has 30 % of all errors",
        f"{int(units.sum())} of {runs:,}",
        "≤ .1 %",
        held,
        f"errors counted: {_percent(np.isfinite(rolled_back['errors']))}",
    )
    return Table(f"Rolled back without cause, sticky assignment, distinct units, within {seconds:,} s", (figure,))


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


def minutes_of(rng: np.random.Generator, streams: Streams, seconds: int) -> dict[str, np.ndarray]:
    """Return when others roll back, by their rules on counts of whole minutes. They look at the canary every minute."""
    minutes = []
    for minute in range(seconds // 60):
        parts = [streams.second(rng, 60 * minute + second) for second in range(1, 61)]
        minutes.append([sum(part[at] for part in parts) for at in range(4)])
    n, c, m, b = (np.array([minute[at] for minute in minutes], dtype=float) for at in range(4))
    rate, baseline = c / np.maximum(n, 1), b / np.maximum(m, 1)
    return {
        "spec": _first(_windows(c, 5) / np.maximum(_windows(n, 5), 1) > 0.01, every=5),
        "Argo": _first(rate > 0.01),
        "Flagger": _first(np.cumsum(rate > 0.01, axis=0) >= 5),
        "Kayenta-like": _first(_ranked_higher(rate, baseline)),
    }


def _ranked_higher(rate: np.ndarray, baseline: np.ndarray, points: int = 60) -> np.ndarray:
    """Whether the canary's minutes rank higher than the baseline's at 98 %, and its mean is a quarter higher.

    At every minute from the fifth on, for an hour at most.
    """
    found = np.zeros(rate.shape, dtype=bool)
    for minute in range(5, min(len(rate), points) + 1):
        ranks = stats.mannwhitneyu(rate[:minute], baseline[:minute], alternative="greater", method="asymptotic", axis=0)
        higher = rate[:minute].mean(axis=0) >= 1.25 * baseline[:minute].mean(axis=0)
        found[minute - 1] = (ranks.pvalue < 0.01) & higher
    return found


def _windows(values: np.ndarray, size: int) -> np.ndarray:
    """Sums over the last `size` minutes."""
    sums = np.cumsum(values, axis=0)
    sums[size:] -= sums[:-size].copy()
    return sums


def _first(alarms: np.ndarray, every: int = 1) -> np.ndarray:
    """Return the second of each run's first alarm, looked at every so many minutes; infinite for none."""
    looked = alarms[every - 1 :: every]
    at = (looked.argmax(axis=0) + 1.0) * 60 * every
    return np.where(looked.any(axis=0), at, np.inf)


def replaced(streams: Streams, runs: int) -> Streams:
    """Return streams of fewer runs."""
    return Streams(runs, streams.rps, streams.base, streams.ratio, streams.share, streams.hits, streams.client)


def degenerate(rng: np.random.Generator) -> Table:
    """The specification's rule on means of predictions beside ours, which counts, where a baseline is odd."""
    figures = []
    for what, mean in (("negative", -3.0), ("zero", 0.0), ("constant", 5.0), ("in another unit", 5e-7)):
        spread = 0.0 if what == "constant" else abs(mean) or 1.0
        canary, baseline = (rng.normal(mean, spread, 10_000).mean() for _ in range(2))
        drifted = abs(canary - baseline) / max(baseline, 1e-9) >= 0.1
        found = first_rollbacks(rng, Streams(20, 200, 0.0 if what == "zero" else 0.02), 600)
        count = int(np.isfinite(found).sum())
        spec = "spec rolls back" if drifted else "spec goes on"
        figures.append(Figure(f"equal, baseline {what}", f"{count} of 20", "0", count == 0, spec))
    return Table("Odd baselines", tuple(figures))


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"


def _percent(found: np.ndarray) -> str:
    return f"{100 * found.mean():.0f} %"


def _seconds(found: np.ndarray, percentile: float = 50) -> str:
    at = float(np.percentile(found, percentile, method="higher"))
    return f"{at:.0f} s" if math.isfinite(at) else "never"
