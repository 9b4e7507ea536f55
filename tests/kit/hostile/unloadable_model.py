"""A model that the registry takes and no runtime loads."""

from __future__ import annotations

from pathlib import Path

import onnx

from tests.kit.models import onnx_models


def unloadable(folder: Path) -> Path:
    """Write a well-formed model with the signature of `linear()`, whose one operator no runtime has."""
    model = onnx.load_from_string(onnx_models.linear().content)
    model.graph.node[0].op_type, model.graph.node[0].domain = "Nothing", "com.example"
    model.opset_import.add(domain="com.example", version=1)
    path = folder / "unloadable.onnx"
    path.write_bytes(model.SerializeToString())
    return path
