"""Which models are listed, in which order, and where a page begins. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace_registry.decisions.models import Model

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Latest time that a page token may state, forged ones included; datetime ends a little later.
_LAST = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND

Place = tuple[datetime, str]
"""Position in a list: when a model changed, and its name. The next page begins after it."""


@dataclass(frozen=True, slots=True)
class ModelQuery:
    """containing: in the name or the description, in lower case; empty for every model. latest_first: else by name."""

    containing: str = ""
    latest_first: bool = False

    @property
    def words(self) -> list[str]:
        """Return what tells its page tokens from those of another query."""
        return ["models", self.containing, "latest" if self.latest_first else "name"]

    def accepts(self, model: Model) -> bool:
        """Return whether a model is listed."""
        return self.containing in model.name.lower() or self.containing in model.description.lower()

    def is_behind(self, model: Model, place: Place) -> bool:
        """Return whether a model comes after a place."""
        return place_of(model) < place if self.latest_first else model.name > place[1]


EVERY_MODEL = ModelQuery()


def place_of(model: Model) -> Place:
    """Return the position after a model."""
    return model.update_time, model.name


def cursor_of(model: Model) -> list[int | str]:
    """Return the same for a page token."""
    return [(model.update_time - _EPOCH) // _MICROSECOND, model.name]


def place_at(cursor: Sequence[int | str]) -> Place:
    """Return the place in a token, whatever it says.

    >>> place_at([1_000_000, "digits"])[0].isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return _EPOCH + _MICROSECOND * min(int(cursor[0]), _LAST), str(cursor[1])
