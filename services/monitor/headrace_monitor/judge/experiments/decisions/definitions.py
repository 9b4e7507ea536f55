"""What an experiment is, and which ones can be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from headrace_servicekit.errors import FieldViolation, PreconditionFailed, refuse
from headrace_servicekit.resource_names import is_id, shown
from headrace_statistics.experiments.design import Design, Kind, Role
from headrace_statistics.experiments.design import Metric as MetricDesign

MAX_VARIANTS, MAX_METRICS, MAX_PHASES = 8, 20, 100
MAX_TEXT, MAX_REASON = 2_000, 500
MAX_WINDOW = timedelta(days=90)
PREDICTIONS = "predictions"
LEAST_QUANTILE = 0.001
LEAST_CAP_UNITS, MAX_CAP_UNITS = 100, 1_000_000

_INSTANT = timedelta(microseconds=1)
_OUTCOME = re.compile(r"[a-z0-9_]{1,63}")


class State(StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Metric:
    """outcome: kind of outcome that is summed for each unit. denominator: of a ratio, likewise, or `predictions`. cap:
    a unit's value counts from -cap to cap; 0 means any. quantile: of the kind QUANTILE. cap_quantile: the cap is this
    quantile of the sizes of the values that are not 0, of the first cap_units units of all variants; 0 means none.
    """

    name: str
    kind: Kind
    role: Role
    outcome: str
    denominator: str = ""
    relative_effect: float = 0.1
    margin: float = 0.02
    higher_is_better: bool = True
    cap: float = 0.0
    quantile: float = 0.5
    cap_quantile: float = 0.0
    cap_units: int = 1_000

    @property
    def design(self) -> MetricDesign:
        return MetricDesign(
            *(self.name, self.kind, self.role, self.relative_effect, self.margin),
            higher_is_better=self.higher_is_better,
            quantile=self.quantile,
        )


@dataclass(frozen=True, slots=True)
class Phase:
    """From start_time on, variants have these weights."""

    start_time: datetime
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Definition:
    """What is decided before the start. weights: of the variants; the first one is the control. stop_on_harm: the
    rollout service ends it when a guardrail is harmed, or the shares are wrong. stratify_by: attribute of requests
    within whose values units are compared. exclude_crossed: metrics leave out units that several variants answered.
    """

    hypothesis: str
    weights: Mapping[str, float]
    metrics: tuple[Metric, ...]
    alpha: float = 0.05
    power: float = 0.8
    attribution_window: timedelta = timedelta(days=7)
    covariate_window: timedelta = timedelta(0)
    planned_units: int = 20_000
    stop_on_harm: bool = False
    stratify_by: str = ""
    exclude_crossed: bool = False

    @property
    def design(self) -> Design:
        """Return the design of its statistics. Raises ValueError that names the field."""
        control, *variants = self.weights
        metrics = tuple(metric.design for metric in self.metrics)
        return Design(
            control,
            tuple(variants),
            metrics,
            alpha=self.alpha,
            guardrail_alpha=self.alpha,
            power=self.power,
            tuned_units=self.planned_units,
        )


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment of a model. stopped: it ended because of harm. reported: alarms already sent to webhooks."""

    model: str
    id: str
    definition: Definition
    owner: str
    create_time: datetime
    state: State = State.DRAFT
    phases: tuple[Phase, ...] = field(default_factory=tuple)
    end_time: datetime | None = None
    end_reason: str = ""
    stopped: bool = False
    reported: frozenset[str] = frozenset()

    @property
    def start_time(self) -> datetime | None:
        return self.phases[0].start_time if self.phases else None


def violations(definition: Definition) -> Iterator[FieldViolation]:
    """Yield what is wrong with a definition, by field of the API."""
    yield from text_violations(definition.hypothesis, MAX_TEXT, "experiment.hypothesis")
    if not 2 <= len(definition.weights) <= MAX_VARIANTS:
        count = len(definition.weights)
        yield FieldViolation("experiment.variants", f"{count} names; two to {MAX_VARIANTS}, the control first")
    yield from weight_violations(definition.weights, "experiment.variants")
    if len(definition.metrics) > MAX_METRICS:
        yield FieldViolation("experiment.metrics", f"{len(definition.metrics)} metrics; at most {MAX_METRICS}")
    for index, metric in enumerate(definition.metrics):
        yield from _of_metric(metric, f"experiment.metrics[{index}]")
    for name in ("attribution_window", "covariate_window"):
        window = getattr(definition, name)
        least = timedelta(0) if name == "covariate_window" else timedelta(microseconds=1)
        if not least <= window <= MAX_WINDOW:
            yield FieldViolation(f"experiment.{name}", f"{window} is not a time of up to {MAX_WINDOW.days} days")


