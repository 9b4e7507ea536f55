"""`headrace precompute`: publish answers by entity, take them back, see what is kept."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import click
from headrace.router.v1 import precomputed_pb2, route_pb2

from headrace_client.chunks import Opened
from headrace_client.cli.answer_files import open_answers, unused
from headrace_client.cli.options import complete_version, connected, model_argument, request_id_option
from headrace_client.cli.output import Output, message_json, shown, when
from headrace_client.cli.values import Duration, Moment
from headrace_client.client import Client
from headrace_client.errors import HeadraceError, PreconditionFailed, invalid

Answers = precomputed_pb2.PrecomputedAnswers

_CONDITIONS = {
    Answers.CONDITION_NONE: "none",
    Answers.CONDITION_PRESENT: "[green]present[/]",
    Answers.CONDITION_LOST: "[bold red]lost[/]",
    Answers.CONDITION_EXPIRED: "[yellow]expired[/]",
    Answers.CONDITION_UNKNOWN: "[yellow]unknown[/]",
}

version_option = click.option(
    "--version", default="", shell_complete=complete_version, help="Version; default the one in production."
)


@click.group()
def precompute() -> None:
    """Publish answers that were computed beforehand, by entity.

    Requests with an entity then get its answer without computing it. Answers belong to one version: promoting another
    version leaves them, rolling back returns to them.

    \b
    Examples:
      headrace precompute publish digits answers.parquet
      headrace precompute publish digits answers.parquet --version v2 --ttl 1d
      headrace precompute status digits
      headrace precompute revert digits
    """


@precompute.command()
@model_argument
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@version_option
@click.option("--entity", default="entity", show_default=True, help="Name of the entity's column.")
@click.option("--computed-at", type=Moment(), help="As of when the answers hold, for their age; default now.")
@click.option("--ttl", type=Duration(), help="How long they count; default for ever.")
@click.option("--run", default="", help="What computed the answers: shown with them, and by `headrace explain`.")
@click.option("--manifest-digest", default="", help="Digest of the manifest of that run.")
@click.option("--resume", default="", metavar="PUBLISH", help="Go on with an open publish, with the same file.")
@click.option("--timeout", type=Duration(), default=timedelta(hours=1), show_default="1h", help="For the upload.")
@request_id_option
@connected
def publish(
    client: Client,
    output: Output,
    model: str,
    file: Path,
    version: str,
    entity: str,
    computed_at: datetime | None,
    ttl: timedelta | None,
    run: str,
    manifest_digest: str,
    resume: str,
    timeout: timedelta,
    request_id: str,
) -> None:
    """Publish the answers in FILE for a version of MODEL, and wait until every data plane gives them.

    FILE is Parquet (.parquet) or one JSON object per line (.jsonl), with a column for the entity and one for each
    output of the version: a value or a list. All answers of the version are replaced at once, or none: until then the
    old ones count. An interrupted upload resumes by itself; after the command was stopped, --resume continues it.

    \b
    Examples:
      headrace precompute publish digits answers.parquet
      headrace precompute publish digits answers.jsonl --version v2 --entity item --ttl 7d
      headrace precompute publish digits answers.parquet --resume models/digits/versions/v1/publishes/3
    """
    answers = open_answers(file, entity)
    if resume and (version or ttl or computed_at or run or manifest_digest):
        raise click.UsageError(
            "--resume continues the publish: leave out --version, --ttl, --computed-at, --run, --manifest-digest"
        )
    if resume:
        if not resume.startswith(f"models/{model}/versions/"):
            raise invalid("--resume", f"{resume} is no publish of {model}")
        opened = client.precomputed.open(resume)
    else:
        opened = client.precomputed.begin(
            model,
            version=version,
            row_count=answers.rows,
            computed_at=computed_at,
            ttl=ttl,
            request_id=request_id,
            origin=_origin(run, manifest_digest),
        )
    names = [spec.name for spec in opened.outputs]
    begun = time.monotonic()
    again = f"headrace precompute publish {model} {shlex.quote(str(file))}"
    again += f" --entity {shlex.quote(entity)}" if entity != "entity" else ""
    with _resumable(output, opened, again), output.counting(f"publishing for {model}") as progress:
        ignored = unused(answers, names)
        done = client.precomputed.resume(
            opened,
            partial(answers.batches, names),
            total=answers.rows,
            progress=progress,
            timeout=timeout.total_seconds(),
        )
    took_s = time.monotonic() - begun
    rows = done.publish.row_count - opened.row_count
    if output.as_json:
        output.document(
            {**message_json(done), "took_s": round(took_s, 3), "rows_sent": rows, "ignored_columns": ignored}
        )
        return
    if ignored:
        output.note(f"[dim]not outputs of the version, left out: {shown(', '.join(ignored))}[/]")
    output.say(
        f"published {rows:,} rows in {took_s:.1f} s ({rows / max(took_s, 1e-9):,.0f} rows/s): "
        f"[bold]{done.publish.entity_count:,} entities[/] of {model} {_version(done.publish)}"
    )
    _say_in_force(output, done.status, f"generation {done.publish.generation}", done.publish)


@precompute.command()
@model_argument
@version_option
@connected
def revert(client: Client, output: Output, model: str, version: str) -> None:
    """Make the answers before the present ones count again, or none when there were none before.

    \b
    Examples:
      headrace precompute revert digits
      headrace precompute revert digits --version v2
    """
    version = version or _production(client, model)
    kept = {one.version: one for one in client.precomputed.list(model)}.get(version)
    # Naming what is given up makes the call repeatable.
    generation = kept.active.generation if kept is not None and kept.HasField("active") else 0
    done = client.precomputed.revert(model, version, generation=generation)
    if output.as_json:
        output.document(message_json(done))
        return
    now = done.answers.active if done.answers.HasField("active") else None
    output.say(f"{model} {version}: generation {generation} is given up")
    _say_in_force(output, done.status, f"generation {now.generation}" if now else "no precomputed answers", now)


@precompute.command()
@model_argument
@connected
def status(client: Client, output: Output, model: str) -> None:
    """Show the published answers of each version of MODEL, whether they are served, and open publishes.

    LOST means that the store no longer has the answers: requests are computed until they are published again.

    \b
    Examples:
      headrace precompute status digits
      headrace precompute status digits --json
    """
    answers = client.precomputed.list(model)
    if output.as_json:
        output.document({"answers": [message_json(one) for one in answers]})
        return
    output.table(
        ("version", "condition", "generation", "entities", "computed", "by", "committed", "expires", "revert to"),
        [_line(one) for one in answers],
    )
    for one in answers:
        for opened in one.open:
            of = f" of {opened.declared_row_count:,}" if opened.declared_row_count else ""
            output.say(
                f"open: {opened.name}, {opened.row_count:,}{of} rows, by {shown(opened.client)} "
                f"since {when(opened.create_time)}"
            )
    if not answers:
        output.note(f"no answers are stored: headrace precompute publish {model} answers.parquet")


@precompute.command()
@click.argument("publish", metavar="PUBLISH")
@connected
def abort(client: Client, output: Output, publish: str) -> None:
    """Give the open PUBLISH up; its rows are removed. `headrace precompute status` lists open ones.

    \b
    Examples:
      headrace precompute abort models/digits/versions/v1/publishes/3
    """
    client.precomputed.abort(publish)
    if output.as_json:
        output.document({"aborted": publish})
    else:
        output.say(f"{publish} is given up")


def missing_answers(client: Client, model: str, version: str) -> str:
    """Return what to warn of when a version is to replace the one in production; empty for nothing.

    Nothing is said when the token may not look.
    """
    try:
        present = client.models.get(model).production_version
        if not present or present == version:
            return ""
        has = {one.version for one in client.precomputed.list(model) if one.HasField("active")}
    except HeadraceError:
        return ""
    if present in has and version not in has:
        return (
            f"{present} has precomputed answers and {version} has none: its requests are computed until they are "
            f"published (headrace precompute publish {model} FILE --version {version})"
        )
    return ""


@contextmanager
def _resumable(output: Output, opened: Opened, again: str) -> Iterator[None]:
    """Print how to continue an unfinished publish. again: the command, without the publish's id."""
    try:
        yield
    except (HeadraceError, KeyboardInterrupt) as error:
        if isinstance(error, HeadraceError):
            error.metadata.setdefault("publish", opened.name)
        if not isinstance(error, HeadraceError) or error.reason not in ("PUBLISH_OVERTAKEN", "PUBLISH_CLOSED"):
            output.note(f"[dim]the publish stays open: {shown(again)} --resume {opened.name}[/]")
        raise


