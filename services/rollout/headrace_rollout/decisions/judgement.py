"""What the counts of both versions say of a rollout: pure, over `headrace_statistics.canary`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from headrace_statistics.canary import betting, state, verdicts
from headrace_statistics.canary.counts import Metric, Tick
from headrace_statistics.canary.evidence import Evidence
from headrace_statistics.canary.policy import Policy as Judgement
from headrace_statistics.canary.verdicts import Action

from headrace_rollout.decisions import history
from headrace_rollout.decisions.counts import Arms, Count, Counts, answered_and_refused, counted
from headrace_rollout.decisions.policies import Policy
from headrace_rollout.decisions.rollouts import Decision, MetricEvidence, Verdict

# Of the baseline, before its slowest hundredth counts as known.
ENOUGH_DURATIONS = 200
SLOW_FACTOR = 1.5
# Of what the version before computed at most: above it slow answers may be of that, as of a cache that is still cold.
# Where little is asked one request is much in a second: what chance may have brought, by so many standard errors, is
# told by a mean with this time constant.
BURDEN_FACTOR, BURDEN_ERRORS, BURDEN_S = 1.5, 3.0, 30.0
# What is counted when it is read was answered up to so long before: data planes report each second.
REPORT_LAG = timedelta(seconds=2)
# Buckets of durations: the i-th begins at 2^(i/64 - 20) seconds.
_PER_OCTAVE, _LOWEST = 64, -20

_DECISIONS = {
    Action.ROLLBACK: Decision.ROLL_BACK,
    Action.PROMOTE: Decision.ADVANCE,
    Action.HOLD: Decision.HOLD,
    Action.NO_DATA: Decision.NO_DATA,
}


@dataclass(frozen=True, slots=True)
class Record:
    """The evidence of a rollout so far. judgement: of `headrace_statistics.canary`, as JSON. cursor: in the monitor's
    counts, in base64. step: that the judgement is at. begin_time: before the first request of the version. durations:
    of the baseline, by bucket, until enough are known. slow_bucket: answers from that bucket on are slow. bad_from:
    by metric, when the first bad answer of the version was given, at the earliest. baseline_asked, baseline_refused:
    of the version before, what it was asked to compute and refused. history_refusals: the share of refusals of a
    version alone that its callers' mistakes explain, by the hour before; history_rps: what was computed a second in the
    busiest minutes of that. None where too little is known. alone_requests, alone_s: of late, what the version computed
    alone, and in how many seconds.
    """

    judgement: str
    cursor: str
    step: int
    begin_time: datetime
    durations: dict[int, int] = field(default_factory=dict)
    slow_bucket: int | None = None
    bad_from: dict[str, datetime] = field(default_factory=dict)
    baseline_asked: int = 0
    baseline_refused: int = 0
    history_refusals: float | None = None
    history_rps: float | None = None
    alone_requests: float = 0.0
    alone_s: float = 0.0

    def burdened(self, requests: int, seconds: float) -> bool:
        """Return whether the version computes clearly more than the one before ever did. requests: in the last seconds,
        that are in the mean already.
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
        halfway = 0.5 + self.baseline_refused / (2 * self.baseline_asked) if self.baseline_asked else 0.5
        return halfway if self.history_refusals is None else min(halfway, self.history_refusals)


def begin(policy: Policy, cursor: str, now: datetime, past: Sequence[Sequence[Count]] = ()) -> Record:
    """Return the evidence before the first request of the version. past: what the version before was asked in each
    block of the hour before.
    """
    slow = None
    if policy.slow_after is not None:
        slow = bucket_of(policy.slow_after.total_seconds())
    elif policy.steps[0].share == 1:  # no version will be beside it that this could be learned of
        slow = slow_bucket_of(durations_of(one for block in past for one in block))
    blocks, judged = [history.block_of(one, slow) for one in past], judgement_of(policy, timedelta())
    known = history.past(blocks, judged.alpha, slow_known=slow is not None)
    return Record(
        *(state.to_json(betting.begin(judged, now.timestamp(), known)), cursor, 0, now),
        slow_bucket=slow,
        history_refusals=history.tolerated_refusals(blocks),
        history_rps=history.busiest_rps(blocks),
    )


