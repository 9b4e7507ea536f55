"""What a version must show before it may serve production."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from headrace_servicekit.errors import FieldViolation, PreconditionFailed
from headrace_servicekit.identity import matches

from headrace_registry.decisions.models import Bound, Gate, MetricSource, Model, Version

DEFAULT_GATES = (Gate("accuracy", minimum=0.85), Gate("latency_p99_ms", maximum=100.0))

# Of every version whose answers batchers compared with its expected outputs, unless its uploader accepts that they
# differ, by this metric.
OUTPUTS_HOLD = Gate("parity_over_tolerance", maximum=1.0, measured_only=True)
ACCEPTS_DIFFERENCE = "accepts_difference"

LOWER = frozenset({Bound.MINIMUM, Bound.MINIMUM_DELTA, Bound.MINIMUM_RATIO})
RELATIVE = frozenset({Bound.MINIMUM_DELTA, Bound.MAXIMUM_DELTA, Bound.MINIMUM_RATIO, Bound.MAXIMUM_RATIO})
RATIOS = frozenset({Bound.MINIMUM_RATIO, Bound.MAXIMUM_RATIO})

# What Headrace measured is preferred to what the uploader reported.
_PREFERENCE = (MetricSource.MEASURED, MetricSource.REPORTED)

Values = Mapping[tuple[str, MetricSource], float]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate, and why it is not met; empty when it is."""

    gate: Gate
    problem: str


@dataclass(frozen=True, slots=True)
class _Demand:
    """A gate with its one bound taken apart."""

    gate: Gate
    kind: Bound
    bound: float

    @property
    def sign(self) -> str:
        return ">=" if self.kind in LOWER else "<="

    def holds(self, value: float, limit: Decimal) -> bool:
        return _decimal(value) >= limit if self.kind in LOWER else _decimal(value) <= limit


def gates_of(model: Model) -> tuple[Gate, ...]:
    """Return the gates in force: the model's own, also when they are none, or the default ones."""
    return DEFAULT_GATES if model.gates is None else model.gates


def asked_of(model: Model, version: Version) -> tuple[Gate, ...]:
    """Return the gates that a version has to meet: those in force, and that its expected outputs hold."""
    compared = (OUTPUTS_HOLD.metric, MetricSource.MEASURED) in _values(version)
    return (*gates_of(model), OUTPUTS_HOLD) if compared and not accepts_difference(version) else gates_of(model)


def accepts_difference(version: Version) -> bool:
    """Return whether the uploader of a version accepts that its answers differ from the expected ones."""
    return any(one.name == ACCEPTS_DIFFERENCE and one.value for one in version.all_metrics)


def violations(gates: Iterable[Gate], version: Version, production: Version | None) -> list[FieldViolation]:
    """Return one violation for each gate that is not met, naming values and bound; a missing metric is one too.

    production: the version that is to be replaced; without one, relative gates are met.
    """
    found = results(gates, version, production)
    return [FieldViolation(f"gates.{one.gate.metric}", one.problem) for one in found if one.problem]


def results(gates: Iterable[Gate], version: Version, production: Version | None) -> list[GateResult]:
    """Return of each gate whether it is met, in their order."""
    values, present = _values(version), None if production is None else _values(production)
    found = []
    for gate in gates:
        ((kind, bound),) = gate.bounds.items()
        demand = _Demand(gate, kind, bound)
        if kind not in RELATIVE:
            problem = _absolute(demand, values)
        elif production is None or present is None:
            problem = None
        else:
            problem = _relative(demand, values, present, production.ref.version)
        found.append(GateResult(gate, problem or ""))
    return found


