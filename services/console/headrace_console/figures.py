"""Numbers as people read them: in tables, sentences and charts alike."""

from __future__ import annotations

import math


def number(value: float | None, digits: int = 4) -> str:
    """Return a number without the noise of its last digits; a dash for none.

    >>> number(12345), number(12345.6), number(0.123456), number(float("nan")), number(None)
    ('12,345', '12,346', '0.1235', '–', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    short = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in short else short


def percent(share: float | None, digits: int = 3) -> str:
    """Return a share of one as a percentage.

    >>> percent(0.25), percent(0.00012), percent(1.0, 2), percent(12.5), percent(None)
    ('25 %', '0.012 %', '100 %', '1,250 %', '–')
    """
    return "–" if share is None else f"{number(100 * share, digits)} %".replace("– %", "–")


def explained(share: float) -> str:
    """Return how much of a change a slice explains: nothing can be said where others moved the other way.

    >>> explained(0.71), explained(3.2), explained(-263.3), explained(float("nan"))
    ('71 %', 'all', '–', '–')
    """
    if not math.isfinite(share) or share < 0:
        return "–"
    return "all" if share >= 1 else percent(share, 2)
