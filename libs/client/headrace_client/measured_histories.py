"""Histories for readers: what a measurement changed and put back is one line."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from headrace.registry.v1 import registry_pb2

MEASURING = "tune: measuring"
"""The reason of settings that are in force for a measurement."""


def shortened(events: Iterable[registry_pb2.ModelEvent]) -> list[tuple[registry_pb2.ModelEvent, int]]:
    """Return events, newest first, with how many changes of a measurement each stands for: of one that runs, or of the
    change that ended it."""
    found: list[tuple[registry_pb2.ModelEvent, int]] = []
    for measuring, several in groupby(events, key=lambda event: event.reason == MEASURING):
        group = list(several)
        if not measuring:
            found += [(event, 0) for event in group]
        elif found and found[-1][0].version == group[0].version and found[-1][0].action == group[0].action:
            found[-1] = (found[-1][0], len(group))
        else:
            found.append((group[0], len(group)))
    return found
