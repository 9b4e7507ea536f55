"""Traffic over time: who is to blame in percent, shares, and what happened then."""

from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.monitor.v1 import alert_pb2, monitor_pb2
from headrace.rollout.v1 import rollout_pb2
from headrace.router.v1 import predict_pb2
from headrace_console.charts import Line, lines
from headrace_console.pages import audit_lines
from headrace_console.pages.audit_lines import AuditLine
from headrace_console.pages.timeline import BY_MODEL, BY_VERSION, TrafficPart, described, figures, within

NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)
ONLINE = predict_pb2.PredictResponse.SERVED_FROM_ONLINE
MINUTE = timedelta(minutes=1)


def part(at: int, *, minutes: int = 1, versions: tuple[tuple[str, int], ...] = (), **counts: Any) -> TrafficPart:
    made = TrafficPart(**counts)
    made.range.start_time.FromDatetime(NOON + at * MINUTE)
    made.range.end_time.FromDatetime(NOON + (at + minutes) * MINUTE)
    for name, count in versions:
        made.versions.add(name=name, count=count)
    if made.requests:
        made.sources.add(served_from=ONLINE, count=made.requests)
    return made


def event(minutes: int, what: str = "promote") -> AuditLine:
    return AuditLine(NOON + minutes * MINUTE, "digits", "/console/models/digits", what, "v2", "ada", "")


def values(found, title: str) -> dict[str, list[float | None]]:
    (lines,) = [one.lines for one in found if one.title == title]
    return {line.name: list(line.values) for line in lines}


def test_errors_are_shares_of_the_requests_by_who_can_mend_them_and_none_without_requests():
    parts = [part(0, requests=200, caller_errors=50, model_errors=2, platform_errors=4), part(1)]
    found = figures(parts, [], NOON + 2 * MINUTE)
    assert values(found, "Errors, by who can mend them") == {
        "of callers": [25.0, None],
        "of the model": [1.0, None],
        "of the platform": [2.0, None],
    }
    assert values(found, "Requests a minute") == {"requests": [200.0, 0.0]}


def test_a_part_that_is_not_over_counts_by_the_time_that_passed_and_one_that_only_began_is_left_out():
    parts = [part(0, minutes=10, requests=100), part(10, minutes=10, requests=50), part(20, minutes=10, requests=1)]
    assert values(figures(parts, [], NOON + 15 * MINUTE), "Requests a minute") == {"requests": [10.0, 10.0]}
    just_begun = NOON + 20 * MINUTE + timedelta(seconds=5)
    assert values(figures(parts, [], just_begun), "Requests a minute") == {"requests": [10.0, 5.0]}


def test_shares_are_by_version_of_a_model_and_by_model_of_an_installation():
    named = (("models/a/versions/v1", 30), ("models/a", 10), ("models/b/versions/v1", 60))
    parts = [part(0, requests=100, versions=named), part(1)]
    assert values(figures(parts, [], NOON + 2 * MINUTE, BY_MODEL), "Requests by model") == {
        "b": [60.0, None],
        "a": [40.0, None],
    }
    assert values(figures(parts, [], NOON + 2 * MINUTE, BY_VERSION), "Requests by version") == {
        "v1": [90.0, None],
        "no version": [10.0, None],
    }


def test_of_many_names_the_smallest_are_one_line_of_others():
    named = tuple((f"models/m{at}", 10 + at) for at in range(9))
    found = figures([part(0, requests=126, versions=named)], [], NOON + MINUTE, BY_MODEL)
    assert list(values(found, "Requests by model")) == ["m8", "m7", "m6", "m5", "5 others"]


def test_a_time_without_requests_has_no_charts():
    assert figures([part(0), part(1)], [event(0)], NOON + 2 * MINUTE) == []


def test_events_of_the_time_are_numbered_in_their_order_the_latest_of_too_many():
    events = within(
        [event(9), event(1), event(-1), event(3), AuditLine(None, "x", "", "", "", "", "")], NOON, NOON + 9 * MINUTE
    )
    assert [one.when for one in events] == [NOON + at * MINUTE for at in (1, 3, 9)]
    assert len(within([event(at) for at in range(99)], NOON, NOON + 99 * MINUTE)) == 24
    assert within([event(at) for at in range(99)], NOON, NOON + 99 * MINUTE)[-1] == event(98)
    chart = figures([part(0, requests=1), part(5, requests=1)], events, NOON + 9 * MINUTE)[0].chart
    assert "2: digits promote v2 by ada" in chart


def test_an_event_beyond_the_last_point_is_at_the_end_of_the_chart():
    points = [NOON, NOON + MINUTE]
    drawn = lines([Line("n", [1.0, 2.0])], points, label="n", marks=[(NOON + 9 * MINUTE, "<late>")])
    assert '<line x1="596.0"' in drawn
    assert "<title>1: &lt;late&gt;</title>" in drawn


def test_events_too_close_for_two_numbers_share_a_line():
    points = [NOON, NOON + 600 * MINUTE]
    marks = [(NOON + at * MINUTE, f"e{at}") for at in (100, 101, 300)]
    drawn = lines([Line("n", [1.0, 2.0])], points, label="n", marks=marks)
    assert drawn.count('class="mark"') == 2
    assert "<title>1: e100\n2: e101</title>" in drawn
    assert ">1–2</text>" in drawn
    assert ">3</text>" in drawn


def test_alerts_rollouts_and_starts_are_events():
    alert = alert_pb2.Alert(model="digits", summary="p99 is 90 ms")
    rollout = rollout_pb2.Rollout(
        name="models/digits/rollouts/3", version="v2", state=rollout_pb2.Rollout.STATE_ROLLED_BACK
    )
    start = monitor_pb2.GetTrafficTimeSeriesResponse.DataPlaneStart(data_plane="plane-0")
    rollout.end_time.FromDatetime(NOON)
    lines = [*audit_lines.of_alerts([alert]), *audit_lines.of_rollouts([rollout]), *audit_lines.of_starts([start])]
    assert [described(line) for line in lines] == [
        "digits alert p99 is 90 ms",
        "digits rollout 3 started v2",
        "digits rollout 3 rolled back v2",
        "data plane plane-0 started",
    ]
