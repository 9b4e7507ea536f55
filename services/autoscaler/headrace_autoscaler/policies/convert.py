"""Between the policy of the API and the one that decides. What is wrong with a message is a field violation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import policy_pb2
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.observations import Metric
from headrace_scaling.decisions.policies import (
    Budget,
    Growth,
    LookAhead,
    Overflow,
    Panic,
    PoolPolicy,
    ScaleToZero,
    Schedule,
    Season,
    StepLimit,
    Target,
    TargetKind,
    violations,
)
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.resource_names import is_id

from headrace_autoscaler.names import pool_of
from headrace_autoscaler.policies.declared import DeclaredPolicy
from headrace_autoscaler.times import duration

PRESETS: Mapping[str, Callable[[float], PoolPolicy]] = {
    "headrace": presets.headrace,
    "kubernetes": presets.kubernetes,
    "knative": presets.knative,
}
DEFAULT_PRESET = "headrace"
MOST_REPLICAS = 1000
MOST_TARGETS = 8
MOST_SCHEDULES = 32
LEAST_INTERVAL_S = 1.0

_KINDS = {
    policy_pb2.Target.KIND_UNSPECIFIED: None,
    policy_pb2.Target.KIND_TOTAL: TargetKind.TOTAL,
    policy_pb2.Target.KIND_REPLICA_MEAN: TargetKind.REPLICA_MEAN,
    policy_pb2.Target.KIND_POOL_VALUE: TargetKind.POOL_VALUE,
}
_KIND_NUMBERS = {kind: number for number, kind in _KINDS.items() if kind is not None}
# Of the policy's fields, those that the API calls otherwise.
_API_NAMES = {
    "interval_s": "interval",
    "max_age_s": "max_signal_age",
    "stable_window_s": "stable_window",
    "scale_down_window_s": "scale_down_window",
    "cooldown_up_s": "scale_up_cooldown",
    "cooldown_down_s": "scale_down_cooldown",
    "step_up": "scale_up_limit",
    "step_down": "scale_down_limit",
}
_DURATIONS = {
    "interval": "interval_s",
    "max_signal_age": "max_age_s",
    "stable_window": "stable_window_s",
    "scale_down_window": "scale_down_window_s",
    "scale_up_cooldown": "cooldown_up_s",
    "scale_down_cooldown": "cooldown_down_s",
    "max_gap": "max_gap_s",
}
_NUMBERS = (
    *("min_replicas", "max_replicas", "tolerance", "activation_replicas", "burst_reserve", "capacity"),
    "bridged_starts",
)


def policy_of(message: policy_pb2.ScalingPolicy, field: str = "policy") -> DeclaredPolicy:
    """Return the policy in a message, with its preset's values in the place of what is unset.

    Raises InvalidArgument, reason POLICY_INVALID, naming every field that is wrong.
    """
    found: list[FieldViolation] = []
    preset = message.preset or DEFAULT_PRESET
    if preset not in PRESETS:
        known = ", ".join(PRESETS)
        refuse([FieldViolation(f"{field}.preset", f"'{preset}' is not one of {known}")], reason="POLICY_INVALID")
    policy = replace(
        PRESETS[preset](1.0),
        targets=_targets(message, field, found),
        **{name: getattr(message, name) for name in _NUMBERS if message.HasField(name)},
        **{of: _seconds(getattr(message, name)) for name, of in _DURATIONS.items() if message.HasField(name)},
        **_parts(message),
        **_bridged(message),
        schedules=_schedules(message, field, found),
    )
    deadline_s = _seconds(message.ready_deadline) if message.HasField("ready_deadline") else None
    found += [FieldViolation(f"{field}.{_api_name(one.field)}", one.message) for one in violations(policy)]
    found += _more_violations(message, policy, deadline_s, field)
    refuse(found, reason="POLICY_INVALID")
    return DeclaredPolicy(policy, preset, deadline_s)


def _targets(message: policy_pb2.ScalingPolicy, field: str, found: list[FieldViolation]) -> tuple[Target, ...]:
    targets = []
    for at, target in enumerate(message.targets):
        if target.metric not in list(Metric):
            known = ", ".join(Metric)
            found.append(FieldViolation(f"{field}.targets[{at}].metric", f"'{target.metric}' is not one of {known}"))
            continue
        if target.kind not in _KINDS:
            found.append(FieldViolation(f"{field}.targets[{at}].kind", f"{target.kind} is no kind"))
            continue
        targets.append(
            Target(
                Metric(target.metric),
                target.value,
                _KINDS[target.kind],
                target.up_only,
                _optional(target, "missing_as"),
            )
        )
    return tuple(targets)


def _parts(message: policy_pb2.ScalingPolicy) -> dict[str, Any]:
    """Return the policy parts that are set; a zero value disables the preset's part."""
    parts: dict[str, Any] = {}
    if message.HasField("panic"):
        window_s = _seconds(message.panic.window)
        parts["panic"] = Panic(window_s, message.panic.threshold) if window_s else None
    if message.HasField("growth"):
        growth = message.growth
        parts["growth"] = Growth(growth.up, growth.down or None) if growth.up else None
    for name, of in (("scale_up_limit", "step_up"), ("scale_down_limit", "step_down")):
        if message.HasField(name):
            limit: policy_pb2.StepLimit = getattr(message, name)
            period_s = _seconds(limit.period)
            parts[of] = StepLimit(limit.replicas, limit.share, period_s) if period_s else None
    if message.HasField("look_ahead"):
        parts["look_ahead"] = _look_ahead(message.look_ahead)
    if message.HasField("season"):
        season, usual = message.season, Season()
        days, min_days = season.days or usual.days, season.min_days or usual.min_days
        parts["season"] = Season(season.quantile, days, min_days, season.value or None) if season.quantile else None
    if message.HasField("scale_to_zero"):
        parts["scale_to_zero"] = ScaleToZero(_seconds(message.scale_to_zero.after))
    if message.HasField("overflow"):
        overflow = message.overflow
        hold_s = _seconds(overflow.hold) if overflow.HasField("hold") else 60.0
        parts["overflow"] = Overflow(
            overflow.pool, overflow.per_replica, overflow.max_replicas, overflow.while_loading, hold_s
        )
    if message.HasField("budget"):
        parts["budget"] = Budget(
            *(_optional(message.budget, name) for name in ("replica_hours", "money", "price_per_replica_hour")),
            warn_at=message.budget.warn_at or 0.8,
        )
    return parts


