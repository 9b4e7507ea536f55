"""`headrace jobs publish` and what follows it: results of a scoring job as answers that online requests find."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
from headrace.scorer.v1 import publications_pb2 as pb
from headrace.scorer.v1 import scorer_pb2
from headrace_client.cli.failures import FAILED
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, message_json, shown, when
from headrace_client.cli.values import Duration
from headrace_client.client import Client

Publication = pb.ScoringPublication
_STATES = {
    Publication.STATE_CHECKING: "checking",
    Publication.STATE_HELD: "[bold yellow]held[/]",
    Publication.STATE_PUBLISHING: "publishing",
    Publication.STATE_PUBLISHED: "[green]published[/]",
    Publication.STATE_REFUSED: "[bold red]refused[/]",
    Publication.STATE_FAILED: "[bold red]failed[/]",
    Publication.STATE_REVERTED: "reverted",
}
_job_argument = click.argument("job", metavar="MODEL[/ID]")
_reason_option = click.option("--reason", default="", help="Why, for the history of the job.")


@click.command()
@_job_argument
@click.option("--entity", default="", metavar="COLUMN", help="Column with the entity; default as the job says.")
@click.option("--ttl", type=Duration(), help="How long answers count; default for ever.")
@click.option("--keep", "keep", is_flag=True, help="Keep answers of entities that are not in the job.")
@click.option("--keep-for", type=Duration(), help="Maximum age of answers that are kept; default 7d.")
@click.option("--parity-rows", type=click.IntRange(0, 10_000), help="Rows that are asked online before; default 200.")
@click.option(
    "--tolerance", type=click.FloatRange(0, 1), help="Relative difference that counts as equal; default 1e-4."
)
@click.option("--drift", type=click.FloatRange(0, 100), help="Stability index that is no change; 0 does not look.")
@_reason_option
@click.option("--no-wait", is_flag=True, help="Do not wait until it is published.")
@connected
def publish(
    client: Client,
    output: Output,
    job: str,
    entity: str,
    ttl: timedelta | None,
    keep: bool,
    keep_for: timedelta | None,
    parity_rows: int | None,
    tolerance: float | None,
    drift: float | None,
    reason: str,
    no_wait: bool,
) -> None:
    """Publish the results of a job as one generation of precomputed answers, or try again.

    A sample is asked online first, and has to agree. Answers that are distributed otherwise than those before are held
    until `headrace jobs approve` lets them through. Exit code 1 when they are not published.

    \b
    Examples:
      headrace jobs publish fraud --entity user
      headrace jobs publish fraud/7 --entity user --ttl 2d --keep
    """
    name = client.jobs.get(job).name
    how: dict[str, Any] = {"parity_rows": parity_rows, "relative_tolerance": tolerance, "drift_tolerance": drift}
    publishing = None
    if entity:
        publishing = scorer_pb2.Publishing(entity_column=entity, **how)
        if keep or keep_for is not None:
            publishing.disappeared = scorer_pb2.Publishing.DISAPPEARED_KEPT
        for field, value in (("ttl", ttl), ("keep_for", keep_for)):
            if value is not None:
                getattr(publishing, field).FromTimedelta(value)
    elif keep or any(one is not None for one in (ttl, keep_for, *how.values())):
        raise click.UsageError("say how with --entity, or nothing at all to publish as the job says")
    made = client.publications.publish(name, publishing=publishing, reason=reason)
    if not no_wait:
        with output.waiting("checking and publishing"):
            made = client.publications.wait(name)
    _say(output, made)
    if made.state in (Publication.STATE_HELD, Publication.STATE_REFUSED, Publication.STATE_FAILED):
        click.get_current_context().exit(FAILED)


@click.command()
@_job_argument
@_reason_option
@connected
def approve(client: Client, output: Output, job: str, reason: str) -> None:
    """Let a publication through that is held, and wait until it is published.

    \b
    Examples:
      headrace jobs approve fraud/7
    """
    name = client.jobs.get(job).name
    client.publications.approve(name, reason=reason)
    with output.waiting("publishing"):
        made = client.publications.wait(name)
    _say(output, made)
    if made.state != Publication.STATE_PUBLISHED:
        click.get_current_context().exit(FAILED)


@click.command()
@_job_argument
@_reason_option
@connected
def revert(client: Client, output: Output, job: str, reason: str) -> None:
    """Make the answers before those of a job count again, or none when there were none.

    \b
    Examples:
      headrace jobs revert fraud/7 --reason "scores of a wrong day"
    """
    _say(output, client.publications.revert(client.jobs.get(job).name, reason=reason))


@click.command()
@_job_argument
@connected
def publication(client: Client, output: Output, job: str) -> None:
    """Show where the results of a job are on their way to online requests, and what comparisons found.

    \b
    Examples:
      headrace jobs publication fraud
    """
    _say(output, client.publications.get(client.jobs.get(job).name))


def _say(output: Output, one: pb.ScoringPublication) -> None:
    if output.as_json:
        output.document(message_json(one))
        return
    parity = one.parity
    compared = f"{parity.differing:,} of {parity.rows:,} sampled rows differ" if one.HasField("parity") else ""
    output.facts(
        [
            ("publication", shown(one.name)),
            ("state", _STATES.get(one.state, "unknown")),
            ("why", shown(one.reason)),
            ("parity", shown(compared)),
            ("compared with", shown(one.compared_with)),
            ("publish", shown(one.publish)),
            ("published", when(one.publish_time)),
            ("approved by", shown(one.approved_by)),
        ]
    )
    if parity.worst:
        output.table(
            ("entity", "output", "scored", "online", "times the tolerance"),
            [_pair(pair) for pair in parity.worst],
        )
    if one.drift:
        output.table(
            ("column", "test", "change", "tolerated", "severity"),
            [(shown(d.column), d.test, f"{d.effect:.3g}", f"{d.tolerance:.3g}", d.severity) for d in one.drift],
        )


def _pair(one: pb.ScoringPublication.Pair) -> tuple[str, ...]:
    where = f"{one.output}[{one.position}]"
    return (shown(one.entity), shown(where), shown(one.scored), shown(one.online), f"{one.excess:.3g}")
