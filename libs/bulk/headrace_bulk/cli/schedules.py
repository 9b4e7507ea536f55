"""`headrace schedules`: scoring jobs that are created again and again."""

from __future__ import annotations

from datetime import timedelta

import click
from headrace.scorer.v1 import schedules_pb2 as pb
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, message_json, shown, when
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import invalid

from headrace_bulk.cli.job_views import input_text

_argument = click.argument("schedule", metavar="MODEL/NAME")


@click.group()
def schedules() -> None:
    """Create scoring jobs at the times of a cron expression, never twice and never two at a time.

    \b
    Examples:
      headrace schedules put fraud/nightly --cron "30 2 * * *" --time-zone Europe/Berlin --like fraud/7
      headrace schedules list
      headrace schedules show fraud/nightly
      headrace schedules pause fraud/nightly
    """


@schedules.command()
@_argument
@click.option("--cron", required=True, help="Minute, hour, day of month, month, day of week, such as '30 2 * * *'.")
@click.option("--time-zone", default="UTC", show_default=True, help="Time zone, such as Europe/Berlin.")
@click.option("--like", required=True, metavar="JOB", help="Job whose work is done each time: MODEL/ID, or MODEL.")
@click.option("--start-within", type=Duration(), help="How late a job may still begin; default 1h.")
@connected
def put(
    client: Client,
    output: Output,
    schedule: str,
    cron: str,
    time_zone: str,
    like: str,
    start_within: timedelta | None,
) -> None:
    """Make a schedule, or replace the one of its name. Each job does what the job named by --like did.

    \b
    Examples:
      headrace schedules put fraud/nightly --cron "30 2 * * *" --time-zone Europe/Berlin --like fraud/7
    """
    wanted = pb.ScoringSchedule(name=_name(schedule), cron=cron, time_zone=time_zone)
    wanted.spec.CopyFrom(client.jobs.get(like).spec)
    if start_within is not None:
        wanted.start_within.FromTimedelta(start_within)
    _say(output, client.schedules.put(wanted))


@schedules.command("list")
@click.option("--model", default="", help="Only of this model.")
@connected
def list_schedules(client: Client, output: Output, model: str) -> None:
    """List schedules.

    \b
    Examples:
      headrace schedules list --model fraud
    """
    found = client.schedules.list(model=model)
    if output.as_json:
        output.document({"schedules": [message_json(one) for one in found]})
        return
    output.table(
        ("schedule", "cron", "time zone", "next", "last job", "created", "skipped"),
        [_line(one) for one in found],
    )


@schedules.command()
@_argument
@connected
def show(client: Client, output: Output, schedule: str) -> None:
    """Show a schedule, its last runs, and what it skipped and why.

    \b
    Examples:
      headrace schedules show fraud/nightly
    """
    _say(output, client.schedules.get(_name(schedule)))


@schedules.command()
@_argument
@connected
def pause(client: Client, output: Output, schedule: str) -> None:
    """Create no jobs until it is resumed.

    \b
    Examples:
      headrace schedules pause fraud/nightly
    """
    _say(output, client.schedules.pause(_name(schedule)))


@schedules.command()
@_argument
@connected
def resume(client: Client, output: Output, schedule: str) -> None:
    """End a pause. Times that passed meanwhile are not made up for.

    \b
    Examples:
      headrace schedules resume fraud/nightly
    """
    _say(output, client.schedules.resume(_name(schedule)))


@schedules.command()
@_argument
@connected
def delete(client: Client, output: Output, schedule: str) -> None:
    """Remove a schedule; its jobs stay.

    \b
    Examples:
      headrace schedules delete fraud/nightly
    """
    client.schedules.delete(_name(schedule))
    if output.as_json:
        output.document({"deleted": _name(schedule)})
    else:
        output.say(f"{shown(schedule)} is removed")


def _say(output: Output, one: pb.ScoringSchedule) -> None:
    if output.as_json:
        output.document(message_json(one))
        return
    output.facts(
        [
            ("schedule", shown(_short(one))),
            ("cron", shown(f"{one.cron} ({one.time_zone})")),
            ("scores", shown(input_text(one.spec.input))),
            ("next", _next(one)),
            ("last job", shown(one.last_job)),
            ("jobs created", f"{one.jobs_created:,}"),
            ("times skipped", f"{one.times_skipped:,}"),
            ("by", shown(one.client)),
        ]
    )
    if one.decisions:
        output.table(("time", "what"), [(when(line.time), shown(line.reason)) for line in one.decisions])


def _line(one: pb.ScoringSchedule) -> tuple[str, ...]:
    return (
        shown(_short(one)),
        shown(one.cron),
        shown(one.time_zone),
        _next(one),
        shown(one.last_job.rpartition("/")[2]),
        f"{one.jobs_created:,}",
        f"{one.times_skipped:,}",
    )


def _next(one: pb.ScoringSchedule) -> str:
    return "[yellow]paused[/]" if one.paused else when(one.next_time)


def _short(one: pb.ScoringSchedule) -> str:
    _, model, _, name = one.name.split("/")
    return f"{model}/{name}"


def _name(schedule: str) -> str:
    model, slash, name = schedule.partition("/")
    if not (model and slash and name) or "/" in name:
        raise invalid("SCHEDULE", f"{schedule} is not MODEL/NAME, such as fraud/nightly")
    return f"models/{model}/scoringSchedules/{name}"
