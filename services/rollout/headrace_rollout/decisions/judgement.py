"""What the counts of both versions say of a rollout: pure, over `headrace_statistics.canary`."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from headrace_statistics.canary import bets, state, verdicts
from headrace_statistics.canary.counts import Metric, Tick
from headrace_statistics.canary.evidence import Evidence
from headrace_statistics.canary.policy import Policy as Judgement
from headrace_statistics.canary.verdicts import Action

from headrace_rollout.decisions import history
from headrace_rollout.decisions.counts import Arms, Count, Counts, counted
from headrace_rollout.decisions.policies import Policy
from headrace_rollout.decisions.rollouts import Decision, MetricEvidence, Verdict

# Latencies of the baseline needed before the slow buckets are set.
ENOUGH_DURATIONS = 200
# An answer is slow if it takes this multiple of a quantile of the baseline: of the tail, the p90 and the median, whose
# factor allows for longer batching delays at a small share.
SLOWNESS = ((0.99, 1.5), (0.9, 1.5), (0.5, 3.0))
# Bound of the load, as a multiple of the baseline's maximum: above it a cold cache may explain slow answers.
# At low traffic a single request dominates a second: the rate is an exponential mean with this time constant (s), and
# must exceed the bound by this many standard errors.
BURDEN_FACTOR, BURDEN_ERRORS, BURDEN_S = 1.5, 3.0, 30.0
# Maximum delay from an answer to its count: data planes report each second.
REPORT_LAG = timedelta(seconds=2)
# Buckets of durations: the i-th begins at 2^(i/64 - 20) seconds.
_PER_OCTAVE, _LOWEST = 64, -20

# Of all units, that the next step may harm although the present one is proven: 23 units of a version that never fail
# prove enough for a step of 25 %, 91 for its promotion.
HARMED_UNITS = 0.05
_METRICS = (Metric.ERRORS, Metric.TIMEOUTS, Metric.SLO, Metric.INVALID_OUTPUTS)
_DECISIONS = {
    Action.ROLLBACK: Decision.ROLL_BACK,
    Action.PROMOTE: Decision.ADVANCE,
    Action.HOLD: Decision.HOLD,
    Action.NO_DATA: Decision.NO_DATA,
}


@dataclass(frozen=True, slots=True)
class Record:
    """The evidence of a rollout so far.

    judgement: state of `headrace_statistics.canary`, as JSON. cursor: position in the monitor's counts, in base64.
    step: step of the judgement. begin_time: before the version's first request. durations: counts of the baseline's
    latencies by bucket, until there are enough. slow_bucket: first bucket of slow answers; `slower`: further ones, if
    the policy sets no latency bound. bad_from: by metric, earliest time of the version's first bad answer.
    history_refusals: share of refusals that callers' mistakes explain, from the hour before; history_rps: computed
    requests per second in its busiest minutes; None with too little data. alone_requests, alone_s: exponentially
    weighted requests and seconds during which only the new version served.
    """

    judgement: str
    cursor: str
    step: int
    begin_time: datetime
    durations: dict[int, int] = field(default_factory=dict)
    slow_bucket: int | None = None
    bad_from: dict[str, datetime] = field(default_factory=dict)
    history_refusals: float | None = None
    history_rps: float | None = None
    alone_requests: float = 0.0
    alone_s: float = 0.0
    slower: tuple[int, ...] = ()

    @property
    def slow(self) -> tuple[int, ...]:
        """The buckets from which on answers are slow."""
        return () if self.slow_bucket is None else (self.slow_bucket, *self.slower)

    def burdened(self, requests: int, seconds: float) -> bool:
        """Return whether the version computes clearly more than the baseline ever did.

        requests: computed in the last `seconds`; the exponential mean includes them already.
        """
        if self.history_rps is None:
            return False
        away = requests - (most := BURDEN_FACTOR * self.history_rps * seconds)
        if abs(away) > BURDEN_ERRORS * math.sqrt(most):
            return away > 0
        return self.alone_requests > BURDEN_FACTOR * self.history_rps * self.alone_s

    @property
    def tolerated_refusals(self) -> float:
        """The share of refusals above which they count of a version alone."""
        return 0.5 if self.history_refusals is None else min(0.5, self.history_refusals)


def begin(policy: Policy, cursor: str, now: datetime, past: Sequence[Sequence[Count]] = ()) -> Record:
    """Return the evidence before the first request of the version. past: what the version before was asked in each
    block of the hour before.
    """
    slow: tuple[int, ...] = ()
    if policy.slow_after is not None:
        slow = (bucket_of(policy.slow_after.total_seconds()),)
    elif policy.strategy.whole:  # it serves alone, so no baseline answers follow to learn from
        slow = slow_buckets_of(durations_of(one for block in past for one in block))[:1]
    blocks, judged = [history.block_of(one, slow) for one in past], judgement_of(policy, 0)
    known = history.past(blocks, judged.alpha, slow_known=bool(slow))
    return Record(
        *(state.to_json(state.begin(judged, now.timestamp(), known)), cursor, 0, now),
        slow_bucket=next(iter(slow), None),
        history_refusals=history.tolerated_refusals(blocks),
        history_rps=history.busiest_rps(blocks),
    )


def taken(record: Record, policy: Policy, arms: Arms, counts: Counts, cursor: str, step: int, now: datetime) -> Record:
    """Take counts into the evidence. step: that the rollout is at, acknowledged at `now` at the latest."""
    record = _restaged(record, step, now)
    record = _with_durations(record, arms, counts)
    tolerated = record.tolerated_refusals if arms.alone else 0.0
    candidate = counted(counts, arms.candidate, record.slow, tolerated)
    baseline = None if arms.alone else counted(counts, arms.baseline, record.slow, tolerated)
    seconds = counts.elapsed.total_seconds()
    judged = state.from_json(record.judgement)
    if seconds > 0:
        record = _with_burden(record, candidate.requests, seconds) if arms.alone else record
        tick = Tick(
            *(counts.time.timestamp(), seconds, candidate, baseline),
            complete=not counts.missing,
            burdened=arms.alone and record.burdened(candidate.requests, seconds),
            unit_share=arms.share,
        )
        judged = bets.bet(judgement_of(policy, step), judged, tick)
    first = max(counts.time - counts.elapsed - REPORT_LAG, record.begin_time)
    bad_from = {metric.value: first for metric in Metric if candidate.of(metric)} | record.bad_from
    return replace(record, judgement=state.to_json(judged), cursor=cursor, bad_from=bad_from)


def verdict(record: Record, policy: Policy, step: int, step_time: datetime, now: datetime) -> Verdict:
    """Return what the evidence says now."""
    record = _restaged(record, step, step_time)
    judged = state.from_json(record.judgement)
    found = verdicts.verdict(judgement_of(policy, step), judged, now.timestamp())
    metrics = tuple(_evidence(one) for one in found.evidence.values())
    metric = found.metric.value if found.metric is not None else ""
    return Verdict(_DECISIONS[found.action], found.sentence, metrics, now, metric)


def judgement_of(policy: Policy, step: int) -> Judgement:
    """Return a policy as the judgement takes it at a step. Where units keep their version, one user's slow requests are
    no sample of a version; what a policy calls slow, or an hour before the version, is in the tail alone.
    """
    whole = policy.strategy.whole
    slower = () if whole or policy.slow_after is not None else (Metric.SLOWER_P90, Metric.SLOWER_MEDIAN)
    sticky = policy.sticky and not whole
    then = policy.steps[step + 1].share if step + 1 < len(policy.steps) else 1.0
    return Judgement(
        metrics=(Metric.ERRORS,) if sticky else (*_METRICS, *slower),
        tolerated_ratio=policy.tolerated_ratio,
        margin_ratio=policy.tolerated_ratio,
        margin_rate=policy.margin,
        alpha=policy.false_rollback_rate,
        dwell_s=policy.steps[step].dwell.total_seconds(),
        sticky=sticky,
        unit_margin=HARMED_UNITS / then,
        no_data_timeout_s=policy.no_data_timeout.total_seconds(),
    )


def bucket_of(seconds: float) -> int:
    """Return the bucket of durations from which on answers take longer than that."""
    return math.ceil((math.log2(seconds) - _LOWEST) * _PER_OCTAVE)


def _restaged(record: Record, step: int, now: datetime) -> Record:
    if record.step == step:
        return record
    judged = state.restaged(state.from_json(record.judgement), now.timestamp())
    return replace(record, judgement=state.to_json(judged), step=step)


def _with_durations(record: Record, arms: Arms, counts: Counts) -> Record:
    """Learn from the baseline what is slow, unless that is known."""
    if record.slow_bucket is not None:
        return record
    durations = durations_of(counts.of(arms.baseline), record.durations)
    slow = slow_buckets_of(durations)
    if not slow:
        return replace(record, durations=durations)
    return replace(record, durations={}, slow_bucket=slow[0], slower=slow[1:])


def durations_of(counts: Iterable[Count], before: Mapping[int, int] = MappingProxyType({})) -> dict[int, int]:
    """Return how many computed answers took how long, by bucket. before: known already."""
    durations = dict(before)
    for one in counts:
        if one.online:
            for at, count in enumerate(one.durations, one.first_bucket):
                if count:
                    durations[at] = durations.get(at, 0) + count
    return durations


def slow_buckets_of(durations: Mapping[int, int]) -> tuple[int, ...]:
    """Return from which buckets on an answer is slow, for each of SLOWNESS; none where there are too few."""
    at = sorted(durations)
    upto = list(itertools.accumulate(durations[one] for one in at))
    if not at or upto[-1] < ENOUGH_DURATIONS:
        return ()
    quantiles = ((at[bisect.bisect_left(upto, part * upto[-1])], factor) for part, factor in SLOWNESS)
    return tuple(bucket + 1 + round(math.log2(factor) * _PER_OCTAVE) for bucket, factor in quantiles)


def _with_burden(record: Record, requests: int, seconds: float) -> Record:
    """Add requests to the exponentially weighted load of the version while it serves alone."""
    if not requests and not record.alone_s:
        return record
    decay = math.exp(-seconds / BURDEN_S)
    return replace(
        record, alone_requests=decay * record.alone_requests + requests, alone_s=decay * record.alone_s + seconds
    )


def _evidence(one: Evidence) -> MetricEvidence:
    return MetricEvidence(
        metric=one.metric.value,
        log_evidence_worse=one.against,
        log_evidence_fine=one.in_favour,
        log_threshold=one.needed_against,
        log_threshold_fine=one.needed_in_favour,
        baseline_count=one.baseline_requests,
        baseline_bad_count=one.baseline_bad,
        candidate_count=one.requests,
        candidate_bad_count=one.bad,
        ratio=_known(one.ratio),
        ratio_low=_known(one.ratio_low),
        ratio_high=_known(one.ratio_high),
        detectable_rate=one.detectable,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