def _production(client: Client, model: str) -> str:
    found = client.models.get(model).production_version
    if not found:
        raise PreconditionFailed(
            f"'{model}' has no version in production: name one with --version", reason="NO_PRODUCTION_VERSION"
        )
    return found


def _say_in_force(
    output: Output, status: route_pb2.RouteStatus, what: str, publish: precomputed_pb2.Publish | None
) -> None:
    expires = f" until {when(publish.expire_time)}" if publish is not None and when(publish.expire_time) else ""
    late = list(status.unacknowledged_data_planes)
    planes = f"{len(status.data_planes) - len(late)}/{len(status.data_planes)} data planes"
    output.say(f"[green]in force[/]: {what}{expires}, acknowledged by {planes}")
    if late:
        output.note(f"[yellow]not acknowledged by[/] {shown(', '.join(late))}: may answer as before until then")


def _line(answers: precomputed_pb2.PrecomputedAnswers) -> tuple[str, ...]:
    active = answers.active if answers.HasField("active") else None
    return (
        answers.version,
        _CONDITIONS.get(answers.condition, "unknown"),
        str(active.generation) if active else "-",
        f"{active.entity_count:,}" if active else "-",
        when(active.computed_time) if active else "-",
        _by(active) if active else "-",
        when(active.commit_time) if active else "-",
        (when(active.expire_time) or "never") if active else "-",
        str(answers.previous.generation) if answers.HasField("previous") else "-",
    )


def _origin(run: str, manifest_digest: str) -> precomputed_pb2.PublishOrigin | None:
    if not (run or manifest_digest):
        return None
    return precomputed_pb2.PublishOrigin(run=run, manifest_digest=manifest_digest)


def _by(publish: precomputed_pb2.Publish) -> str:
    """Return what computed the answers, and the beginning of its manifest's digest."""
    manifest = publish.origin.manifest_digest[:12]
    return shown(" ".join(part for part in (publish.origin.run, f"({manifest})" if manifest else "") if part)) or "-"


def _version(publish: precomputed_pb2.Publish) -> str:
    return publish.name.split("/")[3]
