"""`headrace explain`: how an answer came about."""

from __future__ import annotations

import uuid

import click

from headrace_client.cli import timeline
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.client import Client
from headrace_client.errors import NotFound
from headrace_client.operations.explanations import Explanation


@click.command()
@click.argument("answer", metavar="ID")
@connected
def explain(client: Client, output: Output, answer: str) -> None:
    """Show how the answer with this ID came about: who decided, what was tried, where the time went.

    ID is a prediction id, or a request id (then it is the last answer to that request). Answers that were asked to be
    explained and a sample of all others are known for an hour; so are errors, by their request id.

    \b
    Examples:
      headrace explain 01a21394-c237-76d8-ba3d-8abde101cc36
      headrace predict digits --rows "[[0, 1, 2]]" --explain
      headrace explain my-request-17 --json
    """
    explanation = _explanation(client, answer)
    if output.as_json:
        output.document(message_json(explanation.message))
    else:
        show(output, explanation)


def show(output: Output, explanation: Explanation) -> None:
    """Print an explanation as facts and a timeline."""
    output.say(f"[bold]{shown(timeline.heading(explanation))}[/]")
    output.facts(timeline.facts(explanation))
    output.say("")
    output.table(
        ("", f"0 ms {timeline.duration(explanation.total):>{timeline.WIDTH - 5}}", "took", "what"),
        [(shown(line.name), line.bar, line.took, shown(line.what)) for line in timeline.bars(explanation)],
    )
    output.say(f"[dim]{timeline.LEGEND}[/]")


def _explanation(client: Client, answer: str) -> Explanation:
    """Return the explanation of an id, whose form says what it most probably is."""
    if not _may_name_a_prediction(answer):
        return client.explain(request_id=answer)
    try:
        return client.explain(answer)
    except NotFound:
        return client.explain(request_id=answer)


def _may_name_a_prediction(answer: str) -> bool:
    try:
        return uuid.UUID(answer).version == 7
    except ValueError:
        return False
