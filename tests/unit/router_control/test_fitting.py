"""Whether the values that a route gives are those of what it stands for."""

import math

import pytest
from headrace.router.v1 import route_pb2
from headrace_router.control.decisions.fallback_steps import MAX_ENTITY_CHARS, Constant, EntityTable, FallbackStep
from headrace_router.control.decisions.version_fit import MAX_VIOLATIONS, Contract, Output, given_violations

from tests.kit.rows import each

# -- whether they fit ------------------------------------------------------------------------------------------------


def output(name: str = "y", datatype: str = "FP32", shape: tuple[int, ...] = (2,), nan: bool = False) -> Output:
    return Output(name, datatype, shape, nan)


def constant(**outputs: list[float] | list[str]) -> FallbackStep:
    row = route_pb2.FallbackStep.Row()
    for name, values in outputs.items():
        given = row.outputs[name]
        if values and isinstance(values[0], str):
            given.strings.extend(values)  # type: ignore[arg-type]
        else:
            given.numbers.extend(values)  # type: ignore[arg-type]
    return FallbackStep("last", Constant(row.SerializeToString(deterministic=True)))


def wrong(step: FallbackStep, *outputs: Output) -> list[str]:
    return [field for field, _ in given_violations(step, {"v1": Contract("s", outputs)})]


@each(
    "step,of,fields",
    [
        pytest.param(constant(y=[1, 2.5]), output(), [], id="fits"),
        pytest.param(constant(y=[1]), output(), ["constant.outputs[y]"], id="too few"),
        pytest.param(constant(y=[1]), output(shape=()), [], id="one value per row"),
        pytest.param(constant(), output(), ["constant.outputs"], id="missing"),
        pytest.param(constant(y=[1, 2], z=[1]), output(), ["constant.outputs[z]"], id="unknown"),
        pytest.param(constant(y=["a", "b"]), output(), ["constant.outputs[y]"], id="text for numbers"),
        pytest.param(constant(y=["a", "b"]), output(datatype="BYTES"), [], id="text"),
        pytest.param(constant(y=[1, 2]), output(datatype="BYTES"), ["constant.outputs[y]"], id="numbers for text"),
        pytest.param(constant(y=[1, 2]), output(shape=(-1,)), ["constant.outputs[y]"], id="varies"),
        pytest.param(constant(y=[1]), output(shape=(-1, -1)), ["constant.outputs[y]"], id="varies twice"),
        pytest.param(constant(y=[1, 0]), output(datatype="BOOL"), [], id="bool"),
        pytest.param(constant(y=[1, 2]), output(datatype="BOOL"), ["constant.outputs[y]"], id="no bool"),
        pytest.param(constant(y=[1, 1.5]), output(datatype="INT64"), ["constant.outputs[y]"], id="no integer"),
        pytest.param(constant(y=[-1, 0]), output(datatype="UINT8"), ["constant.outputs[y]"], id="below"),
        pytest.param(constant(y=[255, 256]), output(datatype="UINT8"), ["constant.outputs[y]"], id="above"),
        pytest.param(constant(y=[0, 255]), output(datatype="UINT8"), [], id="all that has no sign"),
        pytest.param(constant(y=[-128, 127]), output(datatype="INT8"), [], id="all that has a sign"),
        pytest.param(constant(y=[0, 128]), output(datatype="INT8"), ["constant.outputs[y]"], id="above the sign"),
        pytest.param(constant(y=[0, -129]), output(datatype="INT8"), ["constant.outputs[y]"], id="below the sign"),
        pytest.param(constant(y=[65_504, 0]), output(datatype="FP16"), [], id="the largest half"),
        pytest.param(constant(y=[math.inf, 65_504]), output(datatype="FP16"), [], id="the largest half, and infinite"),
        pytest.param(
            constant(y=[math.inf, 70_000]), output(datatype="FP16"), ["constant.outputs[y]"], id="infinite, and beyond"
        ),
        pytest.param(constant(y=[0, math.nan]), output(), ["constant.outputs[y]"], id="not a number, further on"),
        pytest.param(constant(y=[70_000, 0]), output(datatype="FP16"), ["constant.outputs[y]"], id="beyond half"),
        pytest.param(constant(y=[math.nan, 0]), output(), ["constant.outputs[y]"], id="not a number"),
        pytest.param(constant(y=[math.nan, 0]), output(nan=True), [], id="not a number, allowed"),
        pytest.param(constant(y=[math.inf, 0]), output(), [], id="infinite"),
        pytest.param(constant(y=[math.inf, 0]), output(datatype="INT8"), ["constant.outputs[y]"], id="no infinity"),
    ],
)
def test_values_are_those_of_one_row_of_every_output(step: FallbackStep, of: Output, fields: list[str]):
    assert wrong(step, of) == fields


def test_a_table_names_its_entity_and_tells_no_more_than_people_read():
    table = route_pb2.FallbackStep.EntityTable()
    for number in range(100):
        table.rows[f"e{number:03}"].outputs["y"].numbers.extend([1.0])
    step = FallbackStep("t", EntityTable(table.SerializeToString(deterministic=True), 100))
    found = wrong(step, output())
    assert found[0] == "entity_table.rows[e000].outputs[y]"
    assert len(found) == MAX_VIOLATIONS
    assert wrong(step, output(shape=())) == []


@pytest.mark.parametrize(("chars", "fields"), [(0, 1), (1, 0), (MAX_ENTITY_CHARS, 0), (MAX_ENTITY_CHARS + 1, 1)])
def test_entities_are_as_long_as_requests_may_name_them(chars: int, fields: int):
    table = route_pb2.FallbackStep.EntityTable()
    table.rows["x" * chars].outputs["y"].numbers.extend([1.0, 2.0])
    step = FallbackStep("t", EntityTable(table.SerializeToString(deterministic=True), 1))
    assert wrong(step, output()) == ["entity_table.rows"] * fields


def test_values_fit_every_version_that_variants_serve():
    contracts = {"v1": Contract("s", (output(),)), "v2": Contract("t", (output(shape=(3,)),))}
    assert [why for _, why in given_violations(constant(y=[1, 2]), contracts)] == [
        "2 numbers; a row has 3 (version 'v2')"
    ]
