"""What a page says of a pool."""

from datetime import timedelta

from headrace.autoscaler.v1 import autoscaler_pb2
from headrace.router.v1 import route_pb2
from headrace_console.busyness import Busy
from headrace_console.pages.pools import COLUMNS, by_pool, lines_of, longest_wait_s
from headrace_console.pages.tables import listed

from tests.kit.rows import each


def batcher(process: str, wait: timedelta, pool: str = "default") -> route_pb2.Batcher:
    made = route_pb2.Batcher(process=process, pool=pool)
    made.load.predicted_wait.FromTimedelta(wait)
    return made


def test_the_longest_wait_is_the_longest_in_whatever_unit_it_is_written():
    waits = [timedelta(milliseconds=900), timedelta(seconds=2), timedelta(microseconds=950)]
    members = [batcher(f"b{number}", wait) for number, wait in enumerate(waits)]
    assert longest_wait_s(members) == 2.0


def test_batchers_stand_under_their_pools_in_the_order_of_their_names():
    batchers = [batcher("b2", timedelta(), "gpu"), batcher("b1", timedelta()), batcher("b0", timedelta(), "gpu")]
    found = {pool: [one.process for one in members] for pool, members in by_pool(batchers).items()}
    assert found == {"default": ["b1"], "gpu": ["b0", "b2"]}


def test_a_pool_is_a_line_by_its_batchers_or_its_policy():
    scaled = [autoscaler_pb2.Pool(name="pools/cold", desired_replicas=0), autoscaler_pb2.Pool(name="pools/gpu")]
    lines = {line.name: line for line in lines_of([batcher("b1", timedelta(seconds=2), "gpu")], scaled, {})}
    assert sorted(lines) == ["cold", "gpu"]
    assert (lines["gpu"].wait_s, lines["cold"].wait_s) == (2.0, None)


@each(
    "sort,first",
    [
        ("pool", "calm"),
        ("-pool", "unseen"),
        ("-batchers", "gpu"),
        ("-wanted", "gpu"),
        ("-free", "calm"),
        ("-wait", "gpu"),
        ("-rows", "gpu"),
        ("free", "unseen"),
        ("decision", "calm"),
    ],
)
def test_pools_are_sorted_by_every_figure_and_what_nobody_knows_is_least(sort: str, first: str):
    batchers = [
        batcher("b1", timedelta(seconds=1), "gpu"),
        batcher("b2", timedelta(seconds=9), "gpu"),
        batcher("b3", timedelta(seconds=2), "calm"),
    ]
    batchers[1].load.queued_rows = 40
    scaled = [autoscaler_pb2.Pool(name="pools/gpu", desired_replicas=4), autoscaler_pb2.Pool(name="pools/unseen")]
    busy = {"gpu": Busy(0.9, 60), "calm": Busy(0.1, 60)}
    table = listed(lines_of(batchers, scaled, busy), COLUMNS, {"sort": sort}, "/console/pools", sort="pool")
    assert table.rows[0].name == first
