"""Arrays inside frozen values: read-only, so that nothing that was summarised or frozen changes afterwards."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def counts(values: ArrayLike) -> Counts:
    """Return a read-only copy as int64."""
    array = np.array(values, dtype=np.int64)
    array.setflags(write=False)
    return array


def floats(values: ArrayLike) -> Floats:
    """Return a read-only copy as float64."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def finite(values: ArrayLike) -> Floats:
    """Return the finite values in one dimension, as float64. What has no number is dropped; the caller counts it."""
    array = np.asarray(values, dtype=np.float64).ravel()
    keep = np.isfinite(array)
    return array if bool(keep.all()) else array[keep]
