"""Makes candidates of one ONNX model and measures them in a process of its own. It imports nothing of Headrace.

    python -I worker.py FOLDER

FOLDER holds `model.onnx`, `plan.json` (what to make and how to measure), and, where the version has rows,
`rows.json` and `calibration.json`: {"inputs": {name: rows}}. It gets `<candidate>.onnx` and the candidates' answers as
`<candidate>.<size of batch>.<number of the output>.npy`, and `times.json`: seconds by candidate, size of batch and
round. The answer is one JSON object on the last line of stdout.
"""

import contextlib
import json
import logging
import os
import runpy
import sys
import time
from pathlib import Path

CPU_S = 3600
GENERATED_ROWS = 256
# Newest opset that releases of ONNX Runtime in use take, so that the model still loads in a pool.
OPSET = 21
_QUANTISED = ("MatMulInteger", "ConvInteger", "QLinear", "QuantizeLinear", "DequantizeLinear", "DynamicQuantize")
_TYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(bool)": "bool",
    "tensor(int8)": "int8", "tensor(int16)": "int16", "tensor(int32)": "int32", "tensor(int64)": "int64",
    "tensor(uint8)": "uint8", "tensor(uint16)": "uint16", "tensor(uint32)": "uint32", "tensor(uint64)": "uint64",
    "tensor(string)": "object",
}  # fmt: skip
_INSTALL = "onnx onnxruntime"


class Failed(Exception):
    """Nothing is measured; the message says why."""


class Unmade(Exception):
    """One candidate is not made; the message says why."""


