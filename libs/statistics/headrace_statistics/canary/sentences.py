"""Sentences of verdicts, for people who are woken by them."""

from __future__ import annotations

import math

from headrace_statistics.canary.evidence import Evidence


def share(value: float) -> str:
    """Return a share in percent, with as many digits as it needs.

    >>> share(0.0512), share(0.00001), share(1.0)
    ('5.1 %', '0.001 %', '100 %')
    """
    return f"{100 * value:.2g} %" if value < 0.0995 else f"{100 * value:.0f} %"


def duration(seconds: float) -> str:
    """Return a duration in the unit that people would use.

    >>> duration(42.4), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def of_rise(one: Evidence, expected: float, *, alone: bool) -> str:
    """Return why a canary is worse."""
    what = "units" if one.in_units else "requests"
    has = f"{one.metric}: {one.bad:,} of {one.requests:,} canary {what} ({share(one.rate)})"
    if one.baseline_requests:
        has += f", baseline {one.baseline_bad:,} of {one.baseline_requests:,} ({share(one.baseline_rate)})"
    if alone or not math.isfinite(one.ratio_low):
        return has
    ratio = "" if math.isinf(one.ratio) else f"{one.ratio:.1f} times the baseline's rate, "
    return f"{has}; equal versions would have {expected:.1f}; {ratio}at least {one.ratio_low:.1f} times"


def of_no_data(unheard_s: float, timeout_s: float) -> str:
    """Return why nothing can be said."""
    if unheard_s >= timeout_s:
        return f"no complete counts for {duration(unheard_s)}: a variant without evidence gets no traffic"
    return f"no complete counts for {duration(unheard_s)}; rolled back after {duration(timeout_s)}"
