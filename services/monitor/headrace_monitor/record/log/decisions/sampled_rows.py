"""Sampling probabilities of log rows, and thinning rows to one probability.

Data planes halve the probability of a unit's being recorded while their budget is used up (decision 0136), each by
itself and for a while. As long as it is the same for all rows of a time, these are like the traffic; where it differs,
they are not: what came while there was much is rarer among them than it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

PROBABILITY = "probability"
# 2^-32 is further than any budget needs.
MOST_HALVINGS = 32
# Rows whose probability is less than all others', and that are too few to thin all others to it.
FEW_ROWS = 50


def halvings_of(table: pa.Table) -> NDArray[np.int64]:
    """Return how often each row's probability was halved; 0 where it is unknown."""
    import pyarrow as pa  # the service starts without it

    if PROBABILITY not in table.schema.names:
        return np.zeros(table.num_rows, dtype=np.int64)
    probability = table.column(PROBABILITY).cast(pa.float64()).to_numpy()
    usable = np.where((probability > 0) & (probability <= 1), probability, 1.0)
    return np.clip(np.rint(-np.log2(usable)), 0, MOST_HALVINGS).astype(np.int64)


def most_halvings(rows: Mapping[int, int]) -> int:
    """Return the halvings up to which rows are weighed; those halved more often count as if halved so often. rows: how
    many there are, by halvings.

    To count all traffic alike, every row is thinned to the rarest probability. Were that of a single row of a million,
    it would leave two: fewer than FEW_ROWS say too little to be worth that. What they stand for beyond is not counted;
    that is the bias, and its size is as uncertain as so few rows are (Kish 1965; winsorised weights).

    >>> most_halvings({0: 1_000_000, 20: 1}), most_halvings({0: 1_000, 3: 500, 20: 1}), most_halvings({4: 10})
    (0, 3, 4)
    """
    seen = 0
    for halvings in sorted(rows, reverse=True):
        seen += rows[halvings]
        if seen >= FEW_ROWS:
            return halvings
    # So few altogether: those that stand for most of them.
    return max(rows, key=lambda halvings: (rows[halvings], -halvings), default=0)


def kept_evenly(halvings: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows to keep so that each is there with one probability, the least that is weighed: others by
    chance.
    """
    if halvings.size == 0 or halvings.min() == halvings.max():
        return np.ones(halvings.size, dtype=bool)
    values, rows = np.unique(halvings, return_counts=True)
    most = most_halvings(dict(zip(values.tolist(), rows.tolist(), strict=True)))
    return rng.random(halvings.size) < 2.0 ** (halvings.astype(np.float64) - most)


def evenly_sampled(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Return a sample of a table in which every row has the same inclusion probability."""
    import pyarrow as pa

    sampled = kept_evenly(halvings_of(table), rng)
    return table if sampled.all() else table.filter(pa.array(sampled))
