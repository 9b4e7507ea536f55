"""What the commands of the monitor have in common: the time that they are about, and how they say things."""

from __future__ import annotations

import math

from headrace.monitor.v1 import monitor_pb2
from headrace_client.cli.output import number, when

SEVERITIES = {
    monitor_pb2.SEVERITY_UNSPECIFIED: "-",
    monitor_pb2.SEVERITY_NONE: "[dim]none[/]",
    monitor_pb2.SEVERITY_LOW: "[yellow]low[/]",
    monitor_pb2.SEVERITY_MEDIUM: "[bold yellow]medium[/]",
    monitor_pb2.SEVERITY_HIGH: "[bold red]high[/]",
}
_BY_NAME = {
    "low": monitor_pb2.SEVERITY_LOW,
    "medium": monitor_pb2.SEVERITY_MEDIUM,
    "high": monitor_pb2.SEVERITY_HIGH,
}
SEVERITY_NAMES = tuple(_BY_NAME)


def severity_of(name: str | None) -> monitor_pb2.Severity:
    """Return a severity by its name; unspecified for None."""
    return _BY_NAME[name] if name else monitor_pb2.SEVERITY_UNSPECIFIED


def range_text(period: monitor_pb2.TimeRange) -> str:
    """Return a time as people read it."""
    start, end = when(period.start_time), when(period.end_time)
    return f"{start or 'the begin'} to {end or 'now'}" if start or end else ""


def value_text(value: float | None) -> str:
    """Return a number, or a dash for none."""
    return "-" if value is None or math.isnan(value) else number(value)


def micros(value: float) -> str:
    """Return microseconds as milliseconds."""
    return f"{value / 1000:.3g} ms" if value else "-"