def session(path, *, threads=1, arena=True, parallel=False, providers=("CPUExecutionProvider",)):
    """Return a session on a file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = arena
    if parallel:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
        options.inter_op_num_threads = 2
    return onnxruntime.InferenceSession(str(path), options, providers=list(providers))


class Feeds:
    """Gives quantisation one row of the calibration set at a time."""

    def __init__(self, inputs):
        self.inputs, self.at = inputs, 0

    def get_next(self):
        if self.at >= len(next(iter(self.inputs.values()))):
            return None
        self.at += 1
        return {name: rows[self.at - 1 : self.at] for name, rows in self.inputs.items()}


def graph(level):
    def make(source, target, calibration):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
        options.optimized_model_filepath = str(target)
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])

    return make


def opset(source, target, calibration):
    import onnx
    from onnx import version_converter

    model = onnx.load(str(source))
    present = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)
    if present >= OPSET:
        raise Unmade(f"has opset {present}")
    onnx.save(version_converter.convert_version(model, OPSET), str(target))


def fp16(source, target, calibration):
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted = OnnxModel(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True))
    # The conversion puts its casts at the end: ONNX Runtime takes that, and others do not.
    converted.topological_sort()
    onnx.save(converted.model, str(target))


def int8_dynamic(source, target, calibration):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantisable(source)
    quantize_dynamic(str(source), str(target), per_channel=True, weight_type=QuantType.QInt8)
    quantised(target)


def int8_static(method):
    def make(source, target, calibration):
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

        if calibration is None:
            raise Unmade("needs a calibration set: an artifact calibration.json or validation.json")
        quantisable(source)
        quantize_static(
            str(source),
            str(target),
            Feeds(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=getattr(CalibrationMethod, method),
        )
        quantised(target)

    return make


def trees_half(source, target, calibration):
    import onnx
    import onnxruntime

    trees = runpy.run_path(str(Path(__file__).with_name("trees.py")))
    model = onnx.load(str(source))

    def answers_of(one):
        opened = onnxruntime.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"])
        inputs = generated(opened.get_inputs()) if calibration is None else calibration
        return opened.run(None, inputs)

    pruned = trees["pruned"](model, answers_of) if trees["of_trees"](model) else None
    if pruned is None:
        raise Unmade("has no trees to prune")
    onnx.save(pruned, str(target))


def quantisable(path):
    """Raise Unmade for a model with nothing to quantise, such as one of trees."""
    import onnx

    if not {"MatMul", "Gemm", "Conv", "LSTM", "Attention"} & {node.op_type for node in onnx.load(str(path)).graph.node}:
        raise Unmade("has no matrix product or convolution to quantise")


def quantised(path):
    """Raise Unmade for a model in which nothing was quantised."""
    import onnx

    names = {node.op_type for node in onnx.load(str(path)).graph.node}
    if not any(name.startswith(_QUANTISED) for name in names):
        raise Unmade("has no matrix product or convolution to quantise")


MAKERS = {
    "graph-basic": graph("BASIC"),
    "graph-extended": graph("EXTENDED"),
    "opset": opset,
    "fp16": fp16,
    "trees-half": trees_half,
    "int8-dynamic": int8_dynamic,
    "int8-static-minmax": int8_static("MinMax"),
    "int8-static-entropy": int8_static("Entropy"),
}
# How the model is run: nothing of the file.
OPTIONS = {
    "original": {},
    "threads-2": {"threads": 2},
    "no-arena": {"arena": False},
    "parallel": {"parallel": True},
}


def read(file, ports):
    """Return the rows of a file by input, or None where there is none."""
    import numpy as np

    if not file.exists():
        return None
    given = json.loads(file.read_bytes())["inputs"]
    inputs = {}
    for port in ports:
        if port.name not in given:
            raise Failed(f"has an input '{port.name}', of which the version's rows say nothing")
        dtype = kind_of(port)
        rows = np.array([[np.nan if one is None else one for one in flat(row)] for row in given[port.name]], dtype)
        shape = [size if isinstance(size, int) else -1 for size in port.shape[1:]]
        inputs[port.name] = rows.reshape(len(rows), *(shape if shape.count(-1) <= 1 else rows.shape[1:]))
    return inputs


def flat(value):
    """Yield the values in nested lists."""
    if isinstance(value, list):
        for one in value:
            yield from flat(one)
    else:
        yield value


def kind_of(port):
    import numpy as np

    if port.type not in _TYPES:
        raise Failed(f"has an input '{port.name}' of {port.type}, which is not measured")
    return np.dtype(_TYPES[port.type])


def generated(ports):
    """Return random rows. Raises for texts and whole numbers, whose meaning is unknown."""
    import numpy as np

    random, inputs = np.random.default_rng(0), {}
    for port in ports:
        if kind_of(port).kind != "f":
            raise Failed(f"has an input '{port.name}' of {port.type}: register it with an artifact validation.json")
        shape = [size if isinstance(size, int) else 1 for size in port.shape[1:]]
        inputs[port.name] = random.normal(size=(GENERATED_ROWS, *shape)).astype(kind_of(port))
    return inputs


def ports(one):
    return [(port.name, port.type) for port in one]


def batches(inputs, rows, size):
    """Yield the inputs in batches of one size; the last may be smaller."""
    for start in range(0, rows, size):
        yield {name: values[start : start + size] for name, values in inputs.items()}


def answers(opened, inputs, size):
    """Return every output for all rows."""
    import numpy as np

    count = len(next(iter(inputs.values())))
    parts = [opened.run(None, batch) for batch in batches(inputs, count, size)]
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def write(folder, name, outputs):
    """Write outputs, texts as texts: objects would be pickles."""
    import numpy as np

    for at, values in enumerate(outputs):
        np.save(folder / f"{name}.{at}.npy", values.astype(str) if values.dtype == object else values)


def sized(inputs, rows):
    """Return a batch of so many rows, the given ones again and again."""
    import numpy as np

    return {name: np.resize(values, (rows, *values.shape[1:])) for name, values in inputs.items()}


def series(opened, batch, seconds, most):
    """Return how long executions took, in seconds."""
    taken, began = [], time.perf_counter()
    while len(taken) < 3 or (len(taken) < most and time.perf_counter() - began < seconds):
        start = time.perf_counter()
        opened.run(None, batch)
        taken.append(time.perf_counter() - start)
    return taken


def make(name, source, folder, calibration):
    """Return the file of a candidate. Raises Unmade."""
    target = folder / f"{name}.onnx"
    try:
        MAKERS[name](source, target, calibration)
    except (Unmade, ImportError):
        raise
    except Exception as error:
        raise Unmade(f"is not made: {type(error).__name__}: {str(error).strip()[:200]}") from None
    return target


def opened_as(original, path, **options):
    """Return a session on a candidate as a server would open it. Raises Unmade where it is another model by its
    signature, or does not load."""
    try:
        found = session(path, **options)
    except Exception as error:
        raise Unmade(f"cannot be loaded again: {str(error).strip()[:200]}") from None
    if ports(found.get_inputs()) != ports(original.get_inputs()):
        raise Unmade("has other inputs than the original")
    if ports(found.get_outputs()) != ports(original.get_outputs()):
        raise Unmade("has other outputs than the original")
    return found


def candidates(plan, source, folder, original, calibration):
    """Return what was made: sessions by name, and a document for each candidate."""
    sessions, told = {}, []
    for name in plan["candidates"]:
        one = {"name": name, "kind": "model" if name in MAKERS else "options", "problem": "", "size_bytes": 0}
        told.append(one)
        try:
            path = make(name, source, folder, calibration) if name in MAKERS else source
            one["size_bytes"] = path.stat().st_size
            options = {"threads": plan["threads"], **OPTIONS.get(name, {})}
            sessions[name] = opened_as(original, path, **options)
        except Unmade as error:
            one["problem"] = str(error)
    return sessions, told


def measure(plan, folder):
    """Make and measure everything, and return what is said of it."""
    source = folder / "model.onnx"
    original = session(source, threads=plan["threads"])
    inputs = read(folder / "rows.json", original.get_inputs())
    calibration = read(folder / "calibration.json", original.get_inputs())
    given = inputs is not None
    inputs = generated(original.get_inputs()) if inputs is None else inputs
    fixed = original.get_inputs()[0].shape[0]
    sizes = [fixed] if isinstance(fixed, int) else plan["batch_rows"]
    sessions, told = candidates(plan, source, folder, original, calibration)
    for one in told:
        if one["name"] in sessions:
            try:
                # By every size: dynamic INT8 scales a batch as a whole, so that an answer depends on its batch-mates.
                for size in sizes:
                    write(folder, f"{one['name']}.{size}", answers(sessions[one["name"]], inputs, size))
            except Exception as error:
                one["problem"] = f"does not run: {str(error).strip()[:200]}"
                del sessions[one["name"]]
    times = {name: {str(rows): [] for rows in sizes} for name in sessions}
    for turn in range(plan["rounds"]):
        for rows in sizes:
            batch = sized(inputs, rows)
            # In turn forwards and backwards: what a machine does meanwhile meets all of them.
            for name in list(sessions)[:: 1 if turn % 2 == 0 else -1]:
                sessions[name].run(None, batch)
                taken = series(sessions[name], batch, plan["series_s"], plan["executions"])
                times[name][str(rows)].append(taken)
    (folder / "times.json").write_text(json.dumps(times))
    import onnx
    import onnxruntime

    return {
        "candidates": told,
        "outputs": [port.name for port in original.get_outputs()],
        "batch_rows": sizes,
        "rows": len(next(iter(inputs.values()))),
        "generated": not given,
        "versions": {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__},
    }


def main():
    folder = Path(sys.argv[1]).resolve()
    confine = Path(__file__).resolve().parent.parent / "conversion" / "confinement.py"
    os.chdir(folder)
    logging.disable(logging.CRITICAL)
    try:
        runpy.run_path(str(confine))["confine"](CPU_S)
        # What frameworks print is not the answer.
        with contextlib.redirect_stdout(sys.stderr):
            answer = measure(json.loads((folder / "plan.json").read_bytes()), folder)
    except Failed as error:
        answer = {"failed": str(error)}
    except ImportError as error:
        lacks = f"needs packages that {sys.executable} does not have ({error})"
        answer = {"failed": f"{lacks}: pip install {_INSTALL}"}
    except Exception as error:
        answer = {"failed": f"is not measured: {type(error).__name__}: {str(error).strip()[:500]}"}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
