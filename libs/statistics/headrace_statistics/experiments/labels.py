"""Exact evidence for rare events: given that a unit has one, in which variant is it?

Units are assigned by chance, so while the variants do not differ each unit with an event is the variant's with the
probability of its share, whatever the base rate. Late events change nothing: which of the units have theirs already
does not depend on the variant either. A variant that only brings them sooner differs, and is found, until the other's
have come. A Beta mixture around that share bets on any other (Robbins 1970). No approximation is made at any number of
events. Where events are corrected away, looks are not at one growing set: p is exact at each, not at all together.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats

# A twentieth of the bet is on effects as large as a half: a halved rate is found about as soon as by a bet on that
# alone, and the effect that is asked for needs 1 % more units.
_LARGE, _ON_LARGE = 0.5, 0.05


def log_evidence(
    variant_events: ArrayLike, control_events: ArrayLike, share: ArrayLike, relative_effect: float
) -> Floats:
    """Return the log of the evidence that the rates differ.

    share: the variant's share of the units of the two, while these events' units were assigned; another share is
    another phase, and evidence of phases is added. relative_effect: the size of effect that most of the bet is
    on, .1 for a tenth more or less.

    >>> float(log_evidence(60, 30, 0.5, 0.5).round(2))
    3.39
    """
    variant, control, w = (np.asarray(each, dtype=np.float64) for each in (variant_events, control_events, share))
    asked, large = (_gained(variant, control, w, size) for size in (relative_effect, _LARGE))
    return np.logaddexp(asked + np.log1p(-_ON_LARGE), large + np.log(_ON_LARGE))


def _gained(variant: Floats, control: Floats, w: Floats, relative_effect: float) -> Floats:
    inside = (w > 0) & (w < 1)
    w = np.where(inside, w, 0.5)
    # The prior's standard deviation is that of the share among events at this effect, w(1 - w) times it.
    weight = 1 / (w * (1 - w) * relative_effect**2)
    a, b = weight * w, weight * (1 - w)
    gain = scipy.special.betaln(a + variant, b + control) - scipy.special.betaln(a, b)
    return np.where(inside, gain - variant * np.log(w) - control * np.log1p(-w), 0.0)
