"""What comparisons of answers find, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """Two values of one element that differ. position: of the element in its row. excess: difference over tolerance,
    infinite where no tolerance applies.
    """

    entity: str
    output: str
    position: int
    scored: str
    online: str
    excess: float


@dataclass(frozen=True, slots=True)
class Parity:
    """What a comparison found. differing: rows with any difference. worst: pairs, the largest excess first."""

    rows: int
    differing: int
    worst: tuple[Pair, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether there were rows, and all of them agree."""
        return self.rows > 0 and self.differing == 0


@dataclass(frozen=True, slots=True)
class Drifted:
    """A column of answers that has changed. effect: in the test's unit."""

    column: str
    test: str
    effect: float
    tolerance: float
    severity: str
