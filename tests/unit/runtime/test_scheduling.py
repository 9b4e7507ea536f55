"""What answers callers runs before what loads models: turns of threads and of what they start."""

import ctypes
import json
import os
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from headrace_runtime import thread_priority

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}


def turn() -> tuple[int, int]:
    """Return the niceness and the slice in nanoseconds of the calling thread."""
    buffer = ctypes.create_string_buffer(48)
    thread = threading.get_native_id()
    ctypes.CDLL(None).syscall(_SCHED_GETATTR[os.uname().machine], thread, buffer, 48, 0)
    _, _, _, niceness, _, slice_ns, _, _ = struct.unpack("=IIQiIQQQ", buffer.raw)
    return niceness, slice_ns


def life() -> dict[str, tuple[int, int] | list[int]]:
    """Do as a batcher does, in this process; return the turns of its threads and of a process that it starts."""
    thread_priority.go_first()
    own = turn()
    with ThreadPoolExecutor(1) as serving, ThreadPoolExecutor(1, initializer=thread_priority.give_way) as loading:
        turns = {"own": own, "serving": serving.submit(turn).result(), "loading": loading.submit(turn).result()}
    child = [sys.executable, "-c", "from tests.unit.runtime.test_scheduling import turn; print(list(turn()))"]
    return {**turns, "child": json.loads(subprocess.check_output(child)), "own afterwards": turn()}


@pytest.fixture(scope="module")
def turns() -> dict[str, list[int]]:
    """Return what `life` found, in a process of its own: a turn that was taken cannot be given back."""
    program = "import json; from tests.unit.runtime.test_scheduling import life; print(json.dumps(life()))"
    found = json.loads(subprocess.check_output([sys.executable, "-c", program]))
    if found["own"][1] == 0:
        pytest.skip("this kernel has no slices of a thread's own (Linux 6.12 and later have)")
    return found


def test_what_a_batcher_starts_inherits_its_short_turns(turns: dict[str, list[int]]):
    assert turns["serving"] == turns["child"] == turns["own"]
    assert turns["own"][1] < 1_000_000


def test_a_thread_that_loads_gives_way_and_no_other(turns: dict[str, list[int]]):
    niceness, slice_ns = turns["loading"]
    assert niceness == turns["own"][0] + 10
    assert slice_ns >= 100 * turns["own"][1]
    assert turns["own afterwards"] == turns["own"]
