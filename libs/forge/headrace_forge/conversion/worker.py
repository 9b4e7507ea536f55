"""Converts one model file in a process of its own. It imports nothing of Headrace: what runs it has the frameworks.

    python -I worker.py KIND FILE FOLDER

FOLDER may hold `rows.json`, rows to compare with. It gets `model.onnx` and `validation.json`; the answer is one JSON
object on the last line of stdout: {"failed": "why"}, or what was made.
"""

import contextlib
import importlib.util
import json
import math
import os
import sys
from pathlib import Path

CPU_S = 600
KEPT_ROWS = 64

_INSTALL = {
    "xgboost": "xgboost-cpu onnxmltools packaging onnxruntime scikit-learn",
    "lightgbm": "lightgbm onnxmltools packaging onnxruntime scikit-learn",
    "pickle": "scikit-learn skl2onnx onnxruntime pandas",
    "skops": "scikit-learn skops skl2onnx onnxruntime pandas",
    "exported": "torch onnxscript onnx onnxruntime",
    "torchscript": "torch onnx onnxruntime",
    "savedmodel": "tensorflow-cpu tf2onnx onnxruntime",
}


def beside(name):
    """Return a module that lies beside this file, which is in no package here."""
    spec = importlib.util.spec_from_file_location(f"conversion_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def opened(proto):
    """Return a session of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])


def like(found, wanted):
    """Return the output of ONNX whose answers have the shape of what is wanted, else the first."""
    import numpy as np

    return next(
        (name for name, value in found.items() if np.shape(value) == wanted.shape and value.dtype.kind == "f"),
        next(iter(found)),
    )


def distance(found, wanted):
    """Return the largest difference of answers by output, and the largest answer; infinite where one is no number."""
    import numpy as np

    difference = scale = 0.0
    for name, values in wanted.items():
        values = np.asarray(values)
        if values.dtype.kind in "OUS":  # labels: they are the same, or not
            difference = max(difference, float((np.asarray(found[name]).astype(str) != values.astype(str)).any()))
            continue
        values = values.astype(np.float64)
        got = np.asarray(found[name]).reshape(values.shape).astype(np.float64)
        apart = np.abs(got - values)
        apart[(got == values) | (np.isnan(got) & np.isnan(values))] = 0
        difference = max(difference, float(np.nan_to_num(apart, nan=math.inf).max(initial=0.0)))
        scale = max(scale, float(np.abs(np.nan_to_num(values, posinf=0, neginf=0)).max(initial=0.0)))
    return difference, scale


def listed(array, sizes):
    """Return rows as lists, with null where JSON has no number. sizes: of the tensor in the file, whose first dimension
    is that of rows where it is free or 1; else all of it is one row."""

    def value(one):
        if isinstance(one, list):
            return [value(part) for part in one]
        return None if isinstance(one, float) and not math.isfinite(one) else one

    rows = array if sizes and (sizes[0] == 1 or not isinstance(sizes[0], int)) else array[None]
    return value(rows[:KEPT_ROWS].tolist())


def convert(kind, path, folder, estimators, tables, networks):
    """Convert one file, and return what is said of it."""
    rows_file = folder / "rows.json"
    given = json.loads(rows_file.read_bytes())["inputs"] if rows_file.exists() else {}
    if kind in networks.CONVERTERS:
        content, inputs, wanted, told = networks.CONVERTERS[kind](path, given)
    else:
        content, inputs, wanted, told = tables.from_table(estimators.load(kind, path), given, opened)
    session = opened(content)
    sizes = {port.name: port.shape for port in (*session.get_inputs(), *session.get_outputs())}
    names = [port.name for port in session.get_outputs()]
    found = dict(zip(names, session.run(names, inputs), strict=True))
    if not isinstance(wanted, dict):
        wanted = {like(found, wanted): wanted}
    difference, scale = distance(found, wanted)
    (folder / "model.onnx").write_bytes(content)
    kept = {
        "inputs": {name: listed(rows, sizes[name]) for name, rows in inputs.items()},
        "outputs": {name: listed(rows, sizes[name]) for name, rows in wanted.items()},
    }
    (folder / "validation.json").write_text(json.dumps(kept))
    rows = len(next(iter(inputs.values())))
    return {"columns": [], **told, "rows": rows, "difference": difference, "scale": scale}


def main():
    kind, path, folder = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    estimators, tables, networks = beside("estimators"), beside("tables"), beside("networks")
    os.chdir(folder)
    try:
        beside("confinement").confine(CPU_S)
        # What frameworks print is not the answer.
        with contextlib.redirect_stdout(sys.stderr):
            answer = convert(kind, path, folder, estimators, tables, networks)
    except (estimators.Failed, tables.Failed, networks.Failed) as error:
        answer = {"failed": str(error)}
    except ImportError as error:
        lacks = f"needs packages that {sys.executable} does not have ({error})"
        answer = {"failed": f"{lacks}: pip install {_INSTALL[kind]}"}
    except Exception as error:
        answer = {"failed": f"is not converted: {type(error).__name__}: {str(error).strip()[:500]}"}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
