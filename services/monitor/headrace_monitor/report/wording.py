"""What people who know the product, and no statistics, read on the page."""

from __future__ import annotations

import math

_TESTS = {
    "psi": "how its values are spread (PSI)",
    "ks": "how its values are spread (KS)",
    "chi_square": "how often each value comes (chi-square)",
    "exact_shares": "how often each value comes (exact)",
    "new_categories": "values that the reference does not have",
    "vanished_categories": "values that no longer come",
    "embedding": "where its vectors lie",
    "spike": "how often it differs from its usual value",
    "rest_psi": "how its unusual values are spread (PSI)",
    "rest_ks": "how its unusual values are spread (KS)",
    "missing": "how often it is missing",
    "not_finite": "how often it is no finite number",
    "out_of_range": "how often it is outside of what the contract declares",
    "beyond_reference": "how often it is beyond every value of the reference",
    "type": "how often it is of another type",
    "constant": "whether it still varies",
}


def compared(test: str) -> str:
    """Return what a test looks at."""
    return _TESTS.get(test, test.replace("_", " "))


def explained(share: float) -> str:
    """Return how much of a change a slice explains: nothing that can be said where the parts add up to more than the
    whole, or to less than nothing, because others moved the other way.
    """
    if not math.isfinite(share) or share < 0:
        return "–"
    return "all of it" if share >= 1 else f"{share:.0%}"


def number(value: float | None) -> str:
    """Return a number in four digits, without an exponent while there are at most nine."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.4g}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.2g}"


def times_tolerance(ratio: float) -> str:
    """Return an effect in tolerances."""
    return f"{ratio:.1f}×" if ratio < 9.95 else f"{ratio:,.0f}×"


def per_hundred(share: float) -> str:
    """Return a small share so that it is no zero where there is something.

    >>> per_hundred(0.0016), per_hundred(0.0), per_hundred(0.00001)
    ('0.16%', '0%', 'less than 0.01%')
    """
    if not share:
        return "0%"
    return "less than 0.01%" if share < 1e-4 else f"{share:.2%}"
