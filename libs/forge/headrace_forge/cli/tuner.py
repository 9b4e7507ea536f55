"""`headrace models tune`: serving settings for an objective, found by measuring the real pool."""

from __future__ import annotations

from typing import Any

import click
from headrace.registry.v1 import registry_pb2
from headrace_client.cli.options import connected, reason_option
from headrace_client.cli.output import Output
from headrace_client.cli.versions import named_version, version_arguments
from headrace_client.client import Client
from headrace_client.validation_rows import rows_of
from headrace_scaling.simulation.service_curves import ServiceCurve

from headrace_forge.tuning import search
from headrace_forge.tuning.copies import copy_of
from headrace_forge.tuning.pool import MeasuredPool, as_proto, of_proto, put, rate
from headrace_forge.tuning.search import Grid, Run, SearchResult, Settings


@click.command()
@version_arguments
@click.option("--slo-p99-ms", type=click.FloatRange(1), required=True, help="What an answer may take.")
@click.option("--seconds", type=click.FloatRange(0.5, 120), default=4.0, show_default=True, help="Of each run.")
@click.option("--max-rate", type=click.FloatRange(1), default=1500.0, show_default=True, help="Most requests/s sent.")
@click.option("--max-rows", type=click.IntRange(1, 4096), default=128, show_default=True, help="Largest batch tried.")
@click.option("--max-instances", type=click.IntRange(1, 64), default=4, show_default=True, help="Most copies tried.")
@click.option("--runs", type=click.IntRange(1, 1000), help="Most runs; default a tenth of the settings there are.")
@click.option("--apply", "applied", is_flag=True, help="Serve by the best settings; without, nothing changes.")
@reason_option
@connected
def tune(
    client: Client,
    output: Output,
    model: str,
    version: str | None,
    slo_p99_ms: float,
    seconds: float,
    max_rate: float,
    max_rows: int,
    max_instances: int,
    runs: int | None,
    applied: bool,
    reason: str,
) -> None:
    """Find how batches of VERSION of MODEL should be formed so that most requests are answered within an objective.

    A copy of the version, under a model of its own that is deleted at the end, is measured on the pool that serves the
    version, with an open loop at more than it can answer: first how long an execution takes by its rows, then few
    settings that this and the runs before point at, and at last the best of them and those in force, in turn. Other
    models of the pool share its machines with this load: tune at a quiet hour. The token needs registry.write,
    registry.promote, routes.write and predict for models whose names begin with MODEL.

    \b
    Examples:
      headrace models tune digits@v1 --slo-p99-ms 20
      headrace models tune digits@v1 --slo-p99-ms 20 --apply --reason "tuned for 20 ms"
    """
    model, version = named_version(model, version)
    before = client.versions.get(model, version)
    rows, grid = rows_of(client, model, before), _grid(max_rows, max_instances)
    objective_s, present = slo_p99_ms / 1000, of_proto(before.serving)
    with output.waiting("loading a copy of the version") as describe, copy_of(client, model, before) as copy:
        pool = MeasuredPool(client, copy, version, rows)
        describe("measuring how long executions take")
        curve = pool.curve(grid)
        per_s = rate(curve, grid, objective_s, max_rate)

        def measure(settings: Settings) -> Run:
            describe(f"measuring {_told(settings)} at {per_s:.0f}/s")
            whole = _whole(before.serving) if settings == present else None
            return pool.run(settings, per_s, seconds, objective_s, whole)

        found = search.beside(search.search(curve, measure, objective_s, grid, runs), present, measure)
    applied = applied and found.best != found.present
    if applied:
        put(client, model, version, as_proto(found.best.settings), reason or f"tune: p99 within {slo_p99_ms:g} ms")
    _show(output, model, version, found, curve, grid, slo_p99_ms=slo_p99_ms, applied=applied)