def _bridged(message: policy_pb2.ScalingPolicy) -> dict[str, float]:
    """Disable bridged starts if only the scale-down window is set, so that the window is exactly as long as set."""
    alone = message.HasField("scale_down_window") and not message.HasField("bridged_starts")
    return {"bridged_starts": 0.0} if alone else {}


def _look_ahead(look_ahead: policy_pb2.LookAhead) -> LookAhead | None:
    usual, window_s = LookAhead(), _seconds(look_ahead.window)
    if not window_s:
        return None
    return LookAhead(
        default_s=_seconds(look_ahead.default_load_time)
        if look_ahead.HasField("default_load_time")
        else usual.default_s,
        window_s=window_s,
        most=look_ahead.most or usual.most,
    )


def _schedules(message: policy_pb2.ScalingPolicy, field: str, found: list[FieldViolation]) -> tuple[Schedule, ...]:
    schedules = []
    for at, schedule in enumerate(message.schedules):
        start, end = _minute(schedule.start), _minute(schedule.end)
        if start is None or end is None or start == 1440:
            found.append(FieldViolation(f"{field}.schedules[{at}]", "start and end must be HH:MM, 00:00 to 24:00"))
            continue
        schedules.append(
            Schedule(
                name=schedule.name,
                days=tuple(schedule.days) or tuple(range(7)),
                start_minute=start,
                end_minute=end or 1440,
                min_replicas=_optional(schedule, "min_replicas"),
                max_replicas=_optional(schedule, "max_replicas"),
                time_zone=schedule.time_zone or "UTC",
            )
        )
    return tuple(schedules)


