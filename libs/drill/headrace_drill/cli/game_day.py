"""`headrace game-day`: have a version's backend fail in staging, and see whether its route holds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import click
from headrace.registry.v1 import registry_pb2
from headrace_client.cli.failures import REFUSED, as_json, exit_code
from headrace_client.cli.options import connected, report
from headrace_client.cli.output import Output, shown
from headrace_client.cli.values import Duration, Pair
from headrace_client.cli.versions import named_version, version_arguments
from headrace_client.client import AsyncClient, Client
from headrace_client.errors import HeadraceError, PreconditionFailed
from headrace_client.local_files import text_of
from headrace_client.local_stack import LocalStack
from headrace_client.retries import RetryPolicy
from headrace_client.validation_rows import rows_of

from headrace_drill.game_days import verdicts
from headrace_drill.game_days.game import WELL_S, GameDay, run
from headrace_drill.game_days.simulators import Simulators, local_simulators
from headrace_drill.game_days.traffic import Callers
from headrace_drill.game_days.verdicts import (
    METRIC,
    REQUIRED,
    WELL,
    Bounds,
    Fault,
    PhaseResult,
    complete,
    document,
    passed,
)

# In problems, for the model that is spoken of.
_MODEL = re.compile(r"\bMODEL\b")
ATTRIBUTE = "game_day"


"""Of each request, with the version as its value: for a rule of the route."""


_MOST_ROWS = 16


@click.command("game-day")
@version_arguments
@click.option(
    "--simulator",
    "simulators",
    metavar="HOST:PORT",
    multiple=True,
    help="Control interface of headrace-simulator in front of the version's backend; one for each batcher of the pool. "
    "Default those of the local stack.",
)
@click.option(
    "--simulator-token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Token that the simulators want to be shown.",
)
@click.option(
    "--fault",
    "faults",
    type=click.Choice([fault.value for fault in Fault]),
    multiple=True,
    help="What is made of the backend, in this order; default dead, slow, wrong. With fewer nothing is recorded.",
)
@click.option("--seconds", type=click.FloatRange(2, 25), default=8.0, show_default=True, help="Of each fault.")
@click.option("--rate", type=click.FloatRange(2, 1000), default=20.0, show_default=True, help="Requests a second.")
@click.option(
    "--deadline", type=Duration(), default=timedelta(seconds=1), show_default="1s", help="That each request has."
)
@click.option(
    "--max-error-share",
    type=click.FloatRange(0, 0.1),
    default=0.01,
    show_default=True,
    help="Of the requests of a phase, those that may get no answer.",
)
@click.option(
    "--recover",
    type=Duration(),
    default=timedelta(seconds=60),
    show_default="60s",
    help="Within which the version answers again after each fault.",
)
@click.option(
    "--attribute", "attributes", type=Pair(), metavar="NAME=VALUE", multiple=True, help="Of each request, for rules."
)
@click.option("--entity", default="", help="Of each request, for precomputed answers and tables.")
@click.option("--user", default="", help="Of each request.")
@click.option("--only-version", is_flag=True, help="Leave other models on the same backends alone.")
@click.option("--no-record", is_flag=True, help="Keep the result out of the registry.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def game_day(
    client: Client,
    output: Output,
    model: str,
    version: str | None,
    simulators: tuple[str, ...],
    simulator_token_file: Path | None,
    faults: tuple[str, ...],
    seconds: float,
    rate: float,
    deadline: timedelta,
    max_error_share: float,
    recover: timedelta,
    attributes: tuple[tuple[str, str], ...],
    entity: str,
    user: str,
    only_version: bool,
    no_record: bool,
    yes: bool,
) -> None:
    """Have the backend of VERSION of MODEL be dead, slow and wrong, and see whether the route's fallbacks hold.

    The version is in staging, and the batchers of its pool have headrace-simulator in the place of Triton, or in front
    of it. Predictions are asked of the route all the while, as any caller asks, with the attribute game_day=VERSION: a
    rule leads them to the version. Within its deadline each has to be answered, by the version or by a fallback that
    says so; answers that break the contract must not reach callers; after each fault the version has to answer again.

    The result is stored as the measured metric game_day of the version, 1 or 0, for which the token needs the scope
    registry.measure. With the gate `game_day>=1@measured` no version reaches production without. Faults end by
    themselves soon after, however this command ends. Exit code 4: the route did not hold.

    \b
    Examples:
      headrace routes rules set digits "game_day=v2 -> v2"
      headrace game-day digits@v2
      headrace game-day digits@v2 --simulator 127.0.0.1:9001 --fault wedge --seconds 15 --only-version --yes --json
      headrace models gates digits --set "game_day>=1@measured"
    """
    model, version = named_version(model, version)
    found = client.versions.get(model, version)
    pool = _check(client, model, version, found)
    simulators = simulators or local_simulators(LocalStack.find(), pool)
    chosen = [Fault(fault) for fault in faults] or list(REQUIRED)
    if not yes:
        whom = f"{model} {version}" if only_version else f"whatever the batchers behind {', '.join(simulators)} serve"
        output.agreed(f"For about {WELL_S + len(chosen) * (seconds + 3):.0f} s {whom} will fail. Begin?")
    rows = {name: values[: _row_count(rate)] for name, values in rows_of(client, model, found).items()}
    whose = f"{model}--{version}" if only_version else "*"
    day = GameDay(version, chosen, seconds, whose, Bounds(max_error_share, recover.total_seconds()))
    sent = {ATTRIBUTE: version, **dict(attributes)}
    token = text_of(simulator_token_file, "simulator_token_file").strip() if simulator_token_file else ""

    def callers(caller: AsyncClient) -> Callers:
        return Callers(caller, model, rows, sent, entity, user, rate, deadline.total_seconds())

    with output.waiting("beginning") as describe:
        phases = asyncio.run(_run(client, day, callers, Simulators(simulators, token), describe))
    recorded, refusal, value = False, None, verdicts.measured(phases)
    if value is not None and not no_record:
        try:
            client.versions.record_measurements(model, version, found.digest, {METRIC: value}, source="game-day")
            recorded = True
        except HeadraceError as error:
            refusal = error
    show(output, model, version, phases, recorded=recorded, refusal=refusal)
    if refusal is not None:
        click.get_current_context().exit(exit_code(refusal))
    if not verdicts.passed(phases):
        click.get_current_context().exit(REFUSED)


async def _run(
    client: Client,
    day: GameDay,
    callers: Callable[[AsyncClient], Callers],
    simulators: Simulators,
    describe: Callable[[str], None],
) -> list[PhaseResult]:
    # What a try more would hide is what is looked for.
    async with AsyncClient.like(client, retry=RetryPolicy(max_attempts=1)) as caller:
        return await run(day, callers(caller), simulators, describe)


def _check(client: Client, model: str, version: str, found: registry_pb2.ModelVersion) -> str:
    """Return the pool of a version. Raises PreconditionFailed where a game day would hurt callers, or tries nothing."""
    if found.stage != registry_pb2.ModelVersion.STAGE_STAGING:
        stage = registry_pb2.ModelVersion.Stage.Name(found.stage).removeprefix("STAGE_").lower()
        raise PreconditionFailed(f"'{version}' of '{model}' is in {stage}, not in staging", reason="NOT_IN_STAGING")
    route = client.routes.get(model).route
    if not route.fallback:
        raise PreconditionFailed(f"the route of '{model}' has no fallback to try", reason="NO_FALLBACK")
    return next((one.pool for one in route.variants if one.serving_version == version), "")


def _row_count(rate: float) -> int:
    """Return of how many rows each is asked twice while all is well."""
    return max(1, min(_MOST_ROWS, int(rate * WELL_S / 2)))


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
        summary = {"passed": passed(phases), "phases": [document(phase) for phase in phases], "recorded": recorded}
        output.document(summary if refusal is None else {**summary, **as_json(refusal, model)})
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
