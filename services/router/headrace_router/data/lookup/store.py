"""What the look-up needs of the store that data planes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Values = Sequence[bytes | None]
Told = Callable[[Values | None], object]


class Store(Protocol):
    """Stored answers outside this process. Nothing here waits or raises."""

    def get(self, keys: tuple[bytes, ...], told: Told, *, patient: bool = False) -> None:
        """Call `told` with the value of each key, within a few milliseconds; with None when the store does not answer.

        It may be called before `get` returns. patient: whether to wait longer, until the store counts as gone, because
        nobody else can answer.
        """
        ...

    def put(self, key: bytes, value: bytes, keep_ms: int) -> None:
        """Keep a value for so long, if the store can."""
        ...

    def now_ms(self) -> float:
        """Return the Unix time of the clock by which ages are told, in milliseconds."""
        ...
