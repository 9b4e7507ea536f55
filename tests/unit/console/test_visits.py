"""What a page shows in the place of a part of it that could not be read."""

from collections.abc import Awaitable
from typing import Any, cast

import pytest
from headrace_client.errors import HeadraceError, Unavailable, Unimplemented
from headrace_console.pages.visits import Visit


async def failing(error: HeadraceError) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            Unimplemented("the part 'scale' is not installed here; add it with `make up`", reason="PART_NOT_INSTALLED"),
            "The part 'scale' is not installed here; add it with `make up`.",
        ),
        (Unavailable("x", reason="SERVICE_UNAVAILABLE"), "The autoscaler is not installed here, or is down."),
        (Unavailable("too late"), "The autoscaler does not answer: too late."),
    ],
)
async def test_it_says_whether_the_service_is_not_installed_or_does_not_answer(error: HeadraceError, shown: str):
    visit = Visit(*(cast("Any", None),) * 4)
    reading: Awaitable[None] = failing(error)
    assert (await visit.part("autoscaler", reading)).problem == shown
