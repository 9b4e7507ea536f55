"""Files of outcomes: what a row says, and what it cannot mean."""

from datetime import UTC, datetime
from typing import Any

import pytest
from headrace_observe.cli.outcome_files import Reading, Row

from tests.kit.rows import each

READING = Reading("label", "", False, datetime(2030, 1, 1, tzinfo=UTC))


@each(
    "value,expected",
    [
        pytest.param("3", 3.0, id="a number"),
        pytest.param("-1.5e3", -1500.0, id="with sign and exponent"),
        pytest.param("seven", "seven", id="a class"),
        pytest.param("1_0", "1_0", id="a class that Python would read as ten"),
        pytest.param("nan", "nan", id="a class that Python would read as no number"),
        pytest.param(" 3", 3.0, id="a number behind a comma and a space"),
        pytest.param("3 ", "3 ", id="a class with a space"),
        pytest.param(True, 1.0, id="a truth"),
    ],
)
def test_what_a_row_says_of_a_prediction(value: Any, expected: float | str):
    row = Row.of(1, {"prediction_id": "p", "value": value}, READING)
    assert row.outcome is not None
    assert row.outcome.value == expected


@pytest.mark.parametrize(
    ("found", "field"),
    [
        pytest.param({"prediction_id": "p", "value": 10**400}, "value", id="a number beyond all numbers"),
        pytest.param({"prediction_id": "p", "value": float("inf")}, "value", id="infinity"),
        pytest.param({"entity_id": 17.0, "value": 1}, "entity_id", id="an id from a column with gaps"),
        pytest.param({"entity_id": True, "value": 1}, "entity_id", id="an id that is a truth"),
        pytest.param({"value": 1}, "prediction_id", id="no id"),
    ],
)
def test_a_row_that_cannot_be_recorded_names_its_column(found: dict[str, Any], field: str):
    row = Row.of(1, found, READING)
    assert (row.outcome, row.field) == (None, field)


def test_ids_may_be_whole_numbers():
    row = Row.of(1, {"entity_id": 17, "value": 1}, READING)
    assert row.outcome is not None
    assert row.outcome.entity_id == "17"
