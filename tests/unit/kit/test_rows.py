"""Rows that are one test."""

import pytest

from tests.kit.rows import each


@each("number,square", [(1, 1), (2, 4), (-3, 9)])
def test_all_rows_run_with_the_fixtures_of_the_test(number: int, square: int, request: pytest.FixtureRequest):
    assert request.node.name == "test_all_rows_run_with_the_fixtures_of_the_test"
    assert number**2 == square


def test_a_row_that_fails_is_named_and_those_before_it_have_run():
    seen = []

    @each("number", [1, 2, 3])
    def rows(number: int) -> None:
        seen.append(number)
        assert number != 2

    with pytest.raises(AssertionError) as caught:
        rows()
    assert (seen, caught.value.__notes__) == ([1, 2], ["in the row {'number': 2}"])


def test_a_row_that_raises_nothing_where_it_should_is_named_too():
    @each("number", [0, 1])
    def rows(number: int) -> None:
        with pytest.raises(ZeroDivisionError):
            assert 1 / number

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE") as caught:
        rows()
    assert caught.value.__notes__ == ["in the row {'number': 1}"]


def test_no_rows_are_no_test():
    with pytest.raises(AssertionError, match="no rows for number"):
        each("number", [])
