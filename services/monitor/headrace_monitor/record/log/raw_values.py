"""Raw bytes of tensors, as the Open Inference Protocol carries them, into arrays. Odd bytes are nulls, never errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BYTES = "BYTES"
_LENGTH_BYTES = 4
_SPARE_BYTES = 64 * 1024

_NUMBERS = {
    "BOOL": "u1",
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    "FP16": "<f2",
    "BF16": "<u2",
    "FP32": "<f4",
    "FP64": "<f8",
}
DATATYPES = frozenset({*_NUMBERS, BYTES})


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one tensor, [rows, values of a row]; text for BYTES. unreadable: rows whose bytes are none, or None."""

    array: np.ndarray
    unreadable: np.ndarray | None = None

    @property
    def is_text(self) -> bool:
        return self.array.dtype.kind == "O"


def size_of(datatype: str) -> int | None:
    """Return the bytes of one value; None for BYTES, whose values say it themselves."""
    return None if datatype == BYTES else np.dtype(_NUMBERS[datatype]).itemsize


def values_of(datatype: str, raw: Sequence[bytes], rows: np.ndarray, width: int) -> Values | None:
    """Return the values of tensors, one below the other. rows: of each; width: values of a row.

    None when they have far fewer bytes than their shapes say: room for what is not there is not made.
    """
    sizes = np.fromiter(map(len, raw), np.int64, len(raw))
    if int(rows.sum()) * width * (size_of(datatype) or _LENGTH_BYTES) > 2 * int(sizes.sum()) + _SPARE_BYTES:
        return None
    if datatype == BYTES:
        return _texts(raw, rows, width)
    dtype = np.dtype(_NUMBERS[datatype])
    wanted = rows * (width * dtype.itemsize)
    unreadable = None
    if not np.array_equal(sizes, wanted):
        wrong = sizes != wanted
        raw = [bytes(size) if odd else one for one, size, odd in zip(raw, wanted.tolist(), wrong, strict=True)]
        unreadable = np.repeat(wrong, rows)
    array = np.frombuffer(b"".join(raw), dtype).reshape(int(rows.sum()), width)
    return Values(_as_number(datatype, array), unreadable)


def _as_number(datatype: str, array: np.ndarray) -> np.ndarray:
    if datatype == "BOOL":
        return array != 0
    if datatype == "FP16":
        return as_floats(array, np.float32)
    if datatype == "BF16":  # the upper half of an FP32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def is_float(datatype: str) -> bool:
    """Return whether values of a datatype are floating-point numbers."""
    return datatype.startswith(("FP", "BF"))


def rounded(array: np.ndarray, datatype: str) -> np.ndarray:
    """Return numbers as a tensor of that datatype has them, as float64; what is too large for it is infinite.

    >>> rounded(np.array([0.1]), "FP32").tolist()
    [0.10000000149011612]
    """
    if datatype == "FP64" or not is_float(datatype):
        return array
    with np.errstate(over="ignore"):
        narrow = as_floats(array, np.float16 if datatype == "FP16" else np.float32)
    if datatype == "BF16":  # to nearest even, as senders round; a NaN has no last place
        bits = narrow.view(np.uint32)
        upper = (bits + (0x7FFF + (bits >> 16 & 1))) & 0xFFFF0000
        narrow = np.where(np.isnan(narrow), narrow, upper.astype(np.uint32).view(np.float32))
    return narrow.astype(np.float64)


def as_floats(array: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    """Return numbers as floats; a signalling NaN is NaN, and no reason to warn."""
    with np.errstate(invalid="ignore"):
        return array.astype(dtype)


def _texts(raw: Sequence[bytes], rows: np.ndarray, width: int) -> Values:
    counts = rows * width
    array = np.full(int(counts.sum()), None, dtype=object)
    wrong = np.zeros(len(raw), dtype=bool)
    end = 0
    for number, (content, count) in enumerate(zip(raw, counts.tolist(), strict=True)):
        begin, end = end, end + count
        texts = _split(content, count)
        if texts is None:
            wrong[number] = True
        else:
            array[begin:end] = texts
    unreadable = np.repeat(wrong, rows) if wrong.any() else None
    return Values(array.reshape(int(rows.sum()), width), unreadable)


def _split(content: bytes, count: int) -> list[str] | None:
    """Return the elements of a BYTES tensor as text; None when it is not made of that many."""
    texts, place = [], 0
    for _ in range(count):
        begin = place + _LENGTH_BYTES
        place = begin + int.from_bytes(content[begin - _LENGTH_BYTES : begin], "little")
        if begin > len(content) or place > len(content):
            return None
        texts.append(content[begin:place].decode(errors="replace"))
    return texts if place == len(content) else None
