"""What a prediction means where nobody says it."""

import pytest
from headrace_registry.decisions import task
from headrace_registry.decisions.models import Contract, Task, TensorSpec

from tests.kit.rows import each

LABEL = TensorSpec("label", "INT64")
PROBABILITIES = TensorSpec("probabilities", "FP32", (3,))
NUMBER = TensorSpec("variable", "FP32", (1,))


@each(
    "contract,expected",
    [
        pytest.param(Contract(outputs=(LABEL, PROBABILITIES)), Task.CLASSIFICATION, id="a label beside scores"),
        pytest.param(Contract(outputs=(PROBABILITIES, LABEL)), Task.CLASSIFICATION, id="scores by their name"),
        pytest.param(
            Contract(outputs=(PROBABILITIES, LABEL), prediction="label"), Task.CLASSIFICATION, id="the prediction named"
        ),
        pytest.param(Contract(outputs=(TensorSpec("y", "BYTES"),)), Task.CLASSIFICATION, id="text"),
        pytest.param(Contract(outputs=(TensorSpec("y", "BOOL"),)), Task.CLASSIFICATION, id="yes or no"),
        pytest.param(Contract(outputs=(NUMBER,), labels=("no", "yes")), Task.CLASSIFICATION, id="labels"),
        pytest.param(Contract(outputs=(NUMBER,)), Task.UNSPECIFIED, id="one number"),
        pytest.param(Contract(outputs=(LABEL,)), Task.UNSPECIFIED, id="one whole number"),
        pytest.param(Contract(outputs=(LABEL, NUMBER)), Task.UNSPECIFIED, id="a whole number beside one number"),
        pytest.param(Contract(outputs=(TensorSpec("y", "FP32", (2,)),)), Task.UNSPECIFIED, id="two numbers"),
        pytest.param(
            Contract(outputs=(LABEL, PROBABILITIES), task=Task.REGRESSION), Task.REGRESSION, id="what is declared stays"
        ),
        pytest.param(Contract(), Task.UNSPECIFIED, id="no outputs"),
    ],
)
def test_a_task_is_inferred_where_outputs_tell(contract, expected):
    assert task.completed(contract).task is expected
