"""Which smaller forms of versions could take the place of what executed in a pool, and what is left then. Pure.

A form is a version that the optimiser made of another one, measured beside it and registered because it kept its
budgets; no other source is believed on how fast a version is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

# Forms whose speed differs by less are as fast as one another, to the optimiser too.
WORTH_SPEEDUP = 1.05


class Form(NamedTuple):
    """A version that was made of another one. speedup: how many times as fast as that it was measured."""

    model: str
    version: str
    original: str
    made_by: str
    speedup: float
    on_cpu: bool


class UsedVersion(NamedTuple):
    """For how long a version executed in a pool."""

    pool: str
    model: str
    version: str
    compute_s: float


class SmallerForm(NamedTuple):
    """A form in the place of what executed."""

    used: UsedVersion
    form: Form

    @property
    def spared_s(self) -> float:
        """Return how much less would have executed."""
        return self.used.compute_s * (1.0 - 1.0 / self.form.speedup)


def smaller_forms(used: Iterable[UsedVersion], forms: Iterable[Form]) -> list[SmallerForm]:
    """Return the fastest form of each version that executed, what spares the most first."""
    fastest: dict[tuple[str, str], Form] = {}
    for form in sorted(forms, key=lambda one: (one.speedup, one.version)):
        if form.speedup >= WORTH_SPEEDUP:
            fastest[form.model, form.original] = form
    found = [SmallerForm(one, fastest[one.model, one.version]) for one in used if (one.model, one.version) in fastest]
    return sorted((one for one in found if one.spared_s > 0), key=lambda one: (-one.spared_s, one.used))


def share_left(executed_s: float, forms: Sequence[SmallerForm]) -> float:
    """Return which share of what executed in a pool is left with these forms. executed_s: of all its versions."""
    spared_s = sum(one.spared_s for one in forms)
    return max(0.0, 1.0 - spared_s / executed_s) if executed_s > 0 else 1.0
