"""What is remembered between ticks: a few floats for each metric, as JSON, so that a restart loses nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from headrace_statistics.canary.counts import ArmCounts, Metric
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.wealth import FALL_LOG_WEIGHTS, FIRST_STAKE, RISES

NO_COUNTS = ArmCounts(0)
Past = Mapping[Metric, tuple[int, int]]
"""Bad answers of the baseline, and its requests, in the worst time of its past, by metric."""
NO_PAST: Past = {}


@dataclass(frozen=True, slots=True)
class MetricState:
    """Evidence on one metric. rise, fall: log wealth of each bet that the canary is worse, and that it is not. due:
    what the former have gained besides, that counts in later ticks.

    canary_bad, baseline_bad: bad answers while both arms served. expected: of the canary, had both the same rate in
    every tick. alone_bad: of the canary, without a baseline beside it. prior_bad, prior_requests: of the baseline in
    the worst time of its past, for a canary that has none beside it; no requests where nothing is known.
    """

    rise: tuple[float, ...]
    fall: tuple[float, ...] = (0.0,) * FALL_LOG_WEIGHTS.size
    canary_bad: int = 0
    baseline_bad: int = 0
    expected: float = 0.0
    alone_bad: int = 0
    prior_bad: int = 0
    prior_requests: int = 0
    due: tuple[float, ...] = (0.0,)


@dataclass(frozen=True, slots=True)
class JudgementState:
    """State of one rollout's judgement. Times in seconds since 1970.

    waiting_canary, waiting_baseline: counts that are not bet on yet, for want of a request to either arm; waiting_s:
    since how long. canary_requests, baseline_requests, alone_requests: so far, as in MetricState. canary_rps,
    baseline_rps, share (of the canary): recent averages. tick_time: end of the last complete tick; canary_time: of the
    last with a request to the canary. missed: requests that the canary should have had since. alone: whether the last
    tick had no baseline; burdened: as it said. units, baseline_units: of each arm, so far. restarts: of the bets. peak:
    highest log wealth against the canary, of all metrics together, with the metric that had most of it then. ignored:
    ticks that could not be true.
    """

    metrics: Mapping[Metric, MetricState]
    start_time: float
    stage_time: float
    tick_time: float
    canary_time: float
    restart_time: float
    waiting_canary: ArmCounts = NO_COUNTS
    waiting_baseline: ArmCounts = NO_COUNTS
    canary_requests: int = 0
    baseline_requests: int = 0
    alone_requests: int = 0
    canary_rps: float = 0.0
    baseline_rps: float = 0.0
    share: float = 0.0
    missed: float = 0.0
    alone: bool = False
    restarts: int = 0
    peak: float = 0.0
    peak_metric: Metric | None = None
    ignored: int = 0
    burdened: bool = False
    units: int = 0
    baseline_units: int = 0
    waiting_s: float = 0.0
    version: int = field(default=1)


def begin(policy: Policy, now: float, past: Past = NO_PAST) -> JudgementState:
    """Return the state before the first tick. past: what a canary is held against that has no baseline beside it."""
    rise = (math.log(FIRST_STAKE),) * RISES.size
    metrics = {}
    for metric in policy.judged:
        bad, requests = past.get(metric, (0, 0))
        metrics[metric] = MetricState(rise=rise, prior_bad=bad, prior_requests=requests)
    return JudgementState(metrics, now, now, now, now, now)


def restaged(state: JudgementState, now: float) -> JudgementState:
    """Return the state when another step begins: its dwell counts from now. Evidence stays."""
    return replace(state, stage_time=now)


def to_json(state: JudgementState) -> str:
    """Return the state as JSON, exact to the bit."""
    return json.dumps(asdict(state), allow_nan=False, separators=(",", ":"), sort_keys=True)


def from_json(text: str) -> JudgementState:
    """Return the state that `to_json` was given. Raises ValueError for text that it did not make."""
    try:
        plain = json.loads(text)
        metrics = {
            Metric(name): MetricState(
                **{**one, "rise": _rise(one["rise"]), "fall": _fall(one["fall"]), "due": tuple(one.get("due", (0.0,)))}
            )
            for name, one in plain.pop("metrics").items()
        }
        peak_metric = plain.pop("peak_metric")
        arms = {name: ArmCounts(**plain.pop(name)) for name in ("waiting_canary", "waiting_baseline")}
        state = JudgementState(
            metrics=metrics, peak_metric=None if peak_metric is None else Metric(peak_metric), **arms, **plain
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not the state of a judgement: {error}") from error
    return state


def _rise(found: list[float]) -> tuple[float, ...]:
    """Return the wealth of each bet. Bets on small rises that an older release did not have begin now."""
    return (*(math.log(FIRST_STAKE),) * (RISES.size - len(found)), *found)


def _fall(found: list[float]) -> tuple[float, ...]:
    return (*found, *(0.0,) * (FALL_LOG_WEIGHTS.size - len(found)))
