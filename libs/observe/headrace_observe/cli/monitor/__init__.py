"""`headrace monitor`: what became of predictions."""

from __future__ import annotations

import click

from headrace_observe.cli.monitor.alerts import alerts
from headrace_observe.cli.monitor.drift import drift, drifts, reference
from headrace_observe.cli.monitor.outcomes import outcomes
from headrace_observe.cli.monitor.performance import performance
from headrace_observe.cli.monitor.query import query
from headrace_observe.cli.monitor.report import report
from headrace_observe.cli.monitor.shadow import shadow
from headrace_observe.cli.monitor.traffic import traffic


@click.group()
def monitor() -> None:
    """See what became of predictions: traffic, drift, performance, alerts, and the log itself in SQL.

    \b
    Examples:
      headrace monitor traffic digits
      headrace monitor outcomes record digits labels.csv
      headrace monitor performance digits --since 24h
      headrace monitor drift digits v2
      headrace monitor alerts list
      headrace monitor query "SELECT version, count(*) FROM predictions GROUP BY version"
      headrace monitor report digits --html digits.html
      headrace monitor shadow digits v3
    """


monitor.add_command(traffic)
monitor.add_command(outcomes)
monitor.add_command(performance)
monitor.add_command(drift)
monitor.add_command(drifts)
monitor.add_command(reference)
monitor.add_command(alerts)
monitor.add_command(query)
monitor.add_command(report)
monitor.add_command(shadow)
