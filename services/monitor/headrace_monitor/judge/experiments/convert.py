"""Between the API's messages and experiments. What a message cannot say in a value is a field violation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from headrace.monitor.v1 import experiment_pb2
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.resource_names import ids, invalid, shown
from headrace_statistics.experiments.design import Kind, Role

from headrace_monitor.judge.experiments.decisions.definitions import (
    Definition,
    Experiment,
    Metric,
    State,
    violations,
    weight_violations,
)

INVALID = "EXPERIMENT_INVALID"
MAX_PARTS = 1_000

_ATTRIBUTE = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_KINDS = {0: Kind.BINARY, 1: Kind.BINARY, 2: Kind.MEAN, 3: Kind.RATIO, 4: Kind.QUANTILE}
_TO_KINDS = {Kind.BINARY: 1, Kind.MEAN: 2, Kind.RATIO: 3, Kind.QUANTILE: 4}
_ROLES = {0: Role.SUCCESS, 1: Role.SUCCESS, 2: Role.GUARDRAIL, 3: Role.QUALITY}
TO_ROLES = {Role.SUCCESS: 1, Role.GUARDRAIL: 2, Role.QUALITY: 3}
_TO_STATES = {State.DRAFT: 1, State.RUNNING: 2, State.ENDED: 3}


def experiment_ids(name: str, field: str) -> tuple[str, str]:
    """Return model and experiment in `models/{model}/experiments/{experiment}`. Raises InvalidArgument."""
    model, id_ = ids(name, field, "models/{model}/experiments/{experiment}")
    return model, id_


def attribute(name: str, field: str) -> str:
    """Return the name of an attribute of predictions; empty for none. Raises InvalidArgument."""
    if name and _ATTRIBUTE.fullmatch(name) is None:
        raise invalid(field, f"{shown(name)} is not the name of an attribute: letters, digits, _, . and -, at most 64")
    return name


def parts(request: experiment_pb2.ExportExperimentUnitsRequest) -> tuple[int, int]:
    """Return the number of parts that units are divided into, and the requested part. Raises InvalidArgument."""
    if not 0 <= request.parts <= MAX_PARTS:
        raise invalid("parts", f"{request.parts} is not a number from 0 to {MAX_PARTS}")
    count = request.parts or 1
    if not 0 <= request.part < count:
        raise invalid("part", f"{request.part} is not one of {count} parts, that are numbered from 0 on")
    return count, request.part


def draft(model: str, message: experiment_pb2.Experiment, owner: str, now: datetime) -> Experiment:
    """Return the draft in a message. Raises InvalidArgument."""
    named, id_ = experiment_ids(message.name, "experiment.name")
    if named != model:
        raise invalid("experiment.name", f"is of model '{named}', and the request is about '{model}'", reason=INVALID)
    found: list[FieldViolation] = []
    metrics = tuple(_metric(each, f"experiment.metrics[{at}]", found) for at, each in enumerate(message.metrics))
    unset = Definition("", {}, ())
    definition = Definition(
        message.hypothesis,
        weights(message.variants, "experiment.variants", found),
        metrics,
        message.alpha or unset.alpha,
        message.power or unset.power,
        _duration(message, "attribution_window", unset.attribution_window, found),
        _duration(message, "covariate_window", unset.covariate_window, found),
        message.planned_units or unset.planned_units,
        message.stop_on_harm,
        attribute(message.stratify_by, "experiment.stratify_by"),
        message.exclude_crossed,
    )
    if definition.planned_units < 0:
        found.append(FieldViolation("experiment.planned_units", f"{definition.planned_units} is not a number of units"))
    refuse([*found, *violations(definition)], reason=INVALID)
    try:
        _ = definition.design
    except ValueError as error:
        field = str(error).split(maxsplit=1)[0].rstrip(":")
        raise invalid(f"experiment.{field}", str(error), reason=INVALID) from None
    return Experiment(model, id_, definition, owner, now)


def new_weights(request: experiment_pb2.ChangeSharesRequest, experiment: Experiment) -> dict[str, float]:
    """Return the weights in a request, in the order of the experiment. Raises InvalidArgument."""
    found: list[FieldViolation] = []
    wanted = weights(request.variants, "variants", found)
    known = experiment.definition.weights
    if not found and wanted.keys() != known.keys():
        found.append(FieldViolation("variants", f"names {', '.join(wanted) or 'none'}, not {', '.join(known)}"))
    refuse([*found, *weight_violations(wanted, "variants")], reason=INVALID)
    return {name: wanted[name] for name in known}


def weights(
    variants: Iterable[experiment_pb2.Experiment.Variant], field: str, found: list[FieldViolation]
) -> dict[str, float]:
    """Return weights by variant; add a violation to `found` for each repeated name."""
    by_variant: dict[str, float] = {}
    for index, variant in enumerate(variants):
        if variant.name in by_variant:
            found.append(FieldViolation(f"{field}[{index}].name", f"'{variant.name}' comes twice"))
        by_variant[variant.name] = variant.weight
    return by_variant


def to_experiment(experiment: Experiment) -> experiment_pb2.Experiment:
    """Return the message of an experiment."""
    definition = experiment.definition
    message = experiment_pb2.Experiment(
        name=f"models/{experiment.model}/experiments/{experiment.id}",
        hypothesis=definition.hypothesis,
        variants=_variants(definition.weights),
        metrics=[_to_metric(metric) for metric in definition.metrics],
        alpha=definition.alpha,
        power=definition.power,
        planned_units=definition.planned_units,
        stop_on_harm=definition.stop_on_harm,
        stratify_by=definition.stratify_by,
        exclude_crossed=definition.exclude_crossed,
        stopped=experiment.stopped,
        state=_TO_STATES[experiment.state],  # pyright: ignore[reportArgumentType] - a number of an enum
        owner=experiment.owner,
        end_reason=experiment.end_reason,
    )
    message.attribution_window.FromTimedelta(definition.attribution_window)
    if definition.covariate_window:
        message.covariate_window.FromTimedelta(definition.covariate_window)
    message.create_time.FromDatetime(experiment.create_time)
    if experiment.start_time is not None:
        message.start_time.FromDatetime(experiment.start_time)
    if experiment.end_time is not None:
        message.end_time.FromDatetime(experiment.end_time)
    for phase in experiment.phases:
        shown = message.phases.add(variants=_variants(phase.weights))
        shown.start_time.FromDatetime(phase.start_time)
    return message


def finite(value: float) -> float | None:
    """Return a number that a message can show; None for one that means "nothing known"."""
    return value if math.isfinite(value) else None


def _variants(weights: Mapping[str, float]) -> list[experiment_pb2.Experiment.Variant]:
    return [experiment_pb2.Experiment.Variant(name=name, weight=weight) for name, weight in weights.items()]


def _metric(message: experiment_pb2.Experiment.Metric, field: str, found: list[FieldViolation]) -> Metric:
    for name, known in (("kind", _KINDS), ("role", _ROLES)):
        if getattr(message, name) not in known:
            found.append(FieldViolation(f"{field}.{name}", f"{getattr(message, name)} is not a {name}"))
    found.extend(
        FieldViolation(f"{field}.{name}", f"{getattr(message, name)} is not a number from 0 on")
        for name in ("relative_effect", "margin", "cap")
        if not 0 <= getattr(message, name) < math.inf
    )
    return Metric(
        message.name,
        _KINDS.get(message.kind, Kind.BINARY),
        _ROLES.get(message.role, Role.SUCCESS),
        message.outcome or message.name,
        message.denominator,
        message.relative_effect or 0.1,
        message.margin or 0.02,
        not message.lower_is_better,
        message.cap,
        message.quantile or 0.5,
        message.cap_quantile,
        message.cap_units or 1_000,
    )


def _to_metric(metric: Metric) -> experiment_pb2.Experiment.Metric:
    return experiment_pb2.Experiment.Metric(
        name=metric.name,
        kind=_TO_KINDS[metric.kind],  # pyright: ignore[reportArgumentType] - a number of an enum
        role=TO_ROLES[metric.role],  # pyright: ignore[reportArgumentType]
        outcome=metric.outcome,
        denominator=metric.denominator,
        relative_effect=metric.relative_effect,
        margin=metric.margin,
        lower_is_better=not metric.higher_is_better,
        cap=metric.cap,
        quantile=metric.quantile if metric.kind is Kind.QUANTILE else 0.0,
        cap_quantile=metric.cap_quantile,
        cap_units=metric.cap_units if metric.cap_quantile else 0,
    )


def _duration(message: Any, name: str, unset: timedelta, found: list[FieldViolation]) -> timedelta:
    if not message.HasField(name):
        return unset
    try:
        return getattr(message, name).ToTimedelta()
    except (ValueError, OverflowError):
        found.append(FieldViolation(f"experiment.{name}", "is not a duration"))
        return unset
