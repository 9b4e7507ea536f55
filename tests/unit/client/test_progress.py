"""How far a promotion is, read off a route's status, and the lines that say so."""

import pytest
from headrace.router.v1 import route_pb2
from headrace_client import Progress, progress_of
from headrace_client.cli.output import Output
from headrace_client.cli.progress import ProgressLines


def status(epoch: int, wanted: int, ready: int = 0, batchers: int = 2, acknowledged: int = 0, **fields):
    made = route_pb2.RouteStatus(registry_epoch=epoch, wanted_registry_epoch=wanted, generation=4, **fields)
    made.versions.add(version="v2", pool="default", batchers=batchers, ready_batchers=ready)
    for number in range(3):
        made.data_planes.add(name=f"plane-{number}", acknowledged=number < acknowledged, connected=True)
        if number >= acknowledged:
            made.unacknowledged_data_planes.append(f"plane-{number}")
    return made


@pytest.mark.parametrize(
    ("seen", "stage"),
    [
        (status(6, 6), Progress.ANNOUNCED),
        (status(6, 7), Progress.LOADING),
        (status(6, 7, batchers=0), Progress.LOADING),
        (status(6, 7, ready=2), Progress.READY),
        (status(7, 7, ready=2, acknowledged=2), Progress.ACTIVATED),
        (status(7, 7, ready=2, acknowledged=3), Progress.ACKNOWLEDGED),
        (status(9, 9, acknowledged=3), Progress.ACKNOWLEDGED),
    ],
)
def test_the_stage_of_a_status(seen, stage):
    assert progress_of(seen, 7) is stage


def lines(*seen: route_pb2.RouteStatus) -> list[tuple[str, str]]:
    made = ProgressLines(Output(as_json=True), 7, lambda _: None, clock=iter(range(100)).__next__)
    for one in seen:
        made.take(one)
    made.end(seen[-1])
    return [(one["stage"], one["text"]) for one in made.stages]


def test_every_stage_is_a_line_once():
    seen = [status(6, 7), status(6, 7, ready=1), status(6, 7, ready=2), status(7, 7, 2, acknowledged=1)]
    assert lines(*seen, status(7, 7, 2, acknowledged=3)) == [
        ("loading", "v2 on 0/2 batchers of pool default"),
        ("ready", "v2 on 2/2 batchers of pool default"),
        ("activated", "generation 4"),
        ("acknowledged", "3/3 data planes"),
    ]


def test_what_went_by_too_fast_to_be_seen_is_told_all_the_same():
    assert lines(status(7, 7, 2, acknowledged=3)) == [
        ("ready", "v2 on 2/2 batchers of pool default"),
        ("activated", "generation 4"),
        ("acknowledged", "3/3 data planes"),
    ]


def test_data_planes_that_have_not_acknowledged_are_counted_at_the_end():
    assert lines(status(7, 7, 2, acknowledged=2))[-1] == ("acknowledged", "2/3 data planes")