def taken(record: Record, policy: Policy, arms: Arms, counts: Counts, cursor: str, step: int, now: datetime) -> Record:
    """Take counts into the evidence. step: that the rollout is at, acknowledged at `now` at the latest."""
    record = _restaged(record, step, now)
    record = _with_durations(record, arms, counts)
    slow = record.slow_bucket
    record = _with_refusals(record, arms, counts)
    tolerated = record.tolerated_refusals if arms.alone else 0.0
    candidate = counted(counts, arms.candidate, slow, tolerated)
    baseline = None if arms.alone else counted(counts, arms.baseline, slow, tolerated)
    seconds = counts.elapsed.total_seconds()
    judged = state.from_json(record.judgement)
    if seconds > 0:
        record = _with_burden(record, candidate.requests, seconds) if arms.alone else record
        tick = Tick(
            *(counts.time.timestamp(), seconds, candidate, baseline),
            complete=not counts.missing,
            burdened=arms.alone and record.burdened(candidate.requests, seconds),
        )
        judged = betting.bet(judgement_of(policy, policy.steps[step].dwell), judged, tick)
    first = max(counts.time - counts.elapsed - REPORT_LAG, record.begin_time)
    bad_from = {metric.value: first for metric in Metric if candidate.of(metric)} | record.bad_from
    return replace(record, judgement=state.to_json(judged), cursor=cursor, bad_from=bad_from)


def verdict(record: Record, policy: Policy, step: int, step_time: datetime, now: datetime) -> Verdict:
    """Return what the evidence says now."""
    record = _restaged(record, step, step_time)
    judged = state.from_json(record.judgement)
    found = verdicts.verdict(judgement_of(policy, policy.steps[step].dwell), judged, now.timestamp())
    metrics = tuple(_evidence(one) for one in found.evidence.values())
    metric = found.metric.value if found.metric is not None else ""
    return Verdict(_DECISIONS[found.action], found.sentence, metrics, now, metric)


def judgement_of(policy: Policy, dwell: timedelta) -> Judgement:
    """Return a policy as the judgement takes it."""
    return Judgement(
        tolerated_ratio=policy.tolerated_ratio,
        margin_ratio=policy.tolerated_ratio,
        margin_rate=policy.margin,
        alpha=policy.false_rollback_rate,
        dwell_s=dwell.total_seconds(),
        sticky=policy.sticky,
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
    slow = slow_bucket_of(durations)
    return replace(record, durations=durations if slow is None else {}, slow_bucket=slow)


def durations_of(counts: Iterable[Count], before: Mapping[int, int] = MappingProxyType({})) -> dict[int, int]:
    """Return how many computed answers took how long, by bucket. before: known already."""
    durations = dict(before)
    for one in counts:
        if one.online:
            for at, count in enumerate(one.durations, one.first_bucket):
                if count:
                    durations[at] = durations.get(at, 0) + count
    return durations


def slow_bucket_of(durations: Mapping[int, int]) -> int | None:
    """Return from which bucket on an answer is slow; None where there are too few."""
    total = sum(durations.values())
    if total < ENOUGH_DURATIONS:
        return None
    above = total / 100
    for at in sorted(durations, reverse=True):
        above -= durations[at]
        if above < 0:
            return at + 1 + round(math.log2(SLOW_FACTOR) * _PER_OCTAVE)
    raise AssertionError("unreachable: there are durations")


def _with_burden(record: Record, requests: int, seconds: float) -> Record:
    """Add what the version computed alone to what it did of late."""
    if not requests and not record.alone_s:
        return record
    kept = math.exp(-seconds / BURDEN_S)
    return replace(
        record, alone_requests=kept * record.alone_requests + requests, alone_s=kept * record.alone_s + seconds
    )


def _with_refusals(record: Record, arms: Arms, counts: Counts) -> Record:
    """Learn from the baseline which share of what it is asked it refuses."""
    answered, refused = answered_and_refused(counts.of(arms.baseline), None)
    return replace(
        record,
        baseline_asked=record.baseline_asked + answered.requests + refused,
        baseline_refused=record.baseline_refused + refused,
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
