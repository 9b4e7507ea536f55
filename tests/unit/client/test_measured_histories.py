"""A measurement is one line of a history."""

from __future__ import annotations

from headrace.registry.v1 import registry_pb2
from headrace_client.measured_histories import MEASURING, shortened

CHANGED = registry_pb2.ModelEvent.ACTION_SERVING_CHANGED


def event(reason: str, version: str = "v1", action=CHANGED) -> registry_pb2.ModelEvent:
    return registry_pb2.ModelEvent(reason=reason, version=version, action=action)


def test_changes_of_a_measurement_are_told_by_the_one_that_ended_it() -> None:
    promoted = event("", action=registry_pb2.ModelEvent.ACTION_STAGE_CHANGED)
    found = shortened([event("tune: as before"), *[event(MEASURING)] * 11, promoted])
    assert [(one.reason, count) for one, count in found] == [("tune: as before", 11), ("", 0)]


def test_a_measurement_that_runs_is_a_line_and_other_events_stay() -> None:
    found = shortened([event(MEASURING), event(MEASURING), event("by hand"), event("other", "v2"), event(MEASURING)])
    by_reason = [(one.reason, count) for one, count in found]
    assert by_reason == [(MEASURING, 2), ("by hand", 0), ("other", 0), (MEASURING, 1)]
