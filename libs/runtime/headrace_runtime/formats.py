"""Formats of versions as the runtime knows them, and the names of their files."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping

from headrace.registry.v1 import registry_pb2


class Format(enum.StrEnum):
    """How a version keeps its model (`headrace.registry.v1.Format`)."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    SAVEDMODEL = "savedmodel"
    TENSORRT = "tensorrt"
    PYTHON = "python"
    FIL = "fil"
    OIP = "oip"


MODEL_FILES: Mapping[Format, tuple[str, ...]] = {
    Format.ONNX: ("model.onnx",),
    Format.TORCHSCRIPT: ("model.pt",),
    Format.PT2: ("model.pt2",),
    Format.SAVEDMODEL: ("model.savedmodel.zip",),
    Format.TENSORRT: ("model.plan",),
    Format.PYTHON: ("model.py",),
    Format.FIL: ("xgboost.json", "xgboost.ubj", "lightgbm.txt"),
    Format.OIP: ("server.json",),
}
"""Names that the file of a model may have, by format; a version has one of them."""

REQUIREMENTS = "requirements.txt"
SIGNATURE_FILE = "signature.json"
"""A bundle of OpenSSF model signing over all other files of a version."""

PT2_NAME = re.compile(r"(INPUT|OUTPUT)__\d+|(ARGS|KWARGS|RESULT)(\[[^\]]+\])*")
"""What Triton calls a tensor of AOTInductor: by its position, or by the call. A contract has such names, or its own."""


def number_of(kept_as: Format) -> registry_pb2.Format:
    """Return the number of a format in the registry's API."""
    return getattr(registry_pb2, f"FORMAT_{kept_as.name}")


def from_number(number: int) -> Format | None:
    """Return the format with a number, None for one of a later release."""
    if number == registry_pb2.FORMAT_UNSPECIFIED:
        return Format.ONNX
    return _BY_NUMBER.get(number)


def runs(kept_as: Format, names: Collection[str], offered: Collection[Format]) -> Format | None:
    """Return the format that a version runs as where some are offered, None where it cannot.

    names: of its files. Trees with the same trees as ONNX beside them run as that where nothing runs trees.
    """
    if kept_as in offered:
        return kept_as
    if kept_as is Format.FIL and Format.ONNX in offered and MODEL_FILES[Format.ONNX][0] in names:
        return Format.ONNX
    return None


_BY_NUMBER: Mapping[int, Format] = {number_of(kept_as): kept_as for kept_as in Format}
