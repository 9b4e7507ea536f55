"""How long a start is waited for."""

import pytest
from headrace_stack.component import StartPolicy
from headrace_stack.start_progress import Progress, Usage, follow, give_up, is_watched

from tests.kit.rows import each

POLICY = StartPolicy(patience_s=60, quiet_s=20, most_s=900)
MEGABYTE = 1024 * 1024


@each(
    "waited_s,quiet_s,first,goes_on",
    [
        pytest.param(59, 59, True, True, id="nobody is judged early"),
        pytest.param(61, 61, True, False, id="one that did nothing is given up"),
        pytest.param(61, 19, True, True, id="one that works is waited for"),
        pytest.param(300, 5, True, True, id="for as long as it works"),
        pytest.param(300, 21, True, False, id="and no longer"),
        pytest.param(900, 1, True, False, id="but not for ever"),
        pytest.param(900, 1, False, True, id="unless it has worked once"),
        pytest.param(900, 21, False, False, id="which excuses no idleness"),
    ],
)
def test_a_start_is_waited_for_while_it_goes_on(waited_s: float, quiet_s: float, first: bool, goes_on: bool):
    assert (give_up(POLICY, waited_s, quiet_s, first=first) is None) is goes_on


@pytest.mark.parametrize(
    ("used", "goes_on"),
    [
        pytest.param(Usage(5.3, 0), True, id="time on the processor"),
        pytest.param(Usage(5.0, MEGABYTE), True, id="bytes read or written"),
        pytest.param(Usage(5.1, 20_000), False, id="what waiting and a log line now and then take"),
        pytest.param(Usage(4.0, 0), True, id="the end of one of its processes"),
    ],
)
def test_a_process_goes_on_by_what_it_uses(used: Usage, goes_on: bool):
    before = Progress(10, Usage(5.0, 0))
    assert follow(before, 12, used) == (Progress(12, used) if goes_on else before)


def test_what_waits_and_asks_now_and_then_adds_up_to_nothing_within_the_quiet_time():
    progress = Progress(0, Usage())
    for second in range(1, 21):
        progress = follow(progress, second, Usage(cpu_s=0.01 * second))
    assert progress.at_s == 0


def test_only_a_start_that_may_soon_be_given_up_is_looked_at():
    assert not is_watched(POLICY, 39)
    assert is_watched(POLICY, 40)