def _more_violations(
    message: policy_pb2.ScalingPolicy, policy: PoolPolicy, deadline_s: float | None, field: str
) -> list[FieldViolation]:
    """Return what is wrong beyond what keeps a policy from deciding."""
    found = []
    for name, of, most in (
        ("targets", message.targets, MOST_TARGETS),
        ("schedules", message.schedules, MOST_SCHEDULES),
    ):
        if len(of) > most:
            found.append(FieldViolation(f"{field}.{name}", f"has {len(of)}; at most {most} are allowed"))
    if policy.max_replicas > MOST_REPLICAS:
        found.append(FieldViolation(f"{field}.max_replicas", f"must be at most {MOST_REPLICAS}"))
    if policy.interval_s < LEAST_INTERVAL_S:
        found.append(FieldViolation(f"{field}.interval", f"must be at least {LEAST_INTERVAL_S:g} s"))
    if deadline_s is not None and not 1.0 <= deadline_s <= 86_400.0:
        found.append(FieldViolation(f"{field}.ready_deadline", "must be between 1 s and a day"))
    if policy.overflow is not None and (not is_id(policy.overflow.pool) or policy.overflow.pool == _own_pool(message)):
        found.append(FieldViolation(f"{field}.overflow.pool", "must be the id of another pool"))
    found += [
        FieldViolation(f"{field}.{name}", "must be a positive number")
        for name in ("burst_reserve", "capacity")
        if (value := getattr(policy, name)) is not None and not 0.0 < value < math.inf
    ]
    found += [
        FieldViolation(f"{field}.{name}", f"must lie between {least:g} and {most:g}")
        for name, value, least, most in _bounds(policy)
        if not least <= value <= most  # so NaN is refused
    ]
    names = [one.name for one in policy.schedules]
    for at, one in enumerate(policy.schedules):
        if not is_id(one.name) or names.index(one.name) != at:
            found.append(FieldViolation(f"{field}.schedules[{at}].name", "must be an id, unique in the policy"))
    return found


def _bounds(policy: PoolPolicy) -> list[tuple[str, float, float, float]]:
    """Return numbers of parts of a policy with what they must lie between: a window that has no bound fills memory."""
    bounds = []
    if policy.look_ahead is not None:
        ahead = policy.look_ahead
        bounds += [("look_ahead.window", ahead.window_s, 1.0, 3600.0)]
        bounds += [("look_ahead.default_load_time", ahead.default_s, 0.0, 86_400.0)]
        bounds += [("look_ahead.most", ahead.most, 1.0, 100.0)]
    for name, step in (("scale_up_limit", policy.step_up), ("scale_down_limit", policy.step_down)):
        if step is not None:
            bounds += [(f"{name}.period", step.period_s, 1.0, 86_400.0), (f"{name}.share", step.share, 0.0, 1000.0)]
    if policy.season is not None:
        bounds += [("season.days", policy.season.days, 1, 90)]
        bounds += [("season.value", 1.0 if policy.season.value is None else policy.season.value, 1e-9, 1e12)]
    if policy.scale_to_zero is not None:
        bounds += [("scale_to_zero.after", policy.scale_to_zero.after_s, 1.0, 30 * 86_400.0)]
    if policy.overflow is not None:
        bounds += [("overflow.hold", policy.overflow.hold_s, 0.0, 86_400.0)]
        bounds += [("overflow.max_replicas", policy.overflow.max_replicas, 1, MOST_REPLICAS)]
    if policy.budget is not None:
        bounds += [("budget.warn_at", policy.budget.warn_at, 0.0, 1.0)]
    bounds += [("max_gap", policy.max_gap_s, 1.0, 86_400.0)]
    bounds += [("bridged_starts", policy.bridged_starts, 0.0, 100.0)]
    bounds += [("activation_replicas", policy.activation_replicas, 0, policy.max_replicas)]
    return bounds


def _own_pool(message: policy_pb2.ScalingPolicy) -> str:
    return pool_of(message.name, "policy.name", "policy") if message.name else ""


