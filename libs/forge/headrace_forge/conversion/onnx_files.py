"""ONNX files whose scores are a list of dictionaries, as CatBoost and skl2onnx write them: made tensors."""

GENERATED_ROWS = 256


class Failed(Exception):
    """The file is not converted; the message says why."""


def without_dictionaries(proto):
    """Return a model whose scores are the tensor that ZipMap made dictionaries of, and the classes by output."""
    import onnx

    classes, renamed = {}, {}
    for node in list(proto.graph.node):
        if node.op_type == "ZipMap":
            labels = [
                list(one.strings) or list(one.ints) for one in node.attribute if one.name.startswith("classlabels")
            ]
            classes[node.output[0]] = next((one for one in labels if one), [])
            renamed[node.input[0]] = node.output[0]
            proto.graph.node.remove(node)
    for node in proto.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for port in proto.graph.output:
        if port.name in classes:
            shape = [None, len(classes[port.name])]
            port.CopyFrom(onnx.helper.make_tensor_value_info(port.name, onnx.TensorProto.FLOAT, shape))
    return proto, classes


def of_catboost(model):
    """Return a model of CatBoost as ONNX. Those with categories are not exported."""
    import onnx

    model.save_model("exported.onnx", format="onnx")
    proto = without_dictionaries(onnx.load("exported.onnx"))[0]
    for port in proto.graph.output:
        if port.name == "predictions":  # declared without the dimension that it has
            port.CopyFrom(onnx.helper.make_tensor_value_info(port.name, onnx.TensorProto.FLOAT, [None, 1]))
    return proto


def from_zipmap(path, given, opened):
    """Convert a file that has such scores; they are compared with its own. opened: makes a session of ONNX Runtime."""
    import numpy as np
    import onnx

    before = opened(path.read_bytes())
    proto, classes = without_dictionaries(onnx.load(path))
    content, inputs = proto.SerializeToString(), {}
    for port in before.get_inputs():
        text = "string" in port.type
        if port.name in given:
            rows = np.array(given[port.name], dtype=object if text else np.float32)
            inputs[port.name] = rows.reshape(len(rows), *port.shape[1:]) if len(port.shape) > 1 else rows
        elif given or text:
            raise Failed(f"takes '{port.name}': give rows of it as --artifact validation.json=FILE")
        else:
            inputs[port.name] = (
                np.random.default_rng(0).normal(size=(GENERATED_ROWS, *port.shape[1:])).astype("float32")
            )

    def answers(rows):
        found = dict(zip((port.name for port in before.get_outputs()), before.run(None, rows), strict=True))
        return {
            name: np.array([[row[one] for one in classes[name]] for row in values]) if name in classes else values
            for name, values in found.items()
        }

    facts = {"framework": f"onnx {onnx.__version__}", "converter": "headrace", "generated": not given}
    return content, inputs, answers, facts
