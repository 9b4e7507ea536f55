"""What a pool needed at this time of earlier days, weeks (where days of the week differ) or hours."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from headrace_scaling.decisions import windows
from headrace_scaling.decisions.observations import EarlierHours
from headrace_scaling.decisions.policies import Season

# Hours that `hourly_surge` compares: one odd hour among three neither starts nor prevents anything.
HOURS = 3
# Hours repeat from this correlation on. On/off at random, bursts and wandering levels stay below 0.3 nine times in ten,
# surges at the same minutes above 0.7 (in eight hours and two days).
_ALIKE = 0.5
# A surge exceeds the mean of the hour before it by this factor; a level that lasts has no minute of its own.
_SURGE = 1.25
WEEK = 7
# Days of the week of which two weeks must be known: fewer cannot distinguish a weekly season from chance.
_FEWEST_PAIRS = 5
# Days a week apart differ by less than this share of what days within a week differ by. Days that are drawn at random
# come out at 1 on average, and below it in fewer than one of a hundred times.
_MOST_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class SeasonalPeak:
    """The demand to be ready for. of_weeks: it is that of this day of the week, and not of all days."""

    demand: float
    of_weeks: bool


def expected_peak(season: Season, peaks: Sequence[float]) -> SeasonalPeak | None:
    """Return the policy's quantile of earlier peaks; None while too few are known.

    peaks: of each earlier day, yesterday's last. What is not a demand is a day of which nothing is known.
    """
    return _expected(season.quantile, season.min_days, tuple(peaks[-season.days :]))


# The same peaks are asked about in each decision within half a minute.
@lru_cache(maxsize=4096)
def _expected(level: float, min_days: int, peaks: tuple[float, ...]) -> SeasonalPeak | None:
    known = [peak for peak in peaks if _is_known(peak)]
    if len(known) < min_days:
        return None
    same_day = [peak for peak in peaks[-WEEK::-WEEK] if _is_known(peak)]
    if len(same_day) >= 2 and _is_weekly(peaks):
        return SeasonalPeak(windows.quantile(same_day, level), of_weeks=True)
    return SeasonalPeak(windows.quantile(known, level), of_weeks=False)


def hourly_surge(earlier: EarlierHours | None) -> float:
    """Return the median of the surges at this minute of the last hours, where hours repeat; 0 otherwise."""
    if earlier is None or len(earlier.hours) < HOURS or not earlier.likeness >= _ALIKE:
        return 0.0
    return statistics.median(
        one.peak if _is_known(one.peak) and one.peak >= _SURGE * one.mean else 0.0 for one in earlier.hours[-HOURS:]
    )


def _is_weekly(peaks: Sequence[float]) -> bool:
    """Return whether days a week apart are clearly more alike than days within a week."""
    a_week = _differences(peaks, WEEK)
    if len(a_week) < _FEWEST_PAIRS:
        return False
    within = [difference for lag in range(1, WEEK) for difference in _differences(peaks, lag)]
    if not within:
        return False
    return sum(a_week) / len(a_week) < _MOST_SHARE * (sum(within) / len(within))


def _differences(peaks: Sequence[float], lag: int) -> list[float]:
    pairs = zip(peaks, peaks[lag:], strict=False)
    return [abs(later - earlier) for earlier, later in pairs if _is_known(earlier) and _is_known(later)]


def _is_known(peak: float) -> bool:
    return 0.0 <= peak < math.inf
