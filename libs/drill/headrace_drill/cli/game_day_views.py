"""What a game day shows: a table of its phases, and what to do where a route did not hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from headrace_client.cli.failures import as_json
from headrace_client.cli.options import report
from headrace_client.cli.output import Output, shown
from headrace_client.errors import HeadraceError

from headrace_drill.game_days.verdicts import METRIC, WELL, PhaseResult, complete, document, passed

# In problems, for the model that is spoken of.
_MODEL = re.compile(r"\bMODEL\b")


def show(
    output: Output,
    model: str,
    version: str,
    phases: Sequence[PhaseResult],
    *,
    recorded: bool,
    refusal: HeadraceError | None,
) -> None:
    """Print what came of a game day. refusal: why it could not be recorded."""
    if output.as_json:
        told = {"passed": passed(phases), "phases": [document(phase) for phase in phases], "recorded": recorded}
        output.document(told if refusal is None else {**told, **as_json(refusal, model)})
        return
    output.table(
        ("backend", "requests", "itself", "by fallback", "no answer", "wrong", "p50 ms", "p99 ms", "back after", ""),
        [_row(phase) for phase in phases],
    )
    for phase in phases:
        for problem in phase.problems:
            output.say(f"[red]{phase.name}[/]: {shown(_MODEL.sub(model, problem))}")
    if phases[0].name == WELL and not phases[0].passed:
        advice = _advice(phases[0], model, version)
        output.note(f"[dim]no fault was set: while all is well the version has to answer. {advice}[/]")
    verdict = "[green]held[/]" if passed(phases) else "[bold red]did not hold[/]"
    output.say(f"the route of {shown(model)} {verdict}")
    if recorded:
        output.say(f"recorded: {METRIC}={int(passed(phases))} of {shown(version)}, measured")
    elif refusal is not None:
        report(output, refusal, "headrace game-day", model)
    elif not complete(phases) and passed(phases):
        output.note("[dim]not recorded: a game day has the faults dead, slow and wrong[/]")


def _advice(well: PhaseResult, model: str, version: str) -> str:
    """Return what to do where the version does not answer although no fault was set."""
    if well.steps:
        return "Fallbacks stand in for it: try again when it has recovered, or with a longer --deadline"
    rule = shown(f"game_day={version} -> {version}")
    return f'A rule leads the requests to it: headrace routes rules set {shown(model)} "{rule}"'


def _row(phase: PhaseResult) -> tuple[str, ...]:
    recovered = "" if phase.name == WELL else "never" if phase.recovered_s is None else f"{phase.recovered_s:.1f} s"
    return (
        phase.name,
        str(phase.requests),
        str(phase.own),
        _counts(phase.steps),
        _counts(phase.errors),
        str(phase.wrong or ""),
        "" if phase.p50_ms is None else f"{phase.p50_ms:.0f}",
        "" if phase.p99_ms is None else f"{phase.p99_ms:.0f}",
        recovered,
        "[green]held[/]" if phase.passed else "[red]failed[/]",
    )


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{shown(name)} {count}" for name, count in sorted(counted.items()))
