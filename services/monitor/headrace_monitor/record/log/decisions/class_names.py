"""Class labels by name or index, as the log's `prediction_label` has them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Classes:
    """names: of the contract, in the order of the scores; empty where classes have none."""

    names: tuple[str, ...] = ()

    def word(self, reported: float | str) -> str:
        """Return a reported label as `prediction_label` would have it; one that is no class stays as it was reported.

        >>> Classes(("cat", "dog")).word(1.0), Classes(("cat", "dog")).word("cat"), Classes().word(3.0)
        ('dog', 'cat', '3')
        """
        if isinstance(reported, str):
            if reported in self.names or not reported.isascii() or not reported.isdecimal():
                return reported
            return self._named(int(reported[:9]), reported)
        return self._named(int(reported), str(int(reported))) if reported == int(reported) else repr(reported)

    @property
    def yes(self) -> str:
        """Return the second class: the one whose score is `prediction_score` where there are two."""
        return self.word(1.0)

    def place(self, word: str, classes: int) -> int:
        """Return the index of a label's score among those of `classes` classes; -1 for a label that is no class.

        >>> Classes(("cat", "dog")).place("dog", 3), Classes(("cat", "dog")).place("2", 3), Classes().place("3", 3)
        (1, 2, -1)
        """
        if word in self.names:
            return self.names.index(word)
        # Classes beyond those that have names are called by their index.
        index = int(word[:9]) if word.isascii() and word.isdecimal() else -1
        return index if len(self.names) <= index < classes else -1

    def _named(self, index: int, otherwise: str) -> str:
        return self.names[index] if 0 <= index < len(self.names) else otherwise


def quantity(reported: float | str) -> float | None:
    """Return a reported label as a number; None for what is none."""
    try:
        return float(reported)
    except ValueError:
        return None
