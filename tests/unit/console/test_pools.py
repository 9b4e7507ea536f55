"""What a page says of a pool."""

from datetime import timedelta

from headrace.router.v1 import route_pb2
from headrace_console.pages.pools import by_pool, longest_wait_s


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
