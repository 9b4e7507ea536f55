"""Whether what was scored offline is what the version answers online: a sample, row by row. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace_scorer.decisions.comparisons import Pair, Parity
from headrace_scorer.decisions.publish_specs import Tolerance

MAX_WORST = 10


def compare(
    entities: Sequence[str],
    scored: Mapping[str, ArrayLike],
    online: Mapping[str, ArrayLike],
    tolerance: Tolerance | None = None,
) -> Parity:
    """Compare outputs row by row. scored, online: by output, one row per entity.

    An output that only one side has, or whose rows have another shape, differs in every row.
    """
    allowed, rows = tolerance or Tolerance(), len(entities)
    differing, pairs = np.zeros(rows, bool), list[Pair]()
    for output in sorted(scored.keys() | online.keys()):
        if rows == 0:
            break
        one, other = _rows(scored.get(output), rows), _rows(online.get(output), rows)
        if one is None or other is None or one.shape != other.shape:
            differing[:] = True
            pairs.append(Pair(entities[0], output, 0, _shape(one), _shape(other), np.inf))
            continue
        excess = _excess(one, other, allowed)
        differing |= (excess > 1).any(axis=1)
        pairs += _worst(entities, output, one, other, excess)
    pairs.sort(key=lambda pair: -pair.excess)
    return Parity(rows, int(differing.sum()), tuple(pairs[:MAX_WORST]))


def merged(parts: Sequence[Parity]) -> Parity:
    """Return what several comparisons found together."""
    worst = sorted((pair for part in parts for pair in part.worst), key=lambda pair: -pair.excess)
    rows, differing = sum(part.rows for part in parts), sum(part.differing for part in parts)
    return Parity(rows, differing, tuple(worst[:MAX_WORST]))


def _rows(values: ArrayLike | None, rows: int) -> NDArray[Any] | None:
    """Return values as rows of elements; None where there is not one row per entity."""
    if values is None:
        return None
    array = np.asarray(values)
    return array.reshape(rows, -1) if array.ndim and array.shape[0] == rows else None


def _excess(one: NDArray[Any], other: NDArray[Any], tolerance: Tolerance) -> NDArray[np.float64]:
    """Return how often each difference holds its tolerance; at most 1 is no difference."""
    if one.dtype.kind != "f" or other.dtype.kind != "f":
        same = np.asarray(one == other, bool).reshape(one.shape)
        return np.where(same, 0.0, np.inf)
    a, b = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        allowed = np.maximum(tolerance.absolute, tolerance.relative * np.maximum(np.abs(a), np.abs(b)))
        distance = np.abs(a - b)
        excess = np.where(distance == 0, 0.0, distance / allowed)
    finite = np.isfinite(a) & np.isfinite(b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(finite, excess, np.where(same, 0.0, np.inf))


def _worst(
    entities: Sequence[str], output: str, one: NDArray[Any], other: NDArray[Any], excess: NDArray[np.float64]
) -> Iterator[Pair]:
    """Yield the pairs that differ most, one of each row."""
    at = excess.argmax(axis=1) if excess.shape[1] else np.zeros(len(excess), int)
    most = excess[np.arange(len(excess)), at] if excess.shape[1] else np.zeros(len(excess))
    for ranked in np.argsort(-most, kind="stable")[:MAX_WORST]:
        row = int(ranked)
        if most[row] > 1:
            scored, online = _shown(one[row, at[row]]), _shown(other[row, at[row]])
            yield Pair(entities[row], output, int(at[row]), scored, online, float(most[row]))


def _shown(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _shape(array: NDArray[Any] | None) -> str:
    return "nothing" if array is None else f"{array.shape[1]} elements"
