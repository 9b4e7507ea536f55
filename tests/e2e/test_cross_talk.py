"""Every answer belongs to whoever asked: many callers at once, over every protocol, kept and computed, some leave."""

import pytest
from headrace_client import Client

from benchmarks.load.endings import OK
from tests.kit.models import onnx_models
from tests.kit.stack.cross_talk import describe, play
from tests.kit.stack.running import RunningStack
from tests.kit.stack.served_models import serve

MODEL = "cross-talk"
CALLERS = 9


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(20_000, id="20,000"),
        pytest.param(1_000_000, id="a million", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
@pytest.mark.long
def test_no_answer_goes_to_another_caller(stack: RunningStack, count: int):
    with Client(stack.address, token=stack.token) as client:
        serve(client, MODEL, {"v1": onnx_models.identity()})
    tally = play(stack.address, [stack.token(f"caller-{number}") for number in range(CALLERS)], MODEL, count)
    print(describe(tally))  # noqa: T201  (`pytest -s` shows it)
    assert tally.outcomes.keys() == {OK}, describe(tally)
    assert tally.outcomes[OK] >= count
    assert tally.cancelled > count / 1000
