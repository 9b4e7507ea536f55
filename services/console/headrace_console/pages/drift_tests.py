"""What the tests of drift look at, for people who know the product, and no statistics. Pure."""

from __future__ import annotations

_LOOKS_AT = {
    "psi": "how values are spread (PSI)",
    "ks": "how values are spread (KS)",
    "chi_square": "how often each value comes (chi-square)",
    "exact_shares": "how often each value comes (exact)",
    "new_categories": "values that the reference has not",
    "vanished_categories": "values that come no more",
    "embedding": "where vectors lie",
    "spike": "how often it is not its usual value",
    "rest_psi": "how unusual values are spread (PSI)",
    "rest_ks": "how unusual values are spread (KS)",
    "missing": "how often it is missing",
    "not_finite": "how often it is no finite number",
    "out_of_range": "how often the contract is left",
    "beyond_reference": "how often the reference is left",
    "type": "how often it is of another type",
    "constant": "whether it varies",
    "error_rate": "how often the answer is wrong",
}


def looks_at(test: str) -> str:
    """Return what a test looks at.

    >>> looks_at("psi"), looks_at("some_new_test")
    ('how values are spread (PSI)', 'some new test')
    """
    return _LOOKS_AT.get(test, test.replace("_", " "))
