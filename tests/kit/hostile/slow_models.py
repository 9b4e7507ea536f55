"""Model files that are small, valid, and never loaded: a loader works on them for minutes, or takes all memory."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from tests.kit.models import onnx_models
from tests.kit.models.onnx_models import TinyModel

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


def vast_constants(count: int = 8) -> TinyModel:
    """`x` → `y`, by looking into constants of almost a GiB each, which a loader makes of a file of a kB."""
    whole = onnx_models.identity()
    proto = onnx.load_from_string(whole.content)
    del proto.graph.node[:]
    before = "x"
    for at in range(count):
        # Each of another size: equal ones are made once. Runtimes make no constant of more than a GiB.
        shape = helper.make_tensor(f"shape{at}", TensorProto.INT64, [1], [2**28 - 2**20 - at])
        value = helper.make_tensor(f"value{at}", TensorProto.FLOAT, [1], [1.0])
        proto.graph.initializer.append(shape)
        proto.graph.node.extend(
            [
                helper.make_node("ConstantOfShape", [f"shape{at}"], [f"vast{at}"], value=value),
                helper.make_node("Cast", [before], [f"place{at}"], to=TensorProto.INT64),
                helper.make_node("Gather", [f"vast{at}", f"place{at}"], ["y" if at == count - 1 else f"found{at}"]),
            ]
        )
        before = f"found{at}"
    return TinyModel(proto.SerializeToString(), whole.contract, whole.expected)
