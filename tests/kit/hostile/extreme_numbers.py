"""Messages that are as callers send them but for one number: none, the least, the most, and none at all."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.kit.clients.methods import METHODS

_FRACTIONS = (0.0, -1.0, 1e-12, 1e-308, 1e308, -1e308, math.nan, math.inf, -math.inf)
_BY_KIND: Mapping[int, tuple[float, ...]] = {
    FieldDescriptor.CPPTYPE_DOUBLE: _FRACTIONS,
    FieldDescriptor.CPPTYPE_FLOAT: (0.0, -1.0, 1e-12, 3e38, math.nan, math.inf),
    FieldDescriptor.CPPTYPE_INT32: (0, -1, 2**31 - 1, -(2**31)),
    FieldDescriptor.CPPTYPE_INT64: (0, -1, 2**63 - 1, -(2**63)),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_SPANS = ((0, 0), (0, 1), (-1, 0), (1, -1), (3_155_760_000, 0), (315_576_000_000, 0), (2**63 - 1, 0), (0, 2**31 - 1))
_TIMES = ((0, 0), (-62_135_596_800, 0), (253_402_300_799, 999_999_999), (2**63 - 1, 0), (-(2**63), 0), (0, -1))
_PAIRS = {"google.protobuf.Duration": _SPANS, "google.protobuf.Timestamp": _TIMES}
_DEEPEST = 4


def cases(name: str, usual: Message) -> Iterator[Message]:
    """Yield a method's usual message with one number changed, for each number that it can have."""
    for change in _changes(METHODS[name].input_type, _DEEPEST):
        message = type(usual)()
        message.CopyFrom(usual)
        change(message)
        yield message


def _changes(kind: Descriptor, depth: int) -> Iterator[Any]:
    for field in kind.fields:
        inner = field.message_type
        if inner is not None and inner.full_name in _PAIRS:
            for pair in _PAIRS[inner.full_name]:
                yield lambda message, field=field, pair=pair: _set_pair(message, field, *pair)
        elif inner is not None and inner.GetOptions().map_entry:
            for value in _BY_KIND.get(inner.fields_by_name["value"].cpp_type, ()):
                yield lambda message, field=field, value=value: _set_entry(message, field, value)
        elif inner is not None and depth:
            for change in _changes(inner, depth - 1):
                yield lambda message, field=field, change=change: change(_first(message, field))
        else:
            for value in _BY_KIND.get(field.cpp_type, ()):
                yield lambda message, field=field, value=value: _set(message, field, value)


def _first(message: Any, field: FieldDescriptor) -> Any:
    """Return what a field holds, the first of several; made where it holds nothing."""
    held = getattr(message, field.name)
    if not field.is_repeated:
        held.SetInParent()
        return held
    return held[0] if held else held.add()


def _set(message: Any, field: FieldDescriptor, value: float) -> None:
    if field.is_repeated:
        held = getattr(message, field.name)
        held[:] = [value, *held[1:]]
    else:
        setattr(message, field.name, value)


def _set_pair(message: Any, field: FieldDescriptor, seconds: int, nanos: int) -> None:
    held = _first(message, field)
    held.seconds, held.nanos = seconds, nanos


def _set_entry(message: Any, field: FieldDescriptor, value: float) -> None:
    held = getattr(message, field.name)
    held[next(iter(held), "a")] = value


def usual(name: str, model: str) -> Message:
    """Return a message that a method would take, as far as this is known here, about a model and a version of it."""
    kind: Any = GetMessageClass(METHODS[name].input_type)
    version = f"models/{model}/versions/v1"
    by_name: dict[str, Any] = {
        "model": model,
        "name": version if name in _OF_A_VERSION else f"models/{model}",
        "parent": f"models/{model}",
        "reason": "a number is tried",
    }
    there = {field.name for field in METHODS[name].input_type.fields if field.cpp_type == field.CPPTYPE_STRING}
    given = {key: value for key, value in by_name.items() if key in there}
    return kind(**(given | _usual(model).get(name, {})))


_OF_A_VERSION = frozenset(
    (
        "GetModelVersion", "UpdateServingSettings", "HoldVersion", "GetDrift", "GetDistributions", "FreezeReference",
        "RecordMeasuredMetrics", "RequestPromotion",
        "GetReference",
    )
)  # fmt: skip
_POLICY = {"name": "pools/fuzzed/policy", "targets": [{"metric": "concurrency", "value": 4.0}], "max_replicas": 4}
_EXPERIMENT = {
    "name": "models/fuzzed-numbers/experiments/fuzzed",
    "variants": [{"name": "control", "weight": 1}, {"name": "other", "weight": 1}],
    "metrics": [{"name": "clicks", "outcome": "clicked", "role": 1, "kind": 1}],
}


