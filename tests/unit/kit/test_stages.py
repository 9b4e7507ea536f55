"""The parts of `make test` and `make test-all`: what is in which, and what is printed of them."""

from __future__ import annotations

from tests.stages import parts, table


def test_test_all_is_test_and_then_more() -> None:
    test, everything = parts()["test"], parts()["all"]
    assert [part.name for part in test] == ["lint", "unit", "integration", "e2e"]
    assert everything[: len(test)] == test
    assert [part.name for part in everything[len(test) :]] == ["faults", "long", "statistics", "recipes"]


def test_a_failed_part_of_test_ends_the_run_and_one_beyond_it_does_not() -> None:
    assert {part.name for part in parts()["all"] if part.ends} == {part.name for part in parts()["test"]}


def test_the_table_says_what_became_of_each_part_and_how_long_it_took() -> None:
    assert table([("lint", "passed", 9.6), ("unit", "failed", 125.0)]) == (
        "lint           passed          0:10\n"
        "unit           failed          2:05\n"
        "all parts                      2:15\n"
    )
