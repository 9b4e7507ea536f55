"""Experiments: which there are, and what the data of one say now."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from shlex import quote

from headrace.monitor.v1 import experiment_pb2
from markupsafe import Markup
from starlette.responses import Response

from headrace_console import bars, charts
from headrace_console.pages.markup import last, model_of
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, WRITE_S, Part, Visit, savable, signed_in

Point = experiment_pb2.GetExperimentHistoryResponse.Point

_ANALYSIS_S = 30.0
_MOST_VERDICTS, _VERDICT_S = 4, 5.0
# The data are looked at, and a route is written.
_CONCLUSION_S = 120.0
# The API lists the experiments of one model; the page reads those of the most recently changed models.
_MOST_MODELS = 25
_COLUMNS = {
    "experiment": lambda one: one.name,
    "state": lambda one: one.state,
    "made": lambda one: one.create_time.ToDatetime(),
}


@signed_in
async def experiments(visit: Visit) -> Response:
    """Show the experiments of every model, or of one."""
    model = visit.request.path_params.get("model", "")
    names = [model]
    problems: list[str] = []
    if not model:
        recent = visit.client.models.list(latest_first=True, limit=_MOST_MODELS, timeout=READ_S)
        models = await visit.part("registry", recent)
        names = [last(one.name) for one in models.value or ()]
        problems += [models.problem] if models.problem else []
    found = await asyncio.gather(
        *(visit.part("monitor", visit.client.experiments.list(name, timeout=READ_S)) for name in names)
    )
    problems += sorted({part.problem for part in found if part.problem})
    rows = [one for part in found for one in part.value or ()]
    table = listed(rows, _COLUMNS, visit.query, visit.request.url.path, sort="-made")
    title = f"Experiments of {model}" if model else "Experiments"
    # The command line lists those of one model: here of the latest one.
    one = model or (model_of(table.rows[0].name) if table.rows else next(iter(names), ""))
    command = f"headrace experiments list {quote(one)}" if one else "headrace experiments list --help"
    verdicts = await _verdicts(visit, table.rows) if model else {}
    context = {"model": model, "table": table, "problems": problems, "verdicts": verdicts}
    return visit.page("experiments.html", title, command, **context)


async def _verdicts(
    visit: Visit, found: Iterable[experiment_pb2.Experiment]
) -> dict[str, Part[experiment_pb2.AnalyseExperimentResponse]]:
    """Return what the data of running experiments say, by name: one after the other, as few queries run at a time."""
    running = [one.name for one in found if one.state == experiment_pb2.Experiment.STATE_RUNNING]
    return {
        name: await visit.part(
            "monitor", visit.client.experiments.analyse(model_of(name), last(name), timeout=_VERDICT_S)
        )
        for name in running[:_MOST_VERDICTS]
    }


@savable
async def experiment(visit: Visit) -> Response:
    """Show an experiment."""
    return await _experiment(visit)


async def _experiment(visit: Visit) -> Response:
    model, name = visit.argument("model"), visit.argument("experiment")
    found = await visit.client.experiments.get(model, name, timeout=READ_S)
    said: Part[experiment_pb2.AnalyseExperimentResponse] = Part()
    over_time: Part[experiment_pb2.GetExperimentHistoryResponse] = Part()
    if found.state != experiment_pb2.Experiment.STATE_DRAFT:
        said, over_time = await asyncio.gather(
            visit.part("monitor", visit.client.experiments.analyse(model, name, timeout=_ANALYSIS_S)),
            visit.part("monitor", visit.client.experiments.history(model, name, timeout=_ANALYSIS_S)),
        )
    command = f"headrace experiments analyse {quote(model)} {quote(name)}"
    return visit.page(
        "experiment.html",
        f"Experiment {name}",
        command,
        model=model,
        experiment=found,
        said=said,
        over_time=over_time,
        effects=effects(over_time.value.points if over_time.value is not None else ()),
        balance=balance(found, over_time.value.points if over_time.value is not None else ()),
        scales=scales(said.value.results if said.value is not None else ()),
        form=visit.form,
    )


@signed_in
async def conclude(visit: Visit) -> Response:
    """End an experiment: its traffic goes back to the control, and a variant is rolled out if that is wanted."""
    model, name, form = visit.argument("model"), visit.argument("experiment"), visit.form
    concluding = visit.client.experiments.conclude(
        model,
        name,
        promote=form.get("promote", ""),
        anyway=form.get("anyway") == "yes",
        reason=form.get("reason", ""),
        timeout=_CONCLUSION_S,
    )
    if await visit.tried(concluding):
        return visit.go_to(f"/console/models/{model}/experiments/{name}", done="concluded")
    return await _experiment(visit)


@signed_in
async def end(visit: Visit) -> Response:
    """End an experiment, and leave its traffic as it is."""
    model, name = visit.argument("model"), visit.argument("experiment")
    ending = visit.client.experiments.end(model, name, reason=visit.form.get("reason", ""), timeout=WRITE_S)
    if await visit.tried(ending):
        return visit.go_to(f"/console/models/{model}/experiments/{name}", done="ended")
    return await _experiment(visit)


def scales(results: Iterable[experiment_pb2.AnalyseExperimentResponse.Result]) -> dict[str, tuple[float, float]]:
    """Return what the intervals of each metric are drawn on: the one of no effect is inside."""
    return bars.scales(
        (one.metric, min(one.relative_low, 0.0), max(one.relative_high, 0.0))
        for one in results
        if one.HasField("relative_low") and one.HasField("relative_high")
    )


def balance(of: experiment_pb2.Experiment, points: Sequence[Point]) -> tuple[list[charts.Line], Markup]:
    """Return the units of each variant over time, with the number that its share predicts."""
    found = [{one.variant: one for one in point.assigned} for point in points]
    lines = [
        charts.Line(
            variant.name,
            [
                100 * (there[variant.name].units / there[variant.name].expected - 1)
                if variant.name in there and there[variant.name].expected
                else None
                for there in found
            ],
            kind=f"p{at % 6}",
        )
        for at, variant in enumerate(of.variants)
    ]
    times = [point.time.ToDatetime(UTC) for point in points]
    label = "units of each variant beside what its share would have given it, in percent"
    return lines, charts.lines(lines, times, label=label, rule=0.0, zero=False, unit=" %")


def effects(points: Sequence[Point]) -> list[tuple[str, str, Markup]]:
    """Return each metric and variant with its effect over time and the sequence of intervals that hold it at once."""
    names = dict.fromkeys((one.metric, one.variant) for point in points for one in point.results)
    times = [point.time.ToDatetime(UTC) for point in points]
    return [(metric, variant, _effect(points, times, metric, variant)) for metric, variant in names]


def _effect(
    points: Sequence[Point],
    times: Sequence[datetime],
    metric: str,
    variant: str,
) -> Markup:
    found = [
        next((one for one in point.results if (one.metric, one.variant) == (metric, variant)), None) for point in points
    ]

    def values(name: str) -> list[float | None]:
        return [100 * getattr(one, name) if one is not None and one.HasField(name) else None for one in found]

    # Without a bound above an interval is open, not missing.
    low = values("relative_low")
    high = [
        math.inf if high is None and low[at] is not None else high for at, high in enumerate(values("relative_high"))
    ]
    line = charts.Line(variant, values("relative"), low, high)
    label = f"effect of {variant} on {metric} over time, in percent, with its confidence sequence"
    return charts.lines([line], times, label=label, rule=0.0, zero=False, unit=" %")
