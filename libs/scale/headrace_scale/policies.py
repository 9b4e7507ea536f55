"""Policies as the autoscaler's API has them, from the JSON that people write and simulate with."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from headrace.autoscaler.v1 import policy_pb2
from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.documents import to_plain

# Fields that the API calls otherwise, the seconds of their names left out.
_NAMES = {
    "max_age": "max_signal_age",
    "cooldown_up": "scale_up_cooldown",
    "cooldown_down": "scale_down_cooldown",
    "step_up": "scale_up_limit",
    "step_down": "scale_down_limit",
    "default": "default_load_time",
    "start_minute": "start",
    "end_minute": "end",
}
# What takes a part away that the server's preset has.
_OFF = {
    "panic": {"window": "0s"},
    "growth": {"up": 0},
    "step_up": {"period": "0s"},
    "step_down": {"period": "0s"},
    "look_ahead": {"window": "0s"},
    "season": {"quantile": 0},
}


def message_of(pool: str, policy: PoolPolicy) -> policy_pb2.ScalingPolicy:
    """Return the message that gives a pool exactly this policy."""
    message = policy_pb2.ScalingPolicy(name=f"pools/{pool.removeprefix('pools/')}/policy")
    return json_format.ParseDict(_message(to_plain(policy)), message)


def _message(plain: dict[str, Any]) -> dict[str, Any]:
    return dict(_field(name, value) for name, value in plain.items() if value is not None or name in _OFF)


def _field(name: str, value: Any) -> tuple[str, Any]:
    if value is None:
        value = _OFF[name]
    elif isinstance(value, dict):
        value = _message(value)
    elif isinstance(value, list):
        value = [_message(each) if isinstance(each, dict) else each for each in value]
    elif name == "kind":
        value = f"KIND_{value.upper()}"
    elif name.endswith("_minute"):
        value = f"{value // 60:02}:{value % 60:02}"
    elif name.endswith("_s"):
        name, value = name.removesuffix("_s"), f"{value:.9f}s"
    return _NAMES.get(name, name), value
