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

from headrace_statistics import calibration, e_detector, references
from headrace_statistics.arrays import codes, counts, floats
from headrace_statistics.drift import embedding
from headrace_statistics.inconclusive import Constant, NotEnoughData, NotFinite, OneClass, Unreadable
from headrace_statistics.proportions import Proportion
from headrace_statistics.sketches import bins, categories, embeddings, features, moments, units

# Only the types that are named here are ever made from text. Stored values have these names for ever, whatever the
# classes are called.
_TYPES: Mapping[str, type] = {
    "BinCounts": bins.BinCounts,
    "Calibration": calibration.Calibration,
    "Categories": categories.Categories,
    "CategoricalReference": references.CategoricalReference,
    "CategoryCounts": categories.CategoryCounts,
    "Constant": Constant,
    "Detector": e_detector.Detector,
    "Edges": bins.Edges,
    "EmbeddingReference": references.EmbeddingReference,
    "EmbeddingSpace": embeddings.EmbeddingSpace,
    "EmbeddingSums": embeddings.EmbeddingSums,
    "LabelledRows": features.LabelledRows,
    "LabelledScores": calibration.LabelledScores,
    "Law": embedding.Law,
    "Moments": moments.Moments,
    "NotEnoughData": NotEnoughData,
    "NotFinite": NotFinite,
    "NumericReference": references.NumericReference,
    "NumericSummary": references.NumericSummary,
    "OneClass": OneClass,
    "Reference": references.Reference,
    "Share": Proportion,
    "Source": references.Source,
    "UnitSums": units.UnitSums,
    "Unreadable": Unreadable,
    "Watch": e_detector.DetectorState,
}
_NAMES: Mapping[type, str] = {kind: name for name, kind in _TYPES.items()}
_FIELDS: Mapping[type, frozenset[str]] = {
    kind: frozenset(field.name for field in fields(kind)) for kind in _NAMES if is_dataclass(kind)
}


def to_json(value: object) -> str:
    """Return JSON for a summary, a reference or a detector's state. Raises TypeError for anything else."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":"), sort_keys=True)


def from_json(text: str) -> Any:
    """Return what `to_json` was given. Raises ValueError for text that it did not make.

    Fields that only a later release knows are left out: its replicas run beside ours during an upgrade.
    """
    try:
        return _built(json.loads(text))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not statistics of this program: {error}") from error


def _plain(value: object) -> object:
    match value:
        case enum.Enum():
            return {"kind": _name(value), "is": value.value}
        case None | bool() | int() | str():
            return value
        case float():
            return float(value) if math.isfinite(value) else {"kind": "float", "is": repr(float(value))}
        case datetime():
            return {"kind": "time", "is": value.isoformat()}
        case np.ndarray():
            return {
                "kind": {"i": "counts", "u": "codes"}.get(value.dtype.kind, "floats"),
                "shape": list(value.shape),
                "is": base64.b64encode(value.astype(value.dtype.newbyteorder("<")).tobytes()).decode(),
            }
        case tuple():
            return [_plain(each) for each in value]
        case frozenset():
            return {"kind": "set", "is": sorted(value)}
        case Mapping():
            return {"kind": "map", "is": {str(key): _plain(each) for key, each in value.items()}}
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": _name(value), "is": {field.name: _plain(getattr(value, field.name)) for field in fields(value)}}
    raise TypeError(f"{type(value).__name__} has no text")


def _name(value: object) -> str:
    name = _NAMES.get(type(value))
    if name is None:
        raise TypeError(f"{type(value).__name__} has no text")
    return name


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
        case "codes":
            return codes(np.frombuffer(base64.b64decode(inside), dtype="u1").reshape(plain["shape"]))
        case "floats":
            return floats(np.frombuffer(base64.b64decode(inside), dtype="<f8").reshape(plain["shape"]))
        case "set":
            return frozenset(inside)
        case "map":
            return {key: _built(each) for key, each in inside.items()}
    made = _TYPES[kind]
    if issubclass(made, enum.Enum):
        return made(inside)
    known = {name: _built(each) for name, each in inside.items() if name in _FIELDS[made]}
    if inside and not known:  # where every field has a default, it would be an empty one
        raise TypeError(f"{kind} has none of the fields {', '.join(inside)}")
    return made(**known)
