"""Rows that data seldom have, by which a conversion is compared, and what is said and stored of it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from headrace_forge.conversion import edges, worker

ROWS = {
    "age": np.array([[20.0], [30.0]], np.float32),
    "city": np.array([["Oslo"], ["Rome"]], object),
}


def described(inputs, unknown=None):
    return dict(edges.cases(inputs, unknown or {}))


def test_each_case_is_the_first_row_with_one_value_of_another_kind() -> None:
    found = described(ROWS)
    assert found["age 301"]["age"].tolist() == [[301.0]]
    assert found["city 'OSLO'"]["city"].tolist() == [["OSLO"]]
    assert found["city 'OSLO'"]["age"].tolist() == found["city ''"]["age"].tolist() == [[20.0]]
    assert {"city 'Osloé'", "city '日本Oslo'"} <= found.keys()
    assert any(len(one["city"][0, 0]) > 1000 for one in found.values())


def test_nan_is_a_case_where_rows_have_it_and_a_strange_category_where_there_are_some() -> None:
    gaps = np.array([[1.0, 0.0], [math.nan, 2.0]], np.float32)
    found = described({"features": gaps}, {"features": {1: 3}})
    assert [label for label in found if "nan" in label] == ["features[0] nan"]
    assert [label for label in found if "[1]" in label] == ["features[1] 3"]


def test_pictures_are_changed_as_a_whole_and_tables_of_any_width_have_a_bound() -> None:
    picture = described({"image": np.ones((4, 3, 8, 8), np.float32)})
    assert [one["image"].shape for one in picture.values()] == [(1, 3, 8, 8)] * 4
    assert len(described({"features": np.ones((2, 5000), np.float32)})) <= edges.MOST_CASES


def test_a_case_that_only_onnx_answers_is_left_out_and_one_that_it_fails_on_is_named() -> None:
    def framework(rows):
        if rows["x"][0, 0] == 0:
            raise ValueError("unknown category")
        return {"y": rows["x"] * 2}

    def exact(rows):
        return {"y": rows["x"] * 2}

    def far(rows):
        return {"y": rows["x"] * 2 + (rows["x"] < 0)}

    def fails(rows):
        raise RuntimeError("a page\nNonZeroStatus: no such word")

    inputs = {"x": np.array([[1.0]], np.float32)}
    assert worker.on_edges(edges, inputs, {}, exact, framework) == (2, 0.0, "")
    assert worker.on_edges(edges, inputs, {}, far, framework) == (2, pytest.approx(1 / 23), "x -11")
    asked, difference, where = worker.on_edges(edges, inputs, {}, fails, framework)
    assert (asked, difference) == (1, math.inf)
    assert where == "x 11 (RuntimeError: NonZeroStatus: no such word)"


def test_an_error_is_its_last_line_or_that_of_its_cause_behind_a_page_of_protobuf() -> None:
    assert worker.last_line(ValueError("a\nb\n\n")) == "ValueError: b"
    assert worker.last_line(KeyError()) == "KeyError"
    pages = ValueError("attributes = {\n" + "0,\n" * 100 + "}")
    pages.__cause__ = TypeError("Expected an int, got a boolean.")
    assert worker.last_line(pages) == "TypeError: Expected an int, got a boolean."


@pytest.mark.parametrize(("width", "rows"), [(4, 64), (20_000, 6), (1_000_000, 0)])
def test_as_many_rows_are_stored_as_a_batcher_reads(width: int, rows: int) -> None:
    inputs = {"x": np.random.default_rng(0).normal(size=(64 if width < 1000 else 6, width)).astype(np.float32)}
    text = worker.kept(inputs, {"y": inputs["x"][:, 0]}, {"x": [None, width], "y": [None]})
    assert len(text) <= 2 * 1024 * 1024
    stored = json.loads(text)["inputs"].get("x", [])
    assert len(stored) == rows
    np.testing.assert_array_equal(np.array(stored, np.float32).reshape(rows, width), inputs["x"][:rows])
