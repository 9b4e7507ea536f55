"""Statistics as text and back, exactly: what is persisted, sent and stored with a version.

JSON, so that people and other programs can read it; arrays as base64 of their bytes, so that every bit comes back.
"""

import base64
import enum
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import numpy as np

from headrace_monitor.statistics import references
from headrace_monitor.statistics.arrays import counts, floats
from headrace_monitor.statistics.change import error_rate, estimated
from headrace_monitor.statistics.drift import embedding
from headrace_monitor.statistics.shares import Share
from headrace_monitor.statistics.summaries import bins, categories, embeddings, moments
from headrace_monitor.statistics.unsaid import Constant, NotEnoughData, NotFinite, OneClass, Unreadable

# Only what is named here is ever made from text.
_KINDS: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        bins.BinCounts,
        bins.Edges,
        categories.Categories,
        categories.CategoryCounts,
        embedding.Law,
        embeddings.EmbeddingSpace,
        embeddings.EmbeddingSums,
        error_rate.Detector,
        error_rate.Watch,
        estimated.Calibration,
        moments.Moments,
        references.CategoricalReference,
        references.EmbeddingReference,
        references.NumericReference,
        references.NumericSummary,
        references.Reference,
        references.Source,
        Constant,
        NotEnoughData,
        NotFinite,
        OneClass,
        Share,
        Unreadable,
    )
}


def to_text(value: object) -> str:
    """Return JSON for a summary, a reference or a detector's state. Raises TypeError for anything else."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":"), sort_keys=True)


def from_text(text: str) -> Any:
    """Return what `to_text` was given. Raises ValueError for text that it did not make."""
    try:
        return _built(json.loads(text))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not statistics of this program: {error}") from error


def _plain(value: object) -> object:
    match value:
        case enum.Enum():
            return {"kind": type(value).__name__, "is": value.value}
        case None | bool() | int() | str():
            return value
        case float():
            return float(value) if math.isfinite(value) else {"kind": "float", "is": repr(float(value))}
        case datetime():
            return {"kind": "time", "is": value.isoformat()}
        case np.ndarray():
            return {
                "kind": "counts" if value.dtype.kind == "i" else "floats",
                "shape": list(value.shape),
                "is": base64.b64encode(value.astype(value.dtype.newbyteorder("<")).tobytes()).decode(),
            }
        case tuple():
            return [_plain(each) for each in value]
        case frozenset():
            return {"kind": "set", "is": sorted(value)}
        case Mapping():
            return {"kind": "map", "is": {str(key): _plain(each) for key, each in value.items()}}
    name = type(value).__name__
    if is_dataclass(value) and _KINDS.get(name) is type(value):
        return {"kind": name, "is": {field.name: _plain(getattr(value, field.name)) for field in fields(value)}}
    raise TypeError(f"{name} is not kept")


def _built(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(_built(each) for each in plain)
    if not isinstance(plain, dict):
        return plain
    kind, inside = plain["kind"], plain["is"]
    match kind:
        case "float":
            return float(inside)
        case "time":
            return datetime.fromisoformat(inside)
        case "counts":
            return counts(np.frombuffer(base64.b64decode(inside), dtype="<i8").reshape(plain["shape"]))
        case "floats":
            return floats(np.frombuffer(base64.b64decode(inside), dtype="<f8").reshape(plain["shape"]))
        case "set":
            return frozenset(inside)
        case "map":
            return {key: _built(each) for key, each in inside.items()}
    made = _KINDS[kind]
    if issubclass(made, enum.Enum):
        return made(inside)
    return made(**{name: _built(each) for name, each in inside.items()})
