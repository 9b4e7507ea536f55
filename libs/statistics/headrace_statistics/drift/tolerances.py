"""What is tolerated."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Changes that are no alarm however many rows show them.

    psi and categories (w squared): .05 is a shift of .23 standard deviations. ks: .05 is one of .125. embedding: shift
    in spreads. share: rise of missing, new, odd or out-of-range values.
    """

    psi: float = 0.05
    ks: float = 0.05
    categories: float = 0.05
    category_share: float = 0.02
    embedding: float = 0.1
    share: float = 0.01
