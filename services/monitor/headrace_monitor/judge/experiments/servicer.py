"""The RPCs of ExperimentService: convert, call, convert."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from headrace.monitor.v1 import experiment_pb2, experiment_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.identity import identity
from headrace_servicekit.resource_names import invalid
from headrace_statistics.experiments.analysis import Finding, State, VariantResult
from headrace_statistics.experiments.effects import Effect
from headrace_statistics.experiments.sizes import (
    UnitVariance,
    fixed_power_at,
    fixed_units,
    of_rate,
    power_at,
    sequential_units,
    settled_units,
)

from headrace_monitor import names
from headrace_monitor.judge.experiments import convert
from headrace_monitor.judge.experiments.analyst import Analyst
from headrace_monitor.judge.experiments.convert import INVALID, TO_ROLES, finite
from headrace_monitor.judge.experiments.decisions import definitions
from headrace_monitor.judge.experiments.decisions.definitions import Experiment
from headrace_monitor.judge.experiments.decisions.verdicts import Verdict, sentence, single_look_p
from headrace_monitor.judge.experiments.store import ExperimentStore

_VERDICTS = {state: number for number, state in enumerate(State, 1)}
_FINDINGS = {
    finding: getattr(experiment_pb2.AnalyseExperimentResponse, f"FINDING_{finding.name}") for finding in Finding
}
# Also in standard deviations of a unit. Smaller ones need more units than can be written down.
_LEAST_EFFECT = 1e-6
# What an int64 holds.
_MOST_UNITS = 10**18
_CURVE = tuple(step / 10 for step in range(1, 21))


class ExperimentServicer(experiment_pb2_grpc.ExperimentServiceServicer):
    """ExperimentService over its store and what analyses."""

    def __init__(self, store: ExperimentStore, analyst: Analyst, clock: Clock) -> None:
        self._store, self._analyst, self._clock = store, analyst, clock

    async def CreateExperiment(self, request, context):
        model = names.model_id(request.parent, "parent")
        draft = convert.draft(model, request.experiment, identity().client, self._clock.now())
        made = await self._store.create(draft)
        return experiment_pb2.CreateExperimentResponse(experiment=convert.to_experiment(made))

    async def GetExperiment(self, request, context):
        one = await self._store.get(*convert.experiment_ids(request.name, "name"))
        return experiment_pb2.GetExperimentResponse(experiment=convert.to_experiment(one))

    async def ListExperiments(self, request, context):
        listed = await self._store.of_model(names.model_id(request.parent, "parent"))
        return experiment_pb2.ListExperimentsResponse(experiments=map(convert.to_experiment, listed))

    async def StartExperiment(self, request, context):
        now = self._clock.now()
        change = partial(definitions.started, now=now)
        one = await self._change(request, change, validate_only=request.validate_only)
        return experiment_pb2.StartExperimentResponse(experiment=convert.to_experiment(one))

    async def ChangeShares(self, request, context):
        now = self._clock.now()

        def change(experiment: Experiment) -> Experiment:
            return definitions.reweighted(experiment, convert.new_weights(request, experiment), now)

        one = await self._change(request, change, validate_only=request.validate_only)
        return experiment_pb2.ChangeSharesResponse(experiment=convert.to_experiment(one))

    async def EndExperiment(self, request, context):
        now = self._clock.now()

        def change(experiment: Experiment) -> Experiment:
            return definitions.ended(experiment, request.reason, now, stopped=request.stopped)

        one = await self._change(request, change)
        return experiment_pb2.EndExperimentResponse(experiment=convert.to_experiment(one))

    async def AnalyseExperiment(self, request, context):
        ids, slice_by = convert.experiment_ids(request.name, "name"), convert.attribute(request.slice_by, "slice_by")
        verdict = await self._analyst.analyse(*ids, slice_by)
        return to_analysis(verdict)

    async def GetExperimentHistory(self, request, context):
        verdicts = await self._analyst.history(*convert.experiment_ids(request.name, "name"))
        return to_history(verdicts)

    async def ExportExperimentUnits(self, request, context):
        ids, parts = convert.experiment_ids(request.name, "name"), convert.parts(request)
        send = experiment_pb2.ExportExperimentUnitsResponse
        await self._analyst.units(*ids, *parts, lambda piece: context.write(send(arrow=piece)))

    async def PlanExperiment(self, request, context):
        names.model_id(request.parent, "parent")
        # Takes up to a second of CPU: in a thread, so that the event loop serves other calls.
        return await asyncio.to_thread(plan, request)

    async def _change(self, request, change, *, validate_only=False):
        ids = convert.experiment_ids(request.name, "name")
        return await self._store.change(*ids, change, validate_only=validate_only)


def to_analysis(verdict: Verdict) -> experiment_pb2.AnalyseExperimentResponse:
    """Return the message of a verdict."""
    analysis = verdict.analysis
    message = experiment_pb2.AnalyseExperimentResponse(
        verdict=_VERDICTS[analysis.state],  # pyright: ignore[reportArgumentType] - a number of an enum
        variant=analysis.variant or "",
        summary=verdict.summary,
        sample_ratio_p=analysis.sample_ratio_p,
        crossed_units=verdict.crossed,
        results=_results(verdict),
        assigned=_assigned(verdict),
    )
    for one in verdict.slices:
        message.slices.add(value=one.value, units=one.units, results=map(_result, one.results))
    message.time.FromDatetime(verdict.time)
    return message


def to_history(verdicts: Sequence[Verdict]) -> experiment_pb2.GetExperimentHistoryResponse:
    """Return the message of verdicts over time."""
    message = experiment_pb2.GetExperimentHistoryResponse()
    for each in verdicts:
        point = message.points.add(
            assigned=_assigned(each), sample_ratio_p=each.analysis.sample_ratio_p, results=_results(each)
        )
        point.time.FromDatetime(each.time)
    return message


def plan(request: experiment_pb2.PlanExperimentRequest) -> experiment_pb2.PlanExperimentResponse:
    """Return how many units are needed. Raises InvalidArgument."""
    effect, alpha, power = request.relative_effect or 0.1, request.alpha or 0.05, request.power or 0.8
    share = request.share or 0.5
    bounds = {"alpha": (alpha, 1e-6, 0.5), "power": (power, 0.5, 1 - 1e-6), "share": (share, 1e-3, 1 - 1e-3)}
    for name, (value, least, most) in bounds.items():
        if not least <= value <= most:
            raise invalid(name, f"{value} is not between {least:g} and {most:g}", reason=INVALID)
    if not _LEAST_EFFECT <= abs(effect) <= 1 / _LEAST_EFFECT:
        raise invalid("relative_effect", f"{effect} is not a share from .000001 on", reason=INVALID)
    if not 0 <= request.units_per_day < 1e15:
        raise invalid("units_per_day", f"{request.units_per_day} is not a number from 0 on", reason=INVALID)
    if not 0 <= request.furthest <= 1e100:
        raise invalid("furthest", f"{request.furthest} is not a distance from 0 to 1e100", reason=INVALID)
    metric = _variance(request, effect)
    if not _LEAST_EFFECT <= metric.size(effect) <= 1 / _LEAST_EFFECT:
        described = f"{effect} is {metric.size(effect):.3g} standard deviations of a unit, not .000001 to 1,000,000"
        raise invalid("relative_effect", described, reason=INVALID)
    single = fixed_units(metric, effect, alpha, power, share)
    any_look = sequential_units(metric, effect, alpha, power, share)
    settled = 0
    if request.furthest:
        settled = min(settled_units(metric, request.furthest, alpha, tuned_units=single, share=share), _MOST_UNITS)
    answer = experiment_pb2.PlanExperimentResponse(
        single_look_units=single, any_look_units=max(any_look, settled), settled_units=settled
    )
    if request.units_per_day:
        answer.single_look_days = answer.single_look_units / request.units_per_day
        answer.any_look_days = answer.any_look_units / request.units_per_day
    for part in _CURVE:
        units = max(round(single * part), 1)
        once = fixed_power_at(units, metric, effect, alpha, share)
        any_look = power_at(units, metric, effect, alpha, tuned_units=single, share=share)
        answer.curve.add(units=units, single_look=once, any_look=any_look)
    return answer


def _variance(request: experiment_pb2.PlanExperimentRequest, effect: float) -> UnitVariance:
    try:
        if request.variance:
            return UnitVariance(request.mean, request.variance, request.correlation)
        if not 0 < request.mean < 1:
            raise invalid("mean", f"{request.mean} is not a rate between 0 and 1; or say `variance`", reason=INVALID)
        rate = of_rate(request.mean, effect)
        return UnitVariance(rate.mean, rate.variance, request.correlation)
    except ValueError as error:
        raise invalid(str(error).split(maxsplit=1)[0], str(error), reason=INVALID) from None


def _assigned(verdict: Verdict) -> list[experiment_pb2.AnalyseExperimentResponse.Assigned]:
    return [
        experiment_pb2.AnalyseExperimentResponse.Assigned(variant=name, units=units, expected=verdict.expected[name])
        for name, units in verdict.assigned.items()
    ]


def _results(verdict: Verdict) -> list[experiment_pb2.AnalyseExperimentResponse.Result]:
    return [
        _result(
            result,
            verdict.days_to_go.get((result.variant, result.comparison.metric.name)),
            verdict.caps.get(result.comparison.metric.name),
        )
        for result in verdict.analysis.results
    ]


def _result(
    result: VariantResult, days: float | None = None, cap: float | None = None
) -> experiment_pb2.AnalyseExperimentResponse.Result:
    one, found = result.comparison, result.comparison.effect
    message = experiment_pb2.AnalyseExperimentResponse.Result(
        variant=result.variant,
        metric=one.metric.name,
        role=TO_ROLES[one.metric.role],  # pyright: ignore[reportArgumentType] - a number of an enum
        finding=_FINDINGS[result.finding],
        summary=sentence(result, days, cap),
        p=one.p,
        adjusted_p=result.adjusted_p,
        single_look_p=single_look_p(result),
        exact=one.exact,
        detectable=finite(one.detectable),
        days_to_go=days,
        cap=cap,
    )
    if isinstance(found, Effect):
        message.control_value, message.variant_value = found.control, found.variant
        message.variance_reduction = found.reduction
        relative = {"relative": found.relative, "relative_low": one.relative_low, "relative_high": one.relative_high}
        for name, value in relative.items():
            if finite(value) is not None:
                setattr(message, name, value)
    return message
