"""When a failed call is tried again."""

import pytest
from headrace_client.errors import (
    Aborted,
    DeadlineExceeded,
    HeadraceError,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from headrace_client.retries import RetryPolicy, next_wait
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

POLICY = RetryPolicy(max_attempts=4, initial_s=0.1, max_s=1.0)


@each(
    "error,attempt,remaining_s,expected",
    [
        pytest.param(Unavailable("x"), 1, 10, 0.1, id="unavailable waits the first back-off"),
        pytest.param(Unavailable("x"), 3, 10, 0.4, id="and doubles it"),
        pytest.param(Unavailable("x"), 4, 10, None, id="until the tries are used up"),
        pytest.param(Unavailable("x", retry_after_s=3.0), 1, 10, 3.0, id="the server's wish counts when longer"),
        pytest.param(Unavailable("x", retry_after_s=0.01), 1, 10, 0.1, id="and not when shorter"),
        pytest.param(Unavailable("x"), 1, 0.05, None, id="no try that the deadline would cut"),
        pytest.param(Unavailable("x", may_retry=False), 1, 10, None, id="a server may refuse further tries"),
        pytest.param(ResourceExhausted("x"), 1, 10, None, id="an overload without a hint is final"),
        pytest.param(ResourceExhausted("x", retry_after_s=0.5), 1, 10, 0.5, id="with a hint it is not"),
        pytest.param(DeadlineExceeded("x"), 1, 10, None, id="a deadline is final"),
        pytest.param(InvalidArgument("x"), 1, 10, None, id="a wrong request stays wrong"),
        pytest.param(Aborted("x"), 1, 10, None, id="a lost race is decided again by who asked"),
    ],
)
def test_a_failure_is_tried_again_only_where_that_helps(
    error: HeadraceError, attempt: int, remaining_s: float, expected: float | None
) -> None:
    wait = next_wait(error, attempt=attempt, remaining_s=remaining_s, policy=POLICY, random=0.999999)
    assert wait is None if expected is None else wait == pytest.approx(expected, rel=1e-3)


@given(
    attempt=st.integers(1, 3),
    remaining_s=st.floats(0, 5),
    random=st.floats(0, 1, exclude_max=True),
    retry_after_s=st.none() | st.floats(0, 5),
)
def test_a_wait_never_reaches_past_the_deadline(
    attempt: int, remaining_s: float, random: float, retry_after_s: float | None
) -> None:
    error = Unavailable("x", retry_after_s=retry_after_s)
    wait = next_wait(error, attempt=attempt, remaining_s=remaining_s, policy=POLICY, random=random)
    assert wait is None or 0 < wait < remaining_s
