"""Many rows in one test: a row that takes a millisecond costs several as a test of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def each(names: str, rows: Iterable[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a test once for each row, as `pytest.mark.parametrize` does, but as one test; a row that fails is named.

    Rows share the fixtures of the test: what one leaves in them is there for the next.
    """
    keys = names.split(",")
    table = [_values(keys, row) for row in rows]
    assert table, f"no rows for {names}"

    def wrap(test: Callable[..., Any]) -> Callable[..., Any]:
        def every(*arguments: Any, **fixtures: Any) -> None:
            for values in table:
                with _named(values):
                    test(*arguments, **fixtures, **values)

        async def every_async(*arguments: Any, **fixtures: Any) -> None:
            for values in table:
                with _named(values):
                    await test(*arguments, **fixtures, **values)

        wrapped: Any = functools.wraps(test)(every_async if inspect.iscoroutinefunction(test) else every)
        signature = inspect.signature(test)
        others = [one for name, one in signature.parameters.items() if name not in keys]
        assert len(others) + len(keys) == len(signature.parameters), f"{test.__name__} does not take all of {names}"
        wrapped.__signature__ = signature.replace(parameters=others)
        return wrapped

    return wrap


def _values(keys: list[str], row: Any) -> dict[str, Any]:
    """Return a row by its names; one of `pytest.param` has its values inside."""
    values = getattr(row, "values", row) if type(row).__name__ == "ParameterSet" else row if len(keys) > 1 else (row,)
    return dict(zip(keys, values, strict=True))


@contextmanager
def _named(values: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:  # what pytest.raises and pytest.fail raise too
        error.add_note(f"in the row {values}")
        raise
