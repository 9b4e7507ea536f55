"""Inconclusive results, as values: a caller shows them, and never takes them for "nothing found"."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotEnoughData:
    """Fewer observations than the answer needs."""

    have: int
    need: int

    def __str__(self) -> str:
        return f"too few: {self.have}, at least {self.need} are needed"


@dataclass(frozen=True, slots=True)
class Constant:
    """The reference has a single value, so that shares, spreads and ranks mean nothing."""

    value: float

    def __str__(self) -> str:
        return f"constant: every value of the reference is {self.value:g}"


@dataclass(frozen=True, slots=True)
class NotFinite:
    """The answer, or what it is made of, is not a finite number."""

    count: int
    of: int

    def __str__(self) -> str:
        return f"not finite: {self.count} of {self.of}"


@dataclass(frozen=True, slots=True)
class OneClass:
    """Ranking needs positives and negatives; here there is only one of them."""

    positives: int
    negatives: int

    def __str__(self) -> str:
        return f"one class: {self.positives} positives, {self.negatives} negatives"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The values cannot be read as what the column is."""

    why: str

    def __str__(self) -> str:
        return self.why


Inconclusive = NotEnoughData | Constant | NotFinite | OneClass | Unreadable
