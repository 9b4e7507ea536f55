"""What becomes of an Envoy that ends."""

import signal

import pytest
from front_door.running import End, comes_back


@pytest.mark.parametrize(
    ("end", "again"),
    [
        pytest.param(End(-signal.SIGSEGV, True), True, id="a crash of one that worked"),
        pytest.param(End(-signal.SIGKILL, True), True, id="killed by somebody"),
        pytest.param(End(-signal.SIGSEGV, False), False, id="it never worked: the supervisor waits longer and longer"),
        pytest.param(End(1, True), False, id="it gave up by itself"),
        pytest.param(End(0, True), False, id="it was told to leave"),
    ],
)
def test_an_envoy_that_crashed_comes_back(end: End, again: bool):
    assert comes_back(end) is again
