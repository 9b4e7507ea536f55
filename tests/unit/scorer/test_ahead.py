"""Reading the next while the present one is worked on."""

from collections.abc import Generator

import pytest
from headrace_scorer.engine.shard_scorer import ahead


def test_everything_comes_in_its_order():
    assert list(ahead(number for number in range(50))) == list(range(50))
    assert list(ahead(number for number in range(0))) == []


def test_no_more_than_two_are_held():
    given, made = list[int](), list[int]()

    def items() -> Generator[int, None, None]:
        for number in range(20):
            made.append(number)
            yield number

    for number in ahead(items()):
        given.append(number)
        assert len(made) - len(given) <= 1


def test_what_cannot_be_read_is_said_after_what_came_before_it():
    def items() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise ValueError("torn")

    given = list[int]()
    with pytest.raises(ValueError, match="torn"):
        given.extend(ahead(items()))
    assert given == [1, 2]


def test_whoever_leaves_early_leaves_nothing_open():
    closed = list[bool]()

    def items() -> Generator[int, None, None]:
        try:
            yield from range(5)
        finally:
            closed.append(True)

    reading = ahead(items())
    assert next(reading) == 0
    reading.close()
    assert closed == [True]