def _usual(model: str) -> dict[str, dict[str, Any]]:
    spec = {
        "version": "v1",
        "input": {"uri": "s3://headrace-scoring/in", "format": 1},
        "tensors": [{"tensor": "features", "columns": ["a", "b", "c", "d"]}],
    }
    route = {"name": f"routes/{model}", "variants": [{"name": "main", "version": "v1", "weight": 1}]}
    rollout = {"parent": f"models/{model}", "version": "v2", "variant": "production"}
    simulated = {"service": {"replica_rps": 100}, "policies": [{"name": "a", "known": "threshold"}]}
    return {
        "GetModelAsOf": {"time": {"seconds": 1_790_000_000}},
        "BeginUpload": {"type": 1, "size_bytes": 100, "sha256": "0" * 64},
        "CreateModel": {"model": {"name": "models/fuzzed-numbers"}},
        "UpdateModel": {"model": {"name": "models/fuzzed-numbers"}},
        "CreateModelVersion": {"version": {"name": "models/fuzzed-numbers/versions/v1"}},
        "UpdateServingSettings": {"serving": {"max_batch_rows": 8}, "validate_only": True},
        "ListMeasurements": {"parent": f"models/{model}/versions/v1"},
        "RecordMeasuredMetrics": {"source_process": "fuzzed", "metrics": [{"name": "accuracy", "value": 0.5}]},
        "PutRegistryWebhook": {
            "webhook": {"name": "registryWebhooks/fuzzed", "url": "https://hooks.example/x", "secret": "s" * 32}
        },
        "HoldVersion": {"holder": "fuzzed", "ttl": {"seconds": 60}},
        "PutApprovalPolicy": {"parent": "models/fuzzed-numbers", "policy": {"approvals": 1}},
        "Predict": {"model": model},
        "DryRunRoute": {"route": route},
        "UpdateRoute": {"route": {**route, "name": "routes/fuzzed-numbers"}},
        "ListRouteEvents": {"parent": f"routes/{model}"},
        "ListRolloutEvents": {"parent": f"models/{model}/rollouts/1"},
        "PromoteRollout": {"name": f"models/{model}/rollouts/1"},
        "ListScoringJobEvents": {"parent": f"models/{model}/scoringJobs/1"},
        "PutRolloutWebhook": {
            "webhook": {"name": "rolloutWebhooks/fuzzed", "url": "https://hooks.example/x", "secret": "s" * 32}
        },
        "PutScoringWebhook": {
            "webhook": {"name": "scoringWebhooks/fuzzed", "url": "https://hooks.example/x", "secret": "s" * 32}
        },
        "PutWebhook": {"webhook": {"name": "webhooks/fuzzed", "url": "https://hooks.example/x", "secret": "s" * 32}},
        "ListTraffic": {"models": [f"models/{model}"]},
        "GetUsage": {"model": f"models/{model}"},
        "ListDrift": {"parent": f"models/{model}/versions/v1"},
        "GetShadowReport": {"shadow_version": "v2"},
        "PlanRollout": rollout,
        "StartRollout": {**rollout, "parent": "models/fuzzed-numbers"},
        "PutRolloutTemplate": {"parent": "models/fuzzed-numbers"},
        "RunExperiment": {"name": "models/fuzzed-numbers/experiments/e", "weights": {"a": 1}},
        "ConcludeExperiment": {"name": "models/fuzzed-numbers/experiments/e"},
        "DryRunPolicy": {"policy": _POLICY},
        "PutPolicy": {"policy": _POLICY},
        "ListDecisions": {"parent": "pools/default"},
        "Replay": {"name": "pools/default", "policy": {**_POLICY, "name": "pools/default/policy"}},
        "Advise": {"name": "pools/default", "service": simulated["service"]},
        "Simulate": {**simulated, "counted": {"counts": [1.0] * 120, "learning": 10}},
        "CreateScoringJob": {"spec": spec, "validate_only": True},
        "EstimateScoringJob": {"spec": spec},
        "PublishScoringJob": {"name": f"models/{model}/scoringJobs/1", "publishing": {"entity_column": "id"}},
        "PutScoringSchedule": {
            "schedule": {"name": f"models/{model}/scoringSchedules/fuzzed", "cron": "0 0 * * *", "spec": spec}
        },
        "GetTraffic": {"range": {"start_time": {"seconds": 1_700_000_000}}},
        "QueryPredictions": {"sql": "select 1"},
        "SetDriftTolerance": {"column": "features.0", "test": "psi", "tolerance": 1.0},
        "RecordOutcomes": {"outcomes": [{"prediction_id": "x", "kind": "clicked", "number": 1.0}]},
        "PutAlertRule": {
            "rule": {
                "name": "alertRules/fuzzed",
                "model": "fuzzed-numbers",
                "severity": 1,
                "signal": "error_rate",
                "above": 0.5,
            }
        },
        "SilenceAlerts": {
            "silence": {"model": "fuzzed-numbers", "comment": "x", "expire_time": {"seconds": int(time.time()) + 600}}
        },
        "CreateExperiment": {"parent": "models/fuzzed-numbers", "experiment": _EXPERIMENT},
        "ChangeShares": {"name": f"models/{model}/experiments/fuzzed", "validate_only": True},
        "ExportExperimentUnits": {"name": f"models/{model}/experiments/fuzzed"},
        "PlanExperiment": {"mean": 0.1},
        "PutBudget": {
            "budget": {"name": "budgets/fuzzed", "client": "nobody-at-all", "model": "*", "period": 2, "compute_s": 1e6}
        },
        "PutRateLimit": {
            "rate_limit": {
                "name": "rateLimits/fuzzed",
                "client": "nobody-at-all",
                "model": "*",
                "requests_per_second": 100,
            }
        },
    }
