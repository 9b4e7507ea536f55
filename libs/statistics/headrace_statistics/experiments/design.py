"""What is decided before an experiment starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a unit's value is read. BINARY: 0 or 1. MEAN: a number. RATIO: a sum over a sum, as revenue per order.
    QUANTILE: a number, of which a quantile over the units is compared.
    """

    BINARY = "binary"
    MEAN = "mean"
    RATIO = "ratio"
    QUANTILE = "quantile"


class Role(StrEnum):
    """SUCCESS decides for a variant. GUARDRAIL must not fall below its margin. QUALITY is shown only."""

    SUCCESS = "success"
    GUARDRAIL = "guardrail"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class Metric:
    """relative_effect: smallest effect worth finding, as a share of the control's value. margin: how much worse, as
    such a share, a guardrail may get. higher_is_better: of which direction "better" is. quantile: of the kind QUANTILE.
    """

    name: str
    kind: Kind
    role: Role = Role.SUCCESS
    relative_effect: float = 0.1
    margin: float = 0.02
    higher_is_better: bool = True
    quantile: float = 0.5

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("metric.name is empty: name it, such as click")
        for name in ("relative_effect", "margin"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"metric {self.name}: {name} is {getattr(self, name)}: choose a number above 0")
        if not 0 < self.quantile < 1:
            raise ValueError(f"metric {self.name}: quantile is {self.quantile}: choose a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class Design:
    """control and variants by name. alpha: chance that any success metric of any variant is called different while
    none is, however often anybody looks. guardrail_alpha: likewise that a guardrail is called harmed.
    sample_ratio_alpha: that the shares are called wrong. power: of the planned size. tuned_units: number of units of
    the control and a variant together at which intervals are tightest, from the plan. least_units: of each variant
    before its means are taken for normal, and a finding is made; p of rare events does not wait for it.
    """

    control: str
    variants: tuple[str, ...]
    metrics: tuple[Metric, ...]
    alpha: float = 0.05
    guardrail_alpha: float = 0.05
    sample_ratio_alpha: float = 0.001
    power: float = 0.8
    tuned_units: float = 20_000
    least_units: int = 200

    def __post_init__(self) -> None:
        if not 1 <= len(self.variants) <= 7:
            raise ValueError(f"variants: {len(self.variants)} beside the control; name one to seven")
        names = [self.control, *self.variants]
        if len(set(names)) < len(names):
            raise ValueError(f"variants: {', '.join(names)}: each name only once, the control's too")
        if not any(metric.role is Role.SUCCESS for metric in self.metrics):
            raise ValueError("metrics: name at least one with role success, which decides")
        named = [metric.name for metric in self.metrics]
        if len(set(named)) < len(named):
            raise ValueError(f"metrics: {', '.join(named)}: each name only once")
        for name in ("alpha", "guardrail_alpha", "sample_ratio_alpha", "power"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: choose a probability between 0 and 1")
        if not self.tuned_units > 0:
            raise ValueError(f"tuned_units is {self.tuned_units}: choose a number of units above 0")

    def with_role(self, role: Role) -> tuple[Metric, ...]:
        return tuple(metric for metric in self.metrics if metric.role is role)
