"""How many of a window's labels are there yet: metrics are kept by the time of the prediction, and labels come late."""

from dataclasses import dataclass

from headrace_statistics.inconclusive import Inconclusive, NotEnoughData


@dataclass(frozen=True, slots=True)
class Maturity:
    """predictions: of the window. expected: of them, those whose labels will come (all, or the declared share).
    labelled: those that have one.
    """

    predictions: int
    labelled: int
    expected_share: float = 1.0

    @property
    def fraction(self) -> float | Inconclusive:
        """labelled / expected, at most 1."""
        expected = self.predictions * self.expected_share
        if expected <= 0:
            return NotEnoughData(have=0, need=1)
        return min(self.labelled / expected, 1.0)


def is_mature(maturity: Maturity, *, needed: float = 0.9) -> bool:
    """May the window be compared with others? An immature one is shown, with its fraction, and raises no alarm: the
    labels that come first are seldom like the rest (defaults come late, clicks at once).
    """
    fraction = maturity.fraction
    return isinstance(fraction, float) and fraction >= needed
