"""How bad a change is: read off its size, never off a p-value, which any change reaches with enough rows."""

import enum
from dataclasses import dataclass


class Severity(enum.IntEnum):
    """Ordered, so that the worst of several is their maximum."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of effect from which a change that was found is MEDIUM and HIGH. Below, it is LOW."""

    medium: float
    high: float

    def severity(self, effect: float, *, alarm: bool) -> Severity:
        """Without an alarm nothing was found, so there is nothing to grade."""
        if not alarm:
            return Severity.NONE
        if effect >= self.high:
            return Severity.HIGH
        return Severity.MEDIUM if effect >= self.medium else Severity.LOW


# PSI: the customary .1 and .25; for a shift of a normal they are .32 and .5 standard deviations.
PSI_SCALE = Scale(medium=0.1, high=0.25)
# Largest difference of two distribution functions: the same two shifts.
KS_SCALE = Scale(medium=0.125, high=0.2)
# Difference of two shares: missing values, new categories, errors.
PROPORTION_SCALE = Scale(medium=0.05, high=0.2)
