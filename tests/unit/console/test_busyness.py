"""How much of its time a pool is busy, as two reports of its batchers tell."""

from headrace.router.v1 import route_pb2
from headrace_console.busyness import LONGEST_S, Busyness


def batcher(at_s: float, compute_s: float, process: str = "b1", pool: str = "default", digest: str = "d"):
    made = route_pb2.Batcher(process=process, pool=pool, versions=[route_pb2.BatcherVersion(digest=digest)])
    made.report_time.FromMicroseconds(int(at_s * 1e6))
    made.versions[0].load.compute.FromMicroseconds(int(compute_s * 1e6))
    return made


def test_a_pool_is_as_busy_as_its_batchers_are_on_average():
    seen = Busyness()
    assert seen.of("ada", [batcher(0, 100), batcher(0, 5, "b2")]) == {}
    found = seen.of("ada", [batcher(10, 105), batcher(10, 8, "b2")])["default"]
    assert (round(found.share, 3), found.over_s) == (0.4, 10)


def test_one_report_says_nothing_however_often_it_is_looked_at():
    seen = Busyness()
    for _ in range(3):
        assert seen.of("ada", [batcher(7, 100)]) == {}


def test_work_of_a_version_that_was_unloaded_is_none_that_was_taken_back():
    seen = Busyness()
    seen.of("ada", [batcher(0, 100, digest="old")])
    assert seen.of("ada", [batcher(4, 1, digest="new")])["default"].share == 0.25


def test_what_was_long_ago_says_nothing_of_now():
    seen = Busyness()
    seen.of("ada", [batcher(0, 0)])
    assert seen.of("ada", [batcher(LONGEST_S + 1, 500)]) == {}


def test_of_somebody_who_looks_all_day_the_last_minutes_count():
    seen = Busyness()
    for at in range(0, 4000, 2):
        seen.of("ada", [batcher(at, at)])
    found = {}
    for at in range(4000, 4200, 2):
        found = seen.of("ada", [batcher(at, 4000)])
    assert found["default"].share == 0
    assert found["default"].over_s <= 130


def test_readers_that_come_and_go_are_not_kept():
    seen = Busyness()
    for reader in range(1000):
        seen.of(reader, [batcher(reader, 0, process=f"b{reader}")])
    assert len(seen) == 64


def test_batchers_that_are_gone_are_forgotten():
    seen = Busyness()
    found = {}
    for at in range(0, 10_000, 100):
        found = seen.of("ada", [batcher(at, 0, process=f"b{at}"), batcher(at, at / 2)])
    assert found["default"].share == 0.5