def text_violations(text: str, most: int, name: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with a text for people, which PostgreSQL keeps."""
    if len(text) > most:
        yield FieldViolation(name, f"has more than {most} characters")
    if "\0" in text:
        yield FieldViolation(name, "has a NUL character")


def weight_violations(weights: Mapping[str, float], name: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with weights by variant."""
    for index, (variant, weight) in enumerate(weights.items()):
        if not is_id(variant):
            yield FieldViolation(f"{name}[{index}].name", f"{shown(variant)} is not the name of a variant")
        if not 0 < weight < math.inf:
            yield FieldViolation(f"{name}[{index}].weight", f"{weight} is not a number above 0")


def _of_metric(metric: Metric, name: str) -> Iterator[FieldViolation]:
    for part, outcome in (("name", metric.name), ("outcome", metric.outcome)):
        if not _OUTCOME.fullmatch(outcome):
            wanted = "is not 1 to 63 lower-case letters, digits and underscores"
            yield FieldViolation(f"{name}.{part}", f"{shown(outcome)} {wanted}")
    if (metric.kind is Kind.RATIO) != bool(metric.denominator):
        wanted = "a ratio needs one" if metric.kind is Kind.RATIO else "only a ratio has one"
        yield FieldViolation(f"{name}.denominator", f"{shown(metric.denominator)}: {wanted}")
    elif metric.denominator and not _OUTCOME.fullmatch(metric.denominator):
        yield FieldViolation(f"{name}.denominator", f"{shown(metric.denominator)} is not a kind of outcome")
    if not 0 <= metric.cap < math.inf:
        yield FieldViolation(f"{name}.cap", f"{metric.cap} is not a number from 0 on")
    yield from _of_found_cap(metric, name)
    if not LEAST_QUANTILE <= metric.quantile <= 1 - LEAST_QUANTILE:
        yield FieldViolation(
            f"{name}.quantile", f"{metric.quantile} is not between {LEAST_QUANTILE} and {1 - LEAST_QUANTILE}"
        )


def _of_found_cap(metric: Metric, name: str) -> Iterator[FieldViolation]:
    if not (metric.cap_quantile == 0 or 0.5 <= metric.cap_quantile < 1):
        yield FieldViolation(f"{name}.cap_quantile", f"{metric.cap_quantile} is not a share from .5 on and below 1")
    if metric.cap_quantile and metric.cap:
        yield FieldViolation(f"{name}.cap_quantile", "the metric has a cap: leave one of the two out")
    if metric.cap_quantile and metric.kind not in (Kind.MEAN, Kind.RATIO):
        yield FieldViolation(f"{name}.cap_quantile", "only a mean and a ratio need one")
    if not LEAST_CAP_UNITS <= metric.cap_units <= MAX_CAP_UNITS:
        wanted = f"is not a number from {LEAST_CAP_UNITS} to {MAX_CAP_UNITS:,}"
        yield FieldViolation(f"{name}.cap_units", f"{metric.cap_units} {wanted}")


def started(experiment: Experiment, now: datetime) -> Experiment:
    """Return it running. Raises PreconditionFailed."""
    if experiment.state is State.RUNNING:
        return experiment
    if experiment.state is State.ENDED:
        raise PreconditionFailed(
            f"experiment '{experiment.id}' has ended and cannot be continued; create another one",
            reason="EXPERIMENT_ENDED",
        )
    return replace(experiment, state=State.RUNNING, phases=(Phase(now, experiment.definition.weights),))


def reweighted(experiment: Experiment, weights: Mapping[str, float], now: datetime) -> Experiment:
    """Return it with other shares from now on. Raises PreconditionFailed."""
    if experiment.state is not State.RUNNING:
        raise _not_running(experiment)
    if dict(experiment.phases[-1].weights) == dict(weights):
        return experiment
    if len(experiment.phases) >= MAX_PHASES:
        raise PreconditionFailed(
            f"experiment '{experiment.id}' has had {MAX_PHASES} changes of shares, the most that are taken",
            reason="TOO_MANY_PHASES",
        )
    # A clock that was set back must not put a phase before the one that it follows.
    start_time = max(now, experiment.phases[-1].start_time + _INSTANT)
    return replace(experiment, phases=(*experiment.phases, Phase(start_time, weights)))


def ended(experiment: Experiment, reason: str, now: datetime, *, stopped: bool = False) -> Experiment:
    """Return it ended. stopped: since it does harm. Raises InvalidArgument, PreconditionFailed."""
    refuse([*text_violations(reason, MAX_REASON, "reason")], reason="EXPERIMENT_INVALID")
    if experiment.state is State.ENDED:
        return experiment
    if experiment.state is State.DRAFT:
        raise _not_running(experiment)
    end_time = max(now, experiment.phases[-1].start_time)
    return replace(experiment, state=State.ENDED, end_time=end_time, end_reason=reason, stopped=stopped)


def check_ran(experiment: Experiment) -> None:
    """Raise PreconditionFailed for one that never ran."""
    if experiment.state is State.DRAFT:
        raise _not_running(experiment)


def _not_running(experiment: Experiment) -> PreconditionFailed:
    what = "has not been started: `headrace experiments start`" if experiment.state is State.DRAFT else "has ended"
    return PreconditionFailed(f"experiment '{experiment.id}' {what}", reason="EXPERIMENT_NOT_RUNNING")
