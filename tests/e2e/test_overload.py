"""More than a model can do: what can be in time is answered, the rest refused at once; also when it gets slower."""

import pytest
from headrace_client import Client

from benchmarks.generator import Target
from benchmarks.overload import Row, asking, offered, peak, prepare, with_deadline
from tests.kit.stack import RunningStack

ROUNDS, SECONDS = 100, 6.0
# In executions of a full batch: what a machine that does other things besides may need.
DEADLINE = 20


def assert_steady(seen: Row, most: float) -> None:
    """Assert that a model that can answer so much did not collapse, and that the rest was told what it may be told."""
    # Nothing hung, nothing was wrong, nobody was refused without a time to come again.
    assert not seen.others, seen
    assert seen.refused > 0
    # The machine may do other things meanwhile. With a queue that is too long, nobody would be answered in time.
    assert seen.goodput >= 0.3 * most, seen
    assert seen.refused_p99_s < seen.deadline_s, seen


@pytest.mark.timeout(180)
def test_what_is_more_than_a_model_can_do_is_refused_at_once_and_goodput_stays(stack: RunningStack):
    host, _, port = stack.address.rpartition(":")
    target = Target((host, int(port)), [stack.token(f"caller-{number}") for number in range(4)])
    with Client(stack.address, token=stack.token) as client:
        prepare(client)
    call = asking(ROUNDS)
    most = peak(target, call, 3.0)
    call = with_deadline(call, DEADLINE, most)
    for times in (2.0, 3.0):
        assert_steady(offered(target, call, times * most, SECONDS, seed=1), most)
    # The model becomes half as fast; nobody changes a setting.
    assert_steady(offered(target, call, 1.5 * most, SECONDS, seed=2, slow=True), most / 2)
