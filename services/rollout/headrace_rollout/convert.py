"""From the API's messages to values. What a message cannot say in a value is a field violation."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

from google.protobuf.duration_pb2 import Duration
from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.identity import identity
from headrace_servicekit.request_fields import MAX_REQUEST_ID_CHARS, fingerprint, kept_text, optional_id
from headrace_servicekit.resource_names import ids, invalid

from headrace_rollout.decisions import policies
from headrace_rollout.decisions.policies import DEFAULT_STEPS, OnDrift, OnLimit, Policy, Shadow, Step, Strategy
from headrace_rollout.start import Wanted
from headrace_rollout.store import Request

_MAX_DURATION_S = 315_576_000_000

_STRATEGIES = {
    pb.RolloutPolicy.STRATEGY_UNSPECIFIED: Strategy.CANARY,
    pb.RolloutPolicy.STRATEGY_CANARY: Strategy.CANARY,
    pb.RolloutPolicy.STRATEGY_BLUE_GREEN: Strategy.BLUE_GREEN,
    pb.RolloutPolicy.STRATEGY_ROLLING: Strategy.ROLLING,
    pb.RolloutPolicy.STRATEGY_BIG_BANG: Strategy.BIG_BANG,
    pb.RolloutPolicy.STRATEGY_SHADOW: Strategy.SHADOW,
}
_ON_DRIFT = {
    pb.RolloutPolicy.DRIFT_UNSPECIFIED: OnDrift.HOLD,
    pb.RolloutPolicy.DRIFT_HOLD: OnDrift.HOLD,
    pb.RolloutPolicy.DRIFT_ASK: OnDrift.ASK,
    pb.RolloutPolicy.DRIFT_ROLLBACK: OnDrift.ROLLBACK,
}
_ON_LIMIT = {
    pb.RolloutPolicy.LIMIT_UNSPECIFIED: OnLimit.ROLLBACK,
    pb.RolloutPolicy.LIMIT_ROLLBACK: OnLimit.ROLLBACK,
    pb.RolloutPolicy.LIMIT_GO_ON: OnLimit.GO_ON,
    pb.RolloutPolicy.LIMIT_HOLD: OnLimit.HOLD,
}


def model_of(text: str, field: str = "parent") -> str:
    """Return the model of `models/{model}`."""
    return ids(text, field, "models/{model}")[0]


def rollout_of(text: str, field: str = "name") -> tuple[str, int]:
    """Return the model and the number of `models/{model}/rollouts/{number}`."""
    model, number = ids(text, field, "models/{model}/rollouts/{number}")
    return model, int(number)


def wanted_of(request: Any) -> Wanted:
    """Return what PlanRollout and StartRollout ask for."""
    model = model_of(request.parent)
    if not request.version:
        raise invalid("version", "must not be empty: it is the version to roll out")
    for field in ("version", "variant"):
        optional_id(getattr(request, field), field)
    policy = policy_of(request.policy) if request.HasField("policy") else None
    reason = kept_text(request.reason, "reason") if isinstance(request, pb.StartRolloutRequest) else ""
    return Wanted(model, request.version, request.variant, policy, identity().client, reason)


def experiment_name(name: str) -> str:
    """Return the name of an experiment. Raises InvalidArgument."""
    ids(name, "name", "models/{model}/experiments/{experiment}")
    return name


def promotion_of(request: pb.ConcludeExperimentRequest) -> Wanted:
    """Return the rollout that follows an experiment, without what the route says."""
    model, _ = ids(request.name, "name", "models/{model}/experiments/{experiment}")
    optional_id(request.promote, "promote")
    policy = policy_of(request.policy) if request.HasField("policy") else None
    return Wanted(model, "", "", policy, identity().client, kept_text(request.reason, "reason"))


def request_of(request: pb.StartRolloutRequest) -> Request:
    """Return what makes a start repeatable."""
    request_id = kept_text(request.request_id, "request_id", MAX_REQUEST_ID_CHARS)
    return Request(identity().client, request_id, fingerprint(request))


def conclusion_of(request: pb.ConcludeExperimentRequest) -> Request:
    """Return what makes the rollout that follows an experiment repeatable: the experiment has one end."""
    asked = sha256(f"{request.name} {request.promote}".encode()).digest()
    return Request(identity().client, f"end of {sha256(request.name.encode()).hexdigest()}", asked)


def policy_of(message: pb.RolloutPolicy, field: str = "policy") -> Policy:
    """Return a policy with every default filled in. Raises InvalidArgument with everything that is wrong with it."""
    strategy = _STRATEGIES.get(message.strategy)
    if strategy is None:
        raise invalid(f"{field}.strategy", f"{message.strategy} is not a strategy")
    wrong: list[FieldViolation] = []
    if message.on_drift not in _ON_DRIFT:
        wrong.append(FieldViolation(f"{field}.on_drift", f"{message.on_drift} is not one of hold, ask and rollback"))
    if message.on_limit not in _ON_LIMIT:
        wrong.append(FieldViolation(f"{field}.on_limit", f"{message.on_limit} is not one of rollback, go_on and hold"))
    steps = tuple(_step(step, f"{field}.steps[{at}]", wrong) for at, step in enumerate(message.steps))
    shadow = _shadow(message.shadow, f"{field}.shadow", wrong) if strategy is Strategy.SHADOW else None
    if shadow is None and message.HasField("shadow"):
        wrong.append(FieldViolation(f"{field}.shadow", "is of the strategy shadow alone"))
    if message.HasField("warm"):
        if shadow is not None or strategy.whole:
            detail = f"is not of {strategy.replace('_', '-')}: choose canary or rolling"
            wrong.append(FieldViolation(f"{field}.warm", detail))
        else:
            shadow = Shadow(dwell=_time(message, "warm", timedelta(), field, wrong), warms=True)
    nothing_follows = strategy is Strategy.SHADOW and message.shadow.then == pb.RolloutPolicy.Shadow.THEN_NOTHING
    if nothing_follows and steps:
        wrong.append(FieldViolation(f"{field}.steps", "must be empty where nothing follows the shadow"))
    policy = Policy(
        strategy,
        steps if nothing_follows else steps or DEFAULT_STEPS[strategy],
        sticky=message.sticky,
        tolerated_ratio=message.tolerated_ratio or policies.DEFAULT.tolerated_ratio,
        false_rollback_rate=message.false_rollback_rate or policies.DEFAULT.false_rollback_rate,
        no_data_timeout=_time(message, "no_data_timeout", policies.DEFAULT.no_data_timeout, field, wrong),
        manual_rollback=message.manual_rollback,
        ignore_alerts=message.ignore_alerts,
        ready_timeout=_time(message, "ready_timeout", policies.DEFAULT.ready_timeout, field, wrong),
        margin=message.margin_percent / 100 or policies.DEFAULT.margin,
        slow_after=_time(message, "slow_after", timedelta(), field, wrong) if message.HasField("slow_after") else None,
        shadow=shadow,
        max_utilisation=message.max_utilisation_percent / 100 or policies.DEFAULT.max_utilisation,
        on_drift=_ON_DRIFT.get(message.on_drift, OnDrift.HOLD),
        on_limit=_ON_LIMIT.get(message.on_limit, OnLimit.ROLLBACK),
    )
    refuse([*wrong, *policies.violations(policy, field)], reason="POLICY_INVALID")
    return policies.completed(policy)


def _step(step: pb.RolloutPolicy.Step, field: str, wrong: list[FieldViolation]) -> Step:
    limit = _time(step, "limit", timedelta(), field, wrong) if step.HasField("limit") else None
    return Step(step.percent / 100, _time(step, "dwell", timedelta(), field, wrong), limit)


def _shadow(message: pb.RolloutPolicy.Shadow, field: str, wrong: list[FieldViolation]) -> Shadow:
    if message.then not in pb.RolloutPolicy.Shadow.Then.values():
        wrong.append(FieldViolation(f"{field}.then", f"{message.then} is neither canary nor nothing"))
    default = Shadow()
    flips, slice_flips = (
        getattr(message, name) / 100 if message.HasField(name) else otherwise
        for name, otherwise in (
            ("max_flips_percent", default.max_flips),
            ("max_slice_flips_percent", default.max_slice_flips),
        )
    )
    return Shadow(
        share=message.percent / 100 or default.share,
        dwell=_time(message, "dwell", default.dwell, field, wrong),
        limit=_time(message, "limit", timedelta(), field, wrong) if message.HasField("limit") else None,
        min_pairs=message.min_pairs if message.HasField("min_pairs") else default.min_pairs,
        max_flips=flips,
        max_slice_flips=slice_flips,
    )


def _time(message: Any, name: str, default: timedelta, field: str, wrong: list[FieldViolation]) -> timedelta:
    if not message.HasField(name):
        return default
    duration: Duration = getattr(message, name)
    if abs(duration.seconds) > _MAX_DURATION_S or not -1_000_000_000 < duration.nanos < 1_000_000_000:
        wrong.append(FieldViolation(f"{field}.{name}", "is not a duration"))
        return default
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)