def to_message(pool: str, declared: DeclaredPolicy) -> policy_pb2.ScalingPolicy:
    """Return the message of a policy, every field filled in."""
    policy = declared.policy
    fields: dict[str, Any] = {name: value for name in _NUMBERS if (value := getattr(policy, name)) is not None}
    fields |= {name: duration(getattr(policy, of)) for name, of in _DURATIONS.items()}
    message = policy_pb2.ScalingPolicy(
        name=f"pools/{pool}/policy",
        preset=declared.preset,
        targets=[
            policy_pb2.Target(
                metric=one.metric.value,
                value=one.value,
                kind=_KIND_NUMBERS[one.how],
                up_only=one.up_only,
                missing_as=one.missing_as,
            )
            for one in policy.targets
        ],
        schedules=map(_to_schedule, policy.schedules),
        **fields,
    )
    if declared.ready_deadline_s is not None:
        message.ready_deadline.CopyFrom(duration(declared.ready_deadline_s))
    _fill_parts(message, policy)
    return message


def _fill_parts(message: policy_pb2.ScalingPolicy, policy: PoolPolicy) -> None:
    if (panic := policy.panic) is not None:
        message.panic.CopyFrom(policy_pb2.Panic(window=duration(panic.window_s), threshold=panic.threshold))
    if policy.growth is not None:
        message.growth.CopyFrom(policy_pb2.Growth(up=policy.growth.up, down=policy.growth.down or 0.0))
    for step, limit in ((policy.step_up, message.scale_up_limit), (policy.step_down, message.scale_down_limit)):
        if step is not None:
            limit.CopyFrom(
                policy_pb2.StepLimit(replicas=step.replicas, share=step.share, period=duration(step.period_s))
            )
    if (ahead := policy.look_ahead) is not None:
        message.look_ahead.CopyFrom(
            policy_pb2.LookAhead(
                window=duration(ahead.window_s),
                default_load_time=duration(ahead.default_s),
                most=ahead.most,
            )
        )
    if (season := policy.season) is not None:
        message.season.CopyFrom(
            policy_pb2.Season(
                quantile=season.quantile, days=season.days, min_days=season.min_days, value=season.value or 0.0
            )
        )
    if policy.scale_to_zero is not None:
        message.scale_to_zero.after.CopyFrom(duration(policy.scale_to_zero.after_s))
    if (there := policy.overflow) is not None:
        message.overflow.CopyFrom(
            policy_pb2.Overflow(
                pool=there.pool,
                per_replica=there.per_replica,
                max_replicas=there.max_replicas,
                while_loading=there.while_loading,
                hold=duration(there.hold_s),
            )
        )
    if (budget := policy.budget) is not None:
        message.budget.CopyFrom(
            policy_pb2.Budget(
                replica_hours=budget.replica_hours,
                money=budget.money,
                price_per_replica_hour=budget.price_per_replica_hour,
                warn_at=budget.warn_at,
            )
        )


def _to_schedule(schedule: Schedule) -> policy_pb2.Schedule:
    return policy_pb2.Schedule(
        name=schedule.name,
        days=schedule.days,
        start=f"{schedule.start_minute // 60:02}:{schedule.start_minute % 60:02}",
        end=f"{schedule.end_minute // 60:02}:{schedule.end_minute % 60:02}",
        min_replicas=schedule.min_replicas,
        max_replicas=schedule.max_replicas,
        time_zone=schedule.time_zone,
    )


def _seconds(message: Duration) -> float:
    return message.seconds + message.nanos / 1e9


def _optional(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None


def _minute(text: str) -> int | None:
    hours, colon, minutes = text.partition(":")
    if not (colon and len(hours) == len(minutes) == 2 and text.replace(":", "").isdecimal() and text.isascii()):
        return None
    minute = int(hours) * 60 + int(minutes)
    return minute if int(minutes) < 60 and minute <= 1440 else None


def _api_name(field: str) -> str:
    name, dot, rest = field.partition(".")
    return _API_NAMES.get(name, name) + dot + rest
