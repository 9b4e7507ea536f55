"""A version is executed where it is cheapest: the rules, without a backend."""

from pathlib import Path

import pytest
from headrace_batcher.decisions import compute
from headrace_batcher.decisions.compute import Bounds, Way
from headrace_runtime.backends.backend import ModelFiles
from headrace_runtime.contract import Contract
from headrace_runtime.formats import Format

THROUGH_TRITON = {1: 0.00045, 32: 0.00050}


@pytest.mark.parametrize(
    ("computing", "way"),
    [
        pytest.param({1: 0.00001, 32: 0.0003}, Way.INLINE, id="short"),
        pytest.param({1: 0.00001, 32: 0.00031}, Way.THREAD, id="longer"),
    ],
)
def test_what_is_short_is_executed_on_the_event_loop_and_the_rest_in_a_thread(computing, way):
    in_thread = {rows: seconds + 0.00005 for rows, seconds in computing.items()}
    assert compute.choose(THROUGH_TRITON, in_thread, computing).way is way


def test_what_takes_as_long_in_process_stays_with_triton_unless_a_setting_says_otherwise():
    long = {1: 0.004, 32: 0.005}
    through_triton = {rows: seconds + 0.0004 for rows, seconds in long.items()}
    choice = compute.choose(through_triton, long, long)
    assert choice == compute.Choice(Way.BACKEND, "32 rows take 5 ms in process, 5.4 ms through Triton")
    assert compute.choose(through_triton, long, long, anyway=True).way is Way.THREAD


def test_what_is_long_through_triton_is_not_tried_in_process():
    assert "32 rows take 20 ms" in compute.too_long({1: 0.001, 32: 0.02})
    assert not compute.too_long(THROUGH_TRITON)


@pytest.mark.parametrize(
    ("changes", "file_bytes", "why"),
    [
        pytest.param({}, 1000, "", id="nothing"),
        pytest.param({"device": "CPU"}, 1000, "its settings name a device, CPU", id="device"),
        pytest.param({"instances": 2}, 1000, "its settings ask for 2 instances", id="instances"),
        pytest.param({"kept_as": Format.FIL}, 1000, "only versions of the format onnx", id="format"),
        pytest.param({"others": {"weights": Path("weights")}}, 1000, "files beside its model", id="files"),
        pytest.param({}, 65 << 20, "its file has 65 MiB", id="size"),
    ],
)
def test_settings_formats_and_large_files_pin_a_version_to_triton(changes, file_bytes, why):
    files = ModelFiles("m--v1", Path("model.onnx"), Contract((), ()), 32, **changes)
    found = compute.pinned(files, file_bytes)
    assert why in found
    assert bool(found) == bool(why)


def test_an_execution_larger_than_all_that_were_short_is_measured_in_a_thread_first():
    bounds = Bounds(Way.INLINE, 100)
    assert bounds.inline(100)
    assert not bounds.inline(101)
    assert bounds.observe(400, 0.0002) is None
    assert bounds.inline(400)
    assert not bounds.inline(401)


def test_two_executions_that_are_too_long_end_those_on_the_event_loop():
    bounds = Bounds(Way.INLINE, 100)
    assert bounds.observe(50, 0.0004) is None, "once may be the garbage collector"
    assert bounds.inline(50)
    changed = bounds.observe(50, 0.0004)
    assert changed == compute.Choice(Way.THREAD, "an execution with 50 bytes of inputs took 0.4 ms in process")
    assert bounds.observe(50, 0.0004) is None
    assert bounds.observe(50, 0.0001) is None
    assert not bounds.inline(10)


def test_one_that_is_too_long_now_and_then_is_forgiven():
    bounds = Bounds(Way.INLINE, 100)
    for _ in range(5):
        assert bounds.observe(50, 0.02) is None
        for _ in range(compute.FORGIVEN_AFTER):
            assert bounds.observe(50, 0.0001) is None
    assert bounds.inline(50)


@pytest.mark.parametrize("way", [Way.INLINE, Way.THREAD])
def test_what_takes_as_long_as_triton_is_there_for_ends_executions_in_process(way):
    bounds = Bounds(way, 100)
    assert bounds.observe(50, 0.02) is None
    changed = bounds.observe(50, 0.02)
    assert changed is not None
    assert changed.way is Way.BACKEND
    assert bounds.observe(50, 0.02) is None


@pytest.mark.parametrize("way", [Way.INLINE, Way.THREAD])
def test_one_that_takes_very_long_is_enough(way):
    changed = Bounds(way, 100).observe(50, 1.0)
    assert changed is not None
    assert changed.way is Way.BACKEND
