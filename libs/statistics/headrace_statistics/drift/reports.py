"""The result of one test of one column: it drifted, it did not, or the test is inconclusive."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace_statistics.inconclusive import Inconclusive
from headrace_statistics.severity import Severity


class Kind(enum.Enum):
    """What has changed."""

    DATA = "data"  # what comes in
    PREDICTION = "prediction"  # what goes out
    QUALITY = "quality"  # whether what comes in is what was agreed


class Test(enum.Enum):
    """The test."""

    __test__ = False  # no test of pytest's

    PSI = "psi"
    KS = "ks"
    CHI_SQUARE = "chi_square"
    EXACT_SHARES = "exact_shares"
    NEW_CATEGORIES = "new_categories"
    VANISHED_CATEGORIES = "vanished_categories"
    EMBEDDING = "embedding"
    SPIKE = "spike"  # the share of the rows that have another value than nearly all
    REST_PSI = "rest_psi"  # of those rows
    REST_KS = "rest_ks"
    MISSING = "missing"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    BEYOND_REFERENCE = "beyond_reference"  # within what is declared, below or above every value of the reference
    TYPE = "type"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One test of one column.

    effect, tolerance: in the test's unit (PSI, distance of distribution functions, difference of shares, spreads). p:
    of a change no larger than the tolerance; adjusted_p: for everything else that was tested in the same evaluation;
    `alarm` is decided by it. All of them are None where `inconclusive` says why. examples: names that show it, such as
    new categories.
    """

    column: str
    kind: Kind
    test: Test
    n_reference: int
    n_window: int
    tolerance: float
    statistic: float | None = None
    effect: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    alarm: bool = False
    severity: Severity = Severity.NONE
    inconclusive: Inconclusive | None = None
    examples: tuple[str, ...] = ()
    # How many rows of the window say as much as one: n_window is what they are worth.
    design_effect: float = 1.0
    # Other measures of the same change, for those who know these: no test.
    effect_sizes: Mapping[str, float] = field(default_factory=dict)
