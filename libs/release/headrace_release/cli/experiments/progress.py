"""`headrace experiments watch`: what the data say, until they have decided or nothing more comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import click
from headrace.monitor.v1 import experiment_pb2 as pb
from headrace_client.cli.options import connected, model_argument
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from rich.live import Live

from headrace_release.cli.experiments.conclusion import experiment_argument
from headrace_release.cli.experiments.views import panel, show_analysis, units_line, verdict_line

_SHORTEST_S = 0.1


@click.command()
@model_argument
@experiment_argument
@click.option("--for", "duration", type=Duration(), help="End after this time; default with the experiment.")
@click.option("--every", type=Duration(), default="10s", show_default=True, help="Look so often.")
@connected
def watch(
    client: Client, output: Output, model: str, experiment: str, duration: timedelta | None, every: timedelta
) -> None:
    """Follow EXPERIMENT until its data say something, or it has ended; looking costs nothing.

    \b
    Examples:
      headrace experiments watch shop ranking
      headrace experiments watch shop ranking --for 1h --every 1m
    """
    shows = output.stdout.is_terminal and not output.as_json
    live = Live(console=output.stdout, refresh_per_second=4) if shows else None
    if live is not None:
        live.start()
    found = pb.AnalyseExperimentResponse()
    try:
        for found in looks(client, model, experiment, duration, every):
            if live is not None:
                live.update(panel(found))
            elif not output.as_json:
                output.say(f"{shown(units_line(found))}: {verdict_line(found)}")
    finally:
        if live is not None:
            live.stop()
    if output.as_json:
        output.document(message_json(found))
    elif live is None:
        show_analysis(output, found)


def looks(
    client: Client, model: str, experiment: str, duration: timedelta | None, every: timedelta
) -> Iterator[pb.AnalyseExperimentResponse]:
    """Yield what the data say at each look, the last of which decides, or is the last of the time.

    duration: None means until the experiment has ended: who waits for a verdict then may wait for ever.
    """
    until = None if duration is None else time.monotonic() + duration.total_seconds()
    while True:
        # Before the look: what came until the end is in it.
        over = until is None and client.experiments.get(model, experiment).state == pb.Experiment.STATE_ENDED
        found = client.experiments.analyse(model, experiment)
        yield found
        undecided = found.verdict == pb.AnalyseExperimentResponse.VERDICT_UNDECIDED
        if over or not undecided or (until is not None and time.monotonic() >= until):
            return
        left_s = every.total_seconds() if until is None else min(every.total_seconds(), until - time.monotonic())
        time.sleep(max(left_s, _SHORTEST_S))
