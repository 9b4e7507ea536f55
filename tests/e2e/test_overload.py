"""More than a model can do: what can be in time is answered, the rest refused at once; also when it gets slower.

How much is answered then, and how soon the rest is refused, `python -m benchmarks.overload` measures: here other tests
use the same machine.
"""

import pytest
from headrace_client import Client

from benchmarks.load.generator import Target
from benchmarks.overload import Row, asking, offered, peak, prepare, with_deadline
from tests.kit.stack.running import RunningStack

ROUNDS, SECONDS = 100, 3.0
# In executions of a full batch: what a machine that does other things besides may need.
DEADLINE = 20


def assert_told(seen: Row) -> None:
    """Assert that nothing hung, nothing was wrong, and nobody was refused without a time to come again."""
    assert not seen.others, seen
    assert seen.refused > 0, seen


@pytest.mark.faults
@pytest.mark.timeout(180)
def test_what_is_more_than_a_model_can_do_is_answered_right_or_refused_with_a_time_to_come_again(stack: RunningStack):
    host, _, port = stack.address.rpartition(":")
    target = Target((host, int(port)), [stack.token(f"caller-{number}") for number in range(4)])
    with Client(stack.address, token=stack.token) as client:
        prepare(client)
    call = asking(ROUNDS)
    most = peak(target, call, 3.0)
    call = with_deadline(call, DEADLINE, most)
    assert_told(offered(target, call, 3.0 * most, SECONDS, seed=1))
    # The model becomes half as fast; nobody changes a setting.
    assert_told(offered(target, call, 1.5 * most, SECONDS, seed=2, slow=True))
