"""From values to the API's messages."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from headrace.rollout.v1 import rollout_pb2 as pb

from headrace_rollout.decisions import planned_steps
from headrace_rollout.decisions.policies import OnDrift, OnLimit, Policy, Shadow, Step, Strategy, percent
from headrace_rollout.decisions.rollouts import Decision, MetricEvidence, Rollout, State, Verdict
from headrace_rollout.start import Draft
from headrace_rollout.store import PastEvent

_STRATEGIES = {strategy: getattr(pb.RolloutPolicy, f"STRATEGY_{strategy.name}") for strategy in Strategy}
_STATES = {state: getattr(pb.Rollout, f"STATE_{state.name}") for state in State}
_DECISIONS = {decision: getattr(pb.Verdict, f"DECISION_{decision.name}") for decision in Decision}
_ON_DRIFT = {action: getattr(pb.RolloutPolicy, f"DRIFT_{action.name}") for action in OnDrift}
_ON_LIMIT = {action: getattr(pb.RolloutPolicy, f"LIMIT_{action.name}") for action in OnLimit}
_UNKNOWN = ("ratio", "ratio_low", "ratio_high", "detectable_rate")


def to_policy(policy: Policy) -> pb.RolloutPolicy:
    """Return a policy with every default filled in."""
    message = pb.RolloutPolicy(
        strategy=_STRATEGIES[policy.strategy],
        sticky=policy.sticky,
        tolerated_ratio=policy.tolerated_ratio,
        false_rollback_rate=policy.false_rollback_rate,
        manual_rollback=policy.manual_rollback,
        ignore_alerts=policy.ignore_alerts,
        margin_percent=percent(policy.margin),
        max_utilisation_percent=percent(policy.max_utilisation),
        on_drift=_ON_DRIFT[policy.on_drift],
        on_limit=_ON_LIMIT[policy.on_limit],
    )
    if policy.slow_after is not None:
        message.slow_after.FromTimedelta(policy.slow_after)
    message.no_data_timeout.FromTimedelta(policy.no_data_timeout)
    message.ready_timeout.FromTimedelta(policy.ready_timeout)
    if policy.shadow is not None and policy.shadow.warms:
        message.warm.FromTimedelta(policy.shadow.dwell)
    elif policy.shadow is not None:
        _set_shadow(message.shadow, policy.shadow)
        then = pb.RolloutPolicy.Shadow
        message.shadow.then = then.THEN_CANARY if policy.steps else then.THEN_NOTHING
    for step in policy.steps:
        one = message.steps.add(percent=percent(step.share))
        _set_times(one, step)
    return message


def to_rollout(rollout: Rollout) -> pb.Rollout:
    """Return a rollout."""
    message = pb.Rollout(
        name=rollout.name,
        version=rollout.version,
        baseline_version=rollout.baseline,
        variant=rollout.variant,
        policy=to_policy(rollout.policy),
        state=_STATES[rollout.state],
        reason=rollout.reason,
        step=rollout.step,
        percent=percent(rollout.share),
        paused=rollout.paused,
        frozen=rollout.frozen,
        asks=rollout.asks,
        client=rollout.client,
        start_reason=rollout.start_reason,
        revision=rollout.revision,
    )
    if rollout.verdict is not None:
        message.verdict.CopyFrom(_to_verdict(rollout.verdict))
    for field, time in (
        ("create_time", rollout.create_time),
        ("step_time", rollout.step_time),
        ("end_time", rollout.end_time),
    ):
        set_time(message, field, time)
    if rollout.bad_from is not None and rollout.bad_until is not None:
        message.bad_time.FromTimedelta(max(rollout.bad_until - rollout.bad_from, timedelta()))
    return message


def to_event(past: PastEvent) -> pb.RolloutEvent:
    """Return a line of the history."""
    message = pb.RolloutEvent(
        number=past.number,
        type=past.event.type,
        reason=past.event.reason,
        client=past.event.client,
        rollout=to_rollout(past.rollout),
    )
    set_time(message, "create_time", past.time)
    return message


def to_plan(draft: Draft) -> pb.PlanRolloutResponse:
    """Return what a start would do."""
    policy = draft.rollout.policy
    message = pb.PlanRolloutResponse(
        baseline_version=draft.rollout.baseline,
        variant=draft.rollout.variant,
        policy=to_policy(policy),
        obstacles=[error.public_message for error in draft.obstacles],
        ready_batchers=draft.ready_batchers,
        batchers=draft.batchers,
        kept_back=draft.kept_back,
    )
    message.shortest_duration.FromTimedelta(policy.shortest)
    for step, moved in zip(policy.steps, draft.moved_shares, strict=False):
        message.steps.add(percent=percent(step.share), moved_share=moved)
    traffic = draft.traffic
    if traffic is not None:
        message.requests_per_second = traffic.requests / traffic.seconds
        message.online_per_second = (traffic.online + traffic.bad) / traffic.seconds
        message.kept_share = draft.room.kept_share
        if draft.room.pool is not None:
            message.pool_utilisation = draft.room.pool.utilisation
            message.room_per_second = draft.room.pool.room_rps(policy.max_utilisation)
        for one, planned in zip(message.steps, planned_steps.planned(policy, traffic, draft.room), strict=False):
            one.extra_online_per_second = planned.extra_online_rps
            if planned.fitting_share is not None:
                one.fitting_percent = percent(planned.fitting_share)
            if planned.detectable_rate is not None:
                one.detectable_rate = planned.detectable_rate
    return message


def set_time(message: Any, field: str, value: datetime | None) -> None:
    """Set a time that is known."""
    if value is not None:
        getattr(message, field).FromDatetime(value)


def _set_shadow(message: pb.RolloutPolicy.Shadow, shadow: Shadow) -> None:
    message.percent, message.min_pairs = percent(shadow.share), shadow.min_pairs
    message.max_flips_percent, message.max_slice_flips_percent = map(
        percent, (shadow.max_flips, shadow.max_slice_flips)
    )
    _set_times(message, shadow)


def _set_times(message: pb.RolloutPolicy.Step | pb.RolloutPolicy.Shadow, stage: Step | Shadow) -> None:
    message.dwell.FromTimedelta(stage.dwell)
    if stage.limit is not None:
        message.limit.FromTimedelta(stage.limit)


def _to_verdict(verdict: Verdict) -> pb.Verdict:
    message = pb.Verdict(
        decision=_DECISIONS[verdict.decision],
        reason=verdict.reason,
        metrics=[_to_evidence(one) for one in verdict.metrics],
    )
    set_time(message, "judge_time", verdict.time)
    return message


def _to_evidence(one: MetricEvidence) -> pb.MetricEvidence:
    message = pb.MetricEvidence(
        metric=one.metric,
        log_evidence_worse=one.log_evidence_worse,
        log_evidence_fine=one.log_evidence_fine,
        log_threshold=one.log_threshold,
        log_threshold_fine=one.log_threshold_fine,
        baseline_count=one.baseline_count,
        baseline_bad_count=one.baseline_bad_count,
        candidate_count=one.candidate_count,
        candidate_bad_count=one.candidate_bad_count,
    )
    for name in _UNKNOWN:
        value = getattr(one, name)
        if value is not None and math.isfinite(value):
            setattr(message, name, value)
    return message
