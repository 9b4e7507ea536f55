"""Compare answers with those that shadows gave to the same requests: label by label, number by number. Pure.

What is the label and what the number of a row, the contract says (`log/predicted.py`). Where it says neither, the
numbers of the output that is the prediction are compared one by one, and a row differs as much as its furthest one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
from headrace.telemetry.v1 import telemetry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_statistics.proportions import Proportion

from headrace_monitor.judge.shadow.decisions.comparisons import (
    SAMPLE,
    Comparison,
    SampledRow,
    SliceCounts,
    WorstRow,
    bucketed,
    merged,
    most_frequent,
    worst_of,
)
from headrace_monitor.record.log.answers import Answer, take_apart
from headrace_monitor.record.log.predicted import predicted, prediction_output
from headrace_monitor.record.log.raw_values import DATATYPES, Values, as_floats, values_of

Contract = tensor_pb2.ServingContract
Pair = telemetry_pb2.ShadowPair

_SEPARATOR = "\x1f"
_FLIP = 1e300
_TEXT_CHARS = 64
_OK = 0


class Side(NamedTuple):
    """What one side predicted, by row. label, value: None where there are none. nan: rows with one."""

    label: np.ndarray | None
    value: np.ndarray | None
    nan: np.ndarray


def compare(pairs: Sequence[Pair], contract: Contract, shadow_contract: Contract) -> Comparison:
    """Return what pairs of one version and one shadow amount to."""
    answered = [pair for pair in pairs if pair.shadow_code == _OK]
    errors: dict[int, int] = {}
    for pair in pairs:
        if pair.shadow_code != _OK:
            errors[pair.shadow_code] = errors.get(pair.shadow_code, 0) + 1
    groups: dict[tuple[object, object], list[tuple[Pair, Answer, Answer]]] = {}
    unlike = 0
    both = zip(
        answered,
        take_apart([pair.outputs for pair in answered]),
        take_apart([pair.shadow_outputs for pair in answered]),
        strict=True,
    )
    for pair, mine, other in both:
        if mine.rows < 1 or mine.rows != other.rows:
            unlike += 1
        else:
            groups.setdefault((mine.layout, other.layout), []).append((pair, mine, other))
    took, shadow_took = (
        bucketed(np.array([getattr(pair, name) for pair in answered if getattr(pair, name) > 0]) / 1e6)
        for name in ("took_us", "shadow_took_us")
    )
    whole = Comparison(pairs=len(answered), errors=errors, unlike=unlike, took=took, shadow_took=shadow_took)
    return merged([whole, *(_of_group(group, contract, shadow_contract) for group in groups.values())])


def _of_group(group: Sequence[tuple[Pair, Answer, Answer]], contract: Contract, other: Contract) -> Comparison:
    pairs = [pair for pair, _, _ in group]
    mine = _side([answer for _, answer, _ in group], contract)
    theirs = _side([answer for _, _, answer in group], other)
    if mine is None or theirs is None:
        return Comparison(unlike=len(group))
    counts = np.array([answer.rows for _, answer, _ in group])
    owner = np.repeat(np.arange(len(group)), counts)
    place = np.concatenate([np.arange(count) for count in counts.tolist()])
    labelled, flipped = _flips(mine, theirs)
    size, difference, relative = _differences(mine, theirs, len(owner))
    known = ~np.isnan(difference)
    ranked = np.where(flipped, _FLIP, np.where(known, difference, 0.0))
    return Comparison(
        rows=len(owner),
        flips=Proportion(int(flipped.sum()), int(labelled.sum())),
        nan=int((theirs.nan & ~mine.nan).sum()),
        same=int((difference == 0).sum()),
        differences=bucketed(difference[known & (difference > 0)]),
        relative=bucketed(relative[known & (difference > 0)]),
        largest=size,
        slices=_slices(pairs, owner, labelled, flipped),
        sample=_sample(pairs, owner, place, mine, theirs),
        worst=_worst(pairs, owner, place, mine, theirs, ranked),
        flips_squared=int((np.bincount(owner, weights=flipped) ** 2).sum()),
    )


def _side(answers: Sequence[Answer], contract: Contract) -> Side | None:
    rows = np.array([answer.rows for answer in answers], dtype=np.int64)
    outputs: dict[str, Values] = {}
    for position, output in enumerate(answers[0].layout):
        if output.datatype in DATATYPES:
            raw = [answer.raw[position] for answer in answers]
            values = values_of(output.datatype, raw, rows, math.prod(output.shape))
            if values is not None:
                outputs[output.name] = values
    if not outputs:
        return None
    nan = np.zeros(int(rows.sum()), dtype=bool)
    for values in outputs.values():
        if values.array.dtype.kind == "f" and values.array.shape[1]:
            nan |= np.isnan(values.array).any(axis=1)
    found = predicted(contract, outputs)
    if found is None:
        # The contract of an unregistered version does not say which output is the prediction: take the first.
        array = outputs.get(prediction_output(contract) or answers[0].layout[0].name)
        if array is None or array.is_text or not array.array.shape[1]:
            return None
        return Side(None, as_floats(array.array, np.float64), nan)
    label = None if found.label is None else np.where(found.known, found.label, np.array(None, dtype=object))
    value = found.score if found.score is not None else found.value
    return Side(label, None if value is None else value[:, None], nan)


def _flips(mine: Side, theirs: Side) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows have labels on both sides, and which of them differ."""
    if mine.label is None or theirs.label is None:
        nothing = np.zeros(len(mine.nan), dtype=bool)
        return nothing, nothing
    labelled = np.array([a is not None and b is not None for a, b in zip(mine.label, theirs.label, strict=True)])
    return labelled, labelled & (mine.label != theirs.label)