def check(model: Model, version: Version, production: Version | None, measured_later: tuple[str, ...] = ()) -> None:
    """Raise PreconditionFailed, reason PROMOTION_GATE_FAILED, with every violation, unless all gates are met.

    measured_later: patterns of metrics that will be measured before the version is promoted. Of a gate on one of these
    nothing is asked yet while the version has no value that it could be met by.
    """
    asked = [one for one in asked_of(model, version) if not _comes_later(one, version, measured_later)]
    found = violations(asked, version, production)
    if found:
        raise PreconditionFailed(
            f"version '{version.ref.version}' of '{model.name}' misses {len(found)} promotion gate(s): "
            + "; ".join(violation.description for violation in found),
            reason="PROMOTION_GATE_FAILED",
            violations=found,
            # Clients build a command from it.
            metadata={"version": version.ref.version, "missing": ",".join(_missing(asked, version))},
        )


def _comes_later(gate: Gate, version: Version, measured_later: tuple[str, ...]) -> bool:
    values = _values(version)
    return matches(measured_later, gate.metric) and not any((gate.metric, one) in values for one in _sources(gate))


def _missing(gates: Iterable[Gate], version: Version) -> list[str]:
    """Return the metrics that gates require at registration and that a version lacks."""
    known = {metric.name for metric in version.all_metrics}
    return list(dict.fromkeys(one.metric for one in gates if one.metric not in known and not one.measured_only))


def _values(version: Version) -> Values:
    return {(metric.name, metric.source): metric.value for metric in version.all_metrics}


def _sources(gate: Gate) -> tuple[MetricSource, ...]:
    return (MetricSource.MEASURED,) if gate.measured_only else _PREFERENCE


def _absolute(demand: _Demand, values: Values) -> str | None:
    """Return why an absolute gate is not met."""
    gate, rule = demand.gate, f"must be {demand.sign} {_number(demand.bound)}"
    source = next((source for source in _sources(gate) if (gate.metric, source) in values), None)
    if source is None:
        kind = "measured " if gate.measured_only else ""
        return f"{gate.metric} {rule}, and the version has no {kind}{gate.metric}"
    value = values[gate.metric, source]
    return (
        None
        if demand.holds(value, _decimal(demand.bound))
        else f"{gate.metric} is {_number(value)} ({source}) and {rule}"
    )


def _relative(demand: _Demand, values: Values, present: Values, production: str) -> str | None:
    """Return why a gate relative to production is not met. Only values of the same source are compared."""
    gate, ratio = demand.gate, demand.kind in RATIOS
    of_production = f"that of '{production}' in production"
    rule = f"must be {demand.sign} " + (
        f"{_number(demand.bound)} times {of_production}" if ratio else f"{of_production} {_signed(demand.bound)}"
    )
    both = [s for s in _sources(gate) if (gate.metric, s) in values and (gate.metric, s) in present]
    if not both:
        return f"{gate.metric} {rule}, and there are no two values to compare: " + _lacking(gate, values, present)
    value, other = values[gate.metric, both[0]], present[gate.metric, both[0]]
    if ratio and other < 0:
        return (
            f"{gate.metric} {rule}, which is {_number(other)}: a ratio says nothing of values below zero, use a delta"
        )
    bound = _decimal(demand.bound)
    limit = bound * _decimal(other) if ratio else _decimal(other) + bound
    if demand.holds(value, limit):
        return None
    return (
        f"{gate.metric} is {_number(value)} ({both[0]}) and {rule}, which is {_number(other)} ({both[0]}): "
        f"{demand.sign} {_number(float(limit))}"
    )


def _lacking(gate: Gate, values: Values, present: Values) -> str:
    """Return which values of a metric the two versions have, where they have none in common."""
    sides = []
    for who, known in (("the version", values), ("production", present)):
        has = [str(source) for source in _PREFERENCE if (gate.metric, source) in known]
        sides.append(f"{who} has {'only a ' + has[0] + ' one' if len(has) == 1 else 'both' if has else 'none'}")
    return ", ".join(sides) + (", and only measured ones count" if gate.measured_only else "")


def _decimal(value: float) -> Decimal:
    """Return a value as people write it: 0.7 is at least 0.8 - 0.1, which is not so in binary."""
    return Decimal(repr(value))


def _number(value: float) -> str:
    return f"{value:.15g}"


def _signed(value: float) -> str:
    return f"- {_number(-value)}" if value < 0 else f"+ {_number(value)}"
