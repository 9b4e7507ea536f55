"""Alarms of a drift evaluation in sentences, for those who are called because of them. Pure."""

from __future__ import annotations

from headrace_statistics.drift.reports import DriftReport, Test

# Display name of each distance, whose value is in the unit of its test.
_DISTANCES = {
    Test.PSI: "PSI of {column}",
    Test.KS: "KS distance of {column}",
    Test.CHI_SQUARE: "change of the categories of {column}, as w squared,",
    Test.EMBEDDING: "shift of the embeddings of {column}, in spreads of the reference,",
    Test.REST_PSI: "PSI of {column} where it is {examples}",
    Test.REST_KS: "KS distance of {column} where it is {examples}",
}
# What is wrong with a share of the rows.
_SHARES = {
    Test.MISSING: "{column} is missing",
    Test.NOT_FINITE: "{column} is not finite",
    Test.OUT_OF_RANGE: "{column} is out of its declared range",
    Test.BEYOND_REFERENCE: "{column} is beyond every value of the reference",
    Test.TYPE: "{column} is not of its type",
    Test.NEW_CATEGORIES: "{column} is not one of the reference's categories",
}


def sentence_of(alarm: DriftReport) -> str:
    """Return what has changed, by how much, and how much of that is tolerated.

    >>> from headrace_statistics.drift.reports import Kind
    >>> sentence_of(DriftReport("age", Kind.DATA, Test.PSI, 900, 800, 0.05, effect=0.312))
    'PSI of age is 0.312, and 0.05 is tolerated'
    >>> sentence_of(DriftReport("age", Kind.QUALITY, Test.MISSING, 900, 800, 0.01, statistic=0.34, effect=0.31))
    'age is missing in 34% of the rows, 31 percentage points more than in the reference, and 1 is tolerated'
    >>> sentence_of(DriftReport("pixel", Kind.QUALITY, Test.CONSTANT, 900, 800, 0.0, effect=1.0, examples=("0",)))
    'pixel is 0 in every row, and varies in the reference'
    """
    column, examples, effect = alarm.column, ", ".join(alarm.examples), abs(alarm.effect or 0.0)
    now = effect if alarm.statistic is None else alarm.statistic
    tolerance = alarm.tolerance * (1 if alarm.test in _DISTANCES else 100)
    tolerated = f", and {tolerance:.3g} is tolerated" if tolerance else ""
    points = f"{effect * 100:.3g} percentage points"
    if alarm.test is Test.CONSTANT:
        return f"{column} is {examples} in every row, and varies in the reference"
    if alarm.test is Test.SPIKE:
        before = now - (alarm.effect or 0.0)
        return f"{column} is {examples} in {_percent(now)} of the rows, and in {_percent(before)} of the reference's"
    if alarm.test is Test.VANISHED_CATEGORIES:
        gone, first = " or ".join(alarm.examples), alarm.examples[0]
        return f"{column} is never {gone} any more; {_percent(effect)} of the reference is {first}"
    if alarm.test is Test.EXACT_SHARES:
        return f"the share of a category of {column} has changed by {points}{tolerated}"
    if alarm.test in _SHARES:
        what, named = _SHARES[alarm.test].format(column=column), f" ({examples})" if examples else ""
        return f"{what} in {_percent(now)} of the rows{named}, {points} more than in the reference{tolerated}"
    what = _DISTANCES[alarm.test].format(column=column, examples=examples)
    return f"{what} is {effect:.3g}{tolerated}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"
