from pathlib import Path

import pytest
from headrace_router.data.batchers.members import Target
from headrace_router.data.settings import DataSettings, parse_pools
from headrace_router.data.transports.call_context import DeadlineLimits, parse_timeout
from headrace_servicekit.errors import InvalidArgument

from tests.kit.rows import each


def test_data_planes_that_share_the_load_divide_what_all_may_have():
    all_together = DataSettings(
        control_target="a:1", pools="default=b:1", state_dir=Path("/s"), processes=3, max_in_flight=100,
        max_concurrent_rpcs=9, cache_memory_bytes=0,
    )  # fmt: skip
    one = all_together.of_one_process()
    assert (one.max_in_flight, one.max_concurrent_rpcs, one.cache_memory_bytes) == (34, 3, 0)
    assert (one.max_rows, one.max_message_bytes) == (all_together.max_rows, all_together.max_message_bytes)


def test_pools_are_names_with_targets():
    assert parse_pools(" default=a:1, b:2 ;cpu=[::1]:3;") == {
        "default": (Target("a", 1), Target("b", 2)),
        "cpu": (Target("::1", 3),),
    }


@each("text", ["", "default", "default=", "default=a", "default=a:b", "A=a:1", "x=a:1;x=b:2", "x=:1"])
def test_pools_that_cannot_be_read_are_refused(text):
    with pytest.raises(ValueError, match=r"pool|host"):
        parse_pools(text)


@pytest.mark.parametrize(
    ("remaining_s", "expected"),
    [
        pytest.param(None, 110.0, id="none: the default"),
        pytest.param(0.0, 100.0, id="none left is not none set"),
        pytest.param(3.0, 103.0, id="the caller's"),
        pytest.param(900.0, 160.0, id="capped"),
    ],
)
def test_deadlines_are_the_callers_within_limits(remaining_s, expected):
    assert DeadlineLimits(10.0, 60.0).deadline(100.0, remaining_s) == expected


@pytest.mark.parametrize(
    ("value", "seconds"), [("250m", 0.25), ("2S", 2.0), ("1M", 60.0), ("1H", 3600.0), ("5u", 5e-6), ("9n", 9e-9)]
)
def test_timeouts_are_read_as_grpc_writes_them(value, seconds):
    assert parse_timeout(value) == pytest.approx(seconds)


@each("value", ["", "5", "m", "-1S", "123456789S", "1.5S", "1 S", "1ms"])
def test_other_timeouts_are_refused_by_name(value):
    with pytest.raises(InvalidArgument, match="grpc-timeout"):
        parse_timeout(value)
