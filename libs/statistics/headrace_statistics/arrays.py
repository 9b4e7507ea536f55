"""Arrays inside frozen values: read-only, so that nothing that was summarised or frozen changes afterwards."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Codes = NDArray[np.uint8]


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


def codes(values: ArrayLike) -> Codes:
    """Return a read-only copy as bytes."""
    array = np.array(values, dtype=np.uint8)
    array.setflags(write=False)
    return array


def thinned(values: ArrayLike, share: float) -> Counts:
    """Return counts times a share, as whole numbers whose running sums are right to half a row.

    So rounding loses neither their total nor what many small ones are together.

    >>> thinned([1, 1, 1, 1, 4, 0], 0.5).tolist()
    [0, 1, 1, 0, 2, 0]
    """
    return counts(np.diff(np.rint(np.cumsum(np.asarray(values)) * share), prepend=0))


def finite(values: ArrayLike) -> Floats:
    """Return the finite values in one dimension, as float64. What has no number is dropped; the caller counts it."""
    array = np.asarray(values, dtype=np.float64).ravel()
    keep = np.isfinite(array)
    return array if bool(keep.all()) else array[keep]