def _differences(mine: Side, theirs: Side, rows: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the largest difference, that of each row, and its share of the larger number; nan where there is none."""
    if mine.value is None or theirs.value is None or mine.value.shape != theirs.value.shape:
        nothing = np.full(rows, np.nan)
        return 0.0, nothing, nothing
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(mine.value == theirs.value, 0.0, np.abs(mine.value - theirs.value))
        scale = np.maximum(np.abs(mine.value), np.abs(theirs.value))
        share = np.where(apart == 0, 0.0, apart / np.where(scale == 0, 1.0, scale))
    apart = np.where(np.isfinite(apart), apart, np.nan).max(axis=1)
    finite = apart[~np.isnan(apart)]
    return float(finite.max()) if finite.size else 0.0, apart, np.where(np.isfinite(share), share, np.nan).max(axis=1)


def _slices(
    pairs: Sequence[Pair], owner: np.ndarray, labelled: np.ndarray, flipped: np.ndarray
) -> Mapping[str, SliceCounts]:
    rows = np.bincount(owner, weights=labelled, minlength=len(pairs)).astype(int)
    flips = np.bincount(owner, weights=flipped, minlength=len(pairs)).astype(int)
    found: dict[str, SliceCounts] = {}
    for pair, of, count in zip(pairs, rows.tolist(), flips.tolist(), strict=True):
        for name in pair.attributes.split(_SEPARATOR) if pair.attributes else ():
            found[name] = found.get(name, SliceCounts()).plus(SliceCounts(of, count, count**2))
    return most_frequent(found)


def _sample(
    pairs: Sequence[Pair], owner: np.ndarray, place: np.ndarray, mine: Side, theirs: Side
) -> tuple[SampledRow, ...]:
    if mine.value is None or theirs.value is None or mine.value.shape[1] != 1 or theirs.value.shape[1] != 1:
        return ()
    rows = []
    values = zip(owner.tolist(), place.tolist(), mine.value[:, 0].tolist(), theirs.value[:, 0].tolist(), strict=True)
    for at, row, value, shadow_value in values:
        if math.isfinite(value) and math.isfinite(shadow_value):
            point = crc32(f"{pairs[at].prediction_id}/{row}".encode())
            rows.append(SampledRow(point, value, shadow_value))
    return tuple(sorted(rows)[:SAMPLE])


def _worst(
    pairs: Sequence[Pair], owner: np.ndarray, place: np.ndarray, mine: Side, theirs: Side, ranked: np.ndarray
) -> tuple[WorstRow, ...]:
    most = np.argsort(-ranked, kind="stable")[:50]
    return worst_of(
        WorstRow(
            float(ranked[at]),
            pairs[int(owner[at])].prediction_id,
            int(place[at]),
            _shown(mine, int(at)),
            _shown(theirs, int(at)),
        )
        for at in most
        if ranked[at] > 0
    )


def _shown(side: Side, row: int) -> str:
    parts = []
    if side.label is not None and side.label[row] is not None:
        parts.append(str(side.label[row])[:_TEXT_CHARS])
    if side.value is not None:
        parts.append(" ".join(f"{value:.6g}" for value in side.value[row][:4].tolist()))
    return ": ".join(parts)
