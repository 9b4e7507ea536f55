"""Model files that the registry refuses, each for one reason."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from tests.kit.models import onnx_models
from tests.kit.models.onnx_models import TinyModel


def fixed_rows(features: int = 4, *, rows: int = 1) -> TinyModel:
    """A model that takes exactly `rows` rows at a time: it cannot be batched."""
    whole = onnx_models.identity(features)
    proto = onnx.load_from_string(whole.content)
    for port in (*proto.graph.input, *proto.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = rows
    return TinyModel(proto.SerializeToString(), whole.contract, whole.expected)


def external_data() -> TinyModel:
    """`linear` whose weights lie in another file: one file alone does not serve."""
    whole = onnx_models.linear()
    proto = onnx.load_from_string(whole.content)
    weights = proto.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../etc/passwd")
    return TinyModel(proto.SerializeToString(), whole.contract, whole.expected)


def zero_byte_in_a_name(*, of_input: bool) -> TinyModel:
    """`linear` with one more input or output, which has a name that no database takes."""
    whole, name = onnx_models.linear(), "a\x00b"
    proto = onnx.load_from_string(whole.content)
    ports = proto.graph.input if of_input else proto.graph.output
    added = ports.add()
    added.CopyFrom(ports[0])
    added.name = name
    if not of_input:
        proto.graph.node.append(helper.make_node("Identity", [ports[0].name], [name]))
    return TinyModel(proto.SerializeToString(), whole.contract, whole.expected)
