"""Model files that are small, valid, and never loaded: a loader works on them for minutes, or takes all memory."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from tests.kit import onnx_models
from tests.kit.onnx_models import TinyModel

_DOMAIN = "laughs"


def billion_laughs(levels: int = 9, width: int = 10, *, seed: int = 0) -> TinyModel:
    """`x` → `y` by a function that calls another ten times, which calls another ten times…: 10⁹ nodes in 2.5 kB.

    seed: makes another file of it.
    """
    whole = onnx_models.identity()
    proto = onnx.load_from_string(whole.content)
    proto.opset_import.add(domain=_DOMAIN, version=1)
    opsets = list(proto.opset_import)
    for level in range(levels):
        inner, domain = (f"f{level + 1}", _DOMAIN) if level < levels - 1 else ("Neg", "")
        names = ["a", *(f"t{at}" for at in range(width - 1)), "b"]
        nodes = [helper.make_node(inner, [names[at]], [names[at + 1]], domain=domain) for at in range(width)]
        proto.functions.append(helper.make_function(_DOMAIN, f"f{level}", ["a"], ["b"], nodes, opsets))
    proto.graph.node[0].op_type, proto.graph.node[0].domain = "f0", _DOMAIN
    proto.doc_string = str(seed)
    return TinyModel(proto.SerializeToString(), whole.contract, whole.expected)


def vast_constant(gibibytes: int = 64) -> TinyModel:
    """`x` → `y`, with a constant of so many GiB that a loader computes beforehand, in a file of a few hundred bytes."""
    whole = onnx_models.identity()
    proto = onnx.load_from_string(whole.content)
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [gibibytes * 2**28])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    del proto.graph.node[:]
    proto.graph.initializer.append(shape)
    proto.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["vast"], value=one),
            helper.make_node("Neg", ["vast"], ["less"]),
            helper.make_node("ReduceMax", ["less"], ["most"], keepdims=0),
            helper.make_node("Add", ["x", "most"], ["y"]),
        ]
    )
    return TinyModel(proto.SerializeToString(), whole.contract, whole.expected)
