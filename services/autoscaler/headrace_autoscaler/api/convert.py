"""Pools and decisions as the API shows them, to a caller who may not know of every model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import autoscaler_pb2, policy_pb2
from headrace_scaling.decisions.decision import Decision
from headrace_scaling.decisions.observations import Metric, Observation, Replicas
from headrace_scaling.documents import from_json

from headrace_autoscaler import times
from headrace_autoscaler.decisions.actuation import Acting
from headrace_autoscaler.policies import convert
from headrace_autoscaler.policies.declared import declared
from headrace_autoscaler.storage.values import DecisionRow, PolicyRow, PoolRow

# Whether a caller may know of a model.
Sees = Callable[[str], bool]


def to_policy(row: PolicyRow) -> policy_pb2.ScalingPolicy:
    """Return the message of a policy that is kept."""
    message = convert.to_message(row.pool, declared(row.document))
    message.etag, message.revision, message.updated_by = row.etag, row.revision, row.client
    message.update_time.CopyFrom(times.timestamp(row.create_time))
    return message


def to_pool(row: PoolRow, latest: DecisionRow | None, actuator: str, sees: Sees) -> autoscaler_pb2.Pool:
    """Return the message of a pool. latest: its latest decision."""
    message = autoscaler_pb2.Pool(name=f"pools/{row.pool}", actuator=actuator, problems=row.problems)
    if row.pause is not None:
        message.paused, message.pause_reason = True, f"{row.pause.reason} ({row.pause.client})".strip()
        message.pause_time.CopyFrom(times.timestamp(row.pause.time))
    if row.acting is not None:
        message.acknowledged_replicas = from_json(Acting, row.acting).acknowledged or 0
    if latest is not None:
        observation = from_json(Observation, latest.observation)
        message.desired_replicas = latest.desired
        message.replicas.CopyFrom(_replicas(observation.replicas))
        message.decision.CopyFrom(to_decision(latest, sees, inputs=True))
        if observation.load_time_s is not None:
            message.start_duration.CopyFrom(duration(observation.load_time_s))
    return message


def to_decision(row: DecisionRow, sees: Sees, *, inputs: bool) -> autoscaler_pb2.Decision:
    """Return the message of a decision. inputs: with everything that it was made from."""
    observation, decision = from_json(Observation, row.observation), from_json(Decision, row.decision)
    message = decided(decision, observation, sees, inputs=inputs)
    message.policy_revision = row.revision
    message.outcome.CopyFrom(
        autoscaler_pb2.Outcome(
            state=autoscaler_pb2.Outcome.State.Name(row.outcome.value),
            detail=row.detail,
            update_time=times.timestamp(row.outcome_time),
        )
    )
    message.create_time.CopyFrom(times.timestamp(row.create_time))
    if row.number is not None:
        message.name = f"pools/{row.pool}/decisions/{row.number}"
    return message


def decided(decision: Decision, observation: Observation, sees: Sees, *, inputs: bool) -> autoscaler_pb2.Decision:
    """Return the message of a decision that is not stored."""
    if decision.driver is not None and not sees(decision.driver):
        decision = replace(decision, driver=None, driver_share=None)
    message = autoscaler_pb2.Decision(
        create_time=times.timestamp(datetime.fromtimestamp(decision.time, UTC)),
        desired_replicas=decision.desired,
        previous_replicas=decision.before,
        rule=decision.rule.value,
        clamps=[
            autoscaler_pb2.Clamp(name=one.limit.value, before=one.before, after=one.after) for one in decision.clamps
        ],
        sentences=decision.sentences,
        replicas=_replicas(observation.replicas),
    )
    if inputs:
        problems = {one.metric: one.problem for one in decision.recommendations if one.problem is not None}
        message.signals.extend(_signal(metric, observation, problems.get(metric)) for metric in Metric)
        message.models.extend(_models(decision, observation, sees))
    return message


def _signal(metric: Metric, observation: Observation, problem: Any) -> autoscaler_pb2.Signal:
    signal = observation.signal(metric)
    message = autoscaler_pb2.Signal(name=metric.value, problem="" if problem is None else problem.value)
    if signal.value is not None:
        message.value = signal.value
        if math.isfinite(signal.age_s):
            message.age.CopyFrom(duration(signal.age_s))
    return message


def _models(decision: Decision, observation: Observation, sees: Sees) -> list[autoscaler_pb2.ModelShare]:
    metric = decision.metric or (decision.recommendations[0].metric if decision.recommendations else None)
    values = {
        load.model: value
        for load in observation.models
        if metric is not None
        and metric in load.signals
        and (value := load.signals[metric].value) is not None
        and 0 < value < math.inf
    }
    total = math.fsum(values.values())
    return [
        autoscaler_pb2.ModelShare(model=model, share=value / total)
        for model, value in sorted(values.items(), key=lambda one: (-one[1], one[0]))
        if sees(model)
    ]


def _replicas(replicas: Replicas) -> autoscaler_pb2.ReplicaCounts:
    return autoscaler_pb2.ReplicaCounts(
        ready=replicas.ready, loading=replicas.loading, failed=replicas.failed, draining=replicas.draining
    )


def duration(seconds: float) -> Duration:
    """Return a duration as the API has it; none is longer than a century."""
    return times.duration(min(max(0.0, seconds), 3e9))