def _grid(max_rows: int, max_instances: int) -> Grid:
    grid = Grid()
    return Grid(
        [one for one in (*grid.max_batch_rows, 256, 512, 1024, 2048, 4096) if one <= max_rows],
        grid.max_wait_ms,
        [one for one in (1, 2, 4, 8, 16, 32, 64) if one <= max_instances],
    )


def _whole(settings: registry_pb2.ServingSettings) -> registry_pb2.ServingSettings:
    """Return settings as they are, every field set."""
    whole = registry_pb2.ServingSettings()
    whole.CopyFrom(settings)
    if not whole.preferred_batch_rows:
        whole.preferred_batch_rows.append(whole.max_batch_rows)
    return whole


def _told(settings: Settings) -> str:
    return f"{settings.max_batch_rows} rows, {settings.max_wait_ms:g} ms, {settings.instances} instances"


def _show(
    output: Output,
    model: str,
    version: str,
    found: SearchResult,
    curve: ServiceCurve,
    grid: Grid,
    *,
    slo_p99_ms: float,
    applied: bool,
) -> None:
    best = found.best
    met = 0 < best.p99_ms <= slo_p99_ms
    if output.as_json:
        output.document(
            {
                "best": _run(best),
                "present": _run(found.present) if found.present is not None else None,
                "runs": [_run(one) for one in found.runs],
                "grid": len(grid.every()),
                "service_ms": {str(rows): seconds * 1000 for rows, seconds in curve.points},
                "met": met,
                "applied": applied,
            }
        )
        return
    output.table(("rows", "execution ms"), [(str(rows), f"{seconds * 1000:.3f}") for rows, seconds in curve.points])
    output.say("")
    output.table(
        ("max rows", "wait ms", "instances", "offered/s", "in time/s", "p99 ms", ""),
        [
            (
                str(one.settings.max_batch_rows),
                f"{one.settings.max_wait_ms:g}",
                str(one.settings.instances),
                f"{one.offered_per_s:.0f}",
                f"{one.goodput_per_s:.0f}",
                f"{one.p99_ms:.1f}",
                _mark(one, found),
            )
            for one in _measured(found)
        ],
    )
    output.note(f"[dim]{len(found.runs)} of {len(grid.every())} settings were measured[/]")
    if not met:
        output.say(
            f"[yellow]nothing met {slo_p99_ms:g} ms[/] at {best.offered_per_s:.0f} requests/s: the settings that "
            f"answered most had a p99 of {best.p99_ms:.1f} ms, and {best.goodput_per_s:.0f} requests/s in time; more "
            "replicas or a smaller form (headrace models optimise) answer more"
        )
    if best == found.present:
        output.say("nothing to change: no settings answered more in time than those in force")
    elif applied:
        output.say(f"[green]in force[/] {_told(best.settings)}")
    else:
        words = f"--max-batch-rows {best.settings.max_batch_rows} --max-wait {best.settings.max_wait_ms:g}ms"
        output.note(
            f"[dim]unchanged; to apply: headrace models settings {model}@{version} {words} "
            f"--instances {best.settings.instances}[/]"
        )


def _measured(found: SearchResult) -> list[Run]:
    """Return the runs, the best settings and those in force with what they were in turn."""
    last = [one for one in (found.present, found.best) if one is not None]
    settled = {one.settings for one in last}
    return [*(one for one in found.runs if one.settings not in settled), *dict.fromkeys(last)]


def _mark(run: Run, found: SearchResult) -> str:
    marks = [word for one, word in ((found.best, "[green]best[/]"), (found.present, "in force")) if run == one]
    return ", ".join(marks)


def _run(run: Run) -> dict[str, Any]:
    return {
        "max_batch_rows": run.settings.max_batch_rows,
        "max_wait_ms": run.settings.max_wait_ms,
        "instances": run.settings.instances,
        "offered_per_s": run.offered_per_s,
        "goodput_per_s": run.goodput_per_s,
        "p99_ms": run.p99_ms,
    }
