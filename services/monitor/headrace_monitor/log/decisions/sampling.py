"""Sampling probabilities of log rows, and thinning rows to one probability.

Data planes halve the probability of a unit's being recorded while their budget is used up (decision 0136), each by
itself and for a while. As long as it is the same for all rows of a time, these are like the traffic; where it differs,
they are not: what came while there was much is rarer among them than it was. Imported where Arrow is at hand.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

PROBABILITY = "probability"
# 2^-32 is further than any budget needs.
MOST_HALVINGS = 32


def halvings_of(table: pa.Table) -> NDArray[np.int64]:
    """Return how often each row's probability was halved; 0 where it is unknown."""
    if PROBABILITY not in table.schema.names:
        return np.zeros(table.num_rows, dtype=np.int64)
    probability = table.column(PROBABILITY).cast(pa.float64()).to_numpy()
    usable = np.where((probability > 0) & (probability <= 1), probability, 1.0)
    return np.clip(np.rint(-np.log2(usable)), 0, MOST_HALVINGS).astype(np.int64)


def kept_evenly(halvings: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows to keep so that each is there with one probability, the least among them: others by chance."""
    if halvings.size == 0 or halvings.min() == halvings.max():
        return np.ones(halvings.size, dtype=bool)
    return rng.random(halvings.size) < 2.0 ** (halvings.astype(np.float64) - halvings.max())


def evenly_sampled(table: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Return rows of a table that are there with one probability."""
    kept = kept_evenly(halvings_of(table), rng)
    return table if kept.all() else table.filter(pa.array(kept))
