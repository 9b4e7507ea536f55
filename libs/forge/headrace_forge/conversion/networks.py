"""Converts networks of PyTorch and TensorFlow. `worker.py` runs it; it imports nothing of Headrace.

Each function returns the ONNX file, inputs, what the framework answers to inputs by the names of the file, and what is
said of it.
"""

import importlib.metadata
import io
import subprocess
import sys
import warnings
from pathlib import Path

GENERATED_ROWS = 64
OPSET = 18


class Failed(Exception):
    """The file is not converted; the message says why."""


def from_exported(path, given):
    """Convert what `torch.export.save` wrote: it knows the shapes, and which dimensions are free."""
    import torch

    program = torch.export.load(path)
    arguments, keywords = program.example_inputs or ((), {})
    if keywords or not all(isinstance(one, torch.Tensor) for one in arguments):
        raise Failed("takes other arguments than tensors by position: export a module that takes these alone")
    if not arguments:
        raise Failed("has no example inputs: write it with torch.export.save of what torch.export.export returns")
    content = _written(program, ())
    names, ports = program.graph_signature.user_inputs, dict(_ports(content))
    if given:
        tensors = _given(names, given, arguments)
    else:
        tensors = [_drawn(one, ports.get(name, one.shape)) for name, one in zip(names, arguments, strict=True)]
    module, examples = program.module(), dict(zip(names, tensors, strict=True))

    def answers(inputs):
        # What the module does not use is no input of the file.
        taken = {**examples, **{name: torch.from_numpy(values) for name, values in inputs.items()}}
        return _named(content, _outputs(module(*taken.values())))

    inputs = {name: tensor.numpy() for name, tensor in examples.items() if name in ports}
    return content, inputs, answers, _told(torch, not given)


def from_torchscript(path, given):
    """Convert a TorchScript file. It says no shapes: those of the rows are taken, with any number of rows."""
    import torch

    module = torch.jit.load(path, map_location="cpu").eval()
    names = [one.name for one in module.forward.schema.arguments[1:]]
    if missing := [name for name in names if name not in given]:
        raise Failed(
            f"does not say the shapes of {', '.join(missing)}: give rows as --artifact validation.json=FILE, or state "
            "a --contract, and it is registered as it is, for pools with Triton's backend `pytorch`"
        )
    tensors = _given(names, given, [None] * len(names))
    with torch.no_grad():
        outputs = [f"output_{at}" for at, _ in enumerate(_outputs(module(*tensors)))]
        content = _written(module, tensors, names, outputs)

    def answers(inputs):
        with torch.no_grad():
            return _named(content, _outputs(module(*(torch.from_numpy(inputs[name]) for name in names))))

    inputs = dict(zip(names, (one.numpy() for one in tensors), strict=True))
    return content, inputs, answers, _told(torch, False)


def from_savedmodel(path, given):
    """Convert a folder of TensorFlow by its default signature, which names inputs and outputs."""
    import numpy as np
    import tensorflow

    converter = f"tf2onnx {importlib.metadata.version('tf2onnx')}"
    target = Path("converted.onnx")
    command = ("-m", "tf2onnx.convert", "--saved-model", str(path), "--output", str(target), "--opset", str(OPSET))
    done = subprocess.run([sys.executable, "-I", *command], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not target.exists():
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise Failed(f"is not converted by tf2onnx: {said[:500]}")
    content = target.read_bytes()
    signature = tensorflow.saved_model.load(str(path)).signatures["serving_default"]
    _, keywords = signature.structured_input_signature
    inputs = {}
    for name, sizes in _ports(content):
        if name not in keywords:
            raise Failed(f"has the input '{name}' as ONNX, which its signature does not have")
        dtype = keywords[name].dtype.as_numpy_dtype
        if name in given:
            inputs[name] = np.array(given[name], dtype=dtype)
        elif given or dtype == np.object_:
            raise Failed(f"takes '{name}': give rows of it as --artifact validation.json=FILE")
        else:
            shape = [GENERATED_ROWS if at == 0 and not size else size or 1 for at, size in enumerate(sizes)]
            inputs[name] = np.random.default_rng(0).normal(size=shape).astype(dtype)

    def answers(inputs):
        found = signature(**{name: tensorflow.constant(value) for name, value in inputs.items()})
        return {name: found[name].numpy() for name in _outputs_of(content)}

    facts = {"framework": f"tensorflow {tensorflow.__version__}", "converter": converter, "generated": not given}
    return content, inputs, answers, facts


def _written(module, tensors, names=(), outputs=()):
    """Return a module or a program as ONNX: TorchScript by the exporter that knows it, programs by the other."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not names:
            made = torch.onnx.export(module, dynamo=True, opset_version=OPSET, verbose=False)
            return made.model_proto.SerializeToString()
        buffer = io.BytesIO()
        rows = {name: {0: "rows"} for name in (*names, *outputs)}
        torch.onnx.export(
            module,
            tuple(tensors),
            buffer,
            dynamo=False,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=rows,
            opset_version=OPSET,
        )
        return buffer.getvalue()


def _ports(content):
    """Return name and sizes of each input of an ONNX file, None for a size that is free; in their order."""
    import onnx

    graph = onnx.load_model_from_string(content).graph
    constants = {one.name for one in graph.initializer}
    return [
        (one.name, [None if size.dim_param or not size.dim_value else size.dim_value for size in sizes])
        for one in graph.input
        if one.name not in constants
        for sizes in (one.type.tensor_type.shape.dim,)
    ]


def _outputs_of(content):
    import onnx

    return [one.name for one in onnx.load_model_from_string(content).graph.output]


def _drawn(example, sizes):
    """Return values like an example, more rows where that dimension is free: random floats, others as they are."""
    import torch

    rows = example.shape[0] if not sizes or sizes[0] else GENERATED_ROWS
    if not example.is_floating_point():
        return example[torch.arange(rows) % len(example)] if sizes else example
    shape = [rows, *example.shape[1:]] if sizes else []
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(example.dtype)


def _given(names, given, examples):
    """Return rows that were given as tensors, of the datatypes of examples where there are some."""
    import numpy as np
    import torch

    tensors = []
    for name, example in zip(names, examples, strict=True):
        if name not in given:
            raise Failed(f"the rows have no '{name}': give them as --artifact validation.json=FILE")
        array = np.array(given[name])
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        if example is not None and array.ndim == example.ndim + 1 and len(array) == 1:
            array = array[0]  # a row is all of the tensor
        tensor = torch.from_numpy(array)
        tensors.append(tensor if example is None else tensor.to(example.dtype))
    return tensors


def _outputs(answer):
    """Return the tensors that a module answers with, in the order that ONNX has them."""
    import torch

    if isinstance(answer, torch.Tensor):
        return [answer.detach().numpy()]
    if isinstance(answer, dict):
        answer = tuple(answer.values())
    if not isinstance(answer, list | tuple) or not answer:
        raise Failed(f"answers with a {type(answer).__name__}, not with tensors")
    return [one for part in answer for one in _outputs(part)]


def _named(content, answers):
    return dict(zip(_outputs_of(content), answers, strict=True))


def _told(torch, generated):
    version = torch.__version__
    return {"framework": f"torch {version}", "converter": f"torch.onnx {version}", "generated": generated}


CONVERTERS = {"exported": from_exported, "torchscript": from_torchscript, "savedmodel": from_savedmodel}
