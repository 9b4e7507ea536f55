"""Converts one model file in a process of its own. It imports nothing of Headrace: what runs it has the frameworks.

    python -I worker.py KIND FILE FOLDER [--as-code]

FOLDER may hold `rows.json`, rows to compare with, and `sources`, modules that a pickle imports. It gets
`validation.json` and `model.onnx`, or `version`, the files of a version of code; the answer is one JSON object on the
last line of stdout: {"failed": "why"}, or what was made.
"""

import contextlib
import importlib.util
import json
import math
import os
import sys
from pathlib import Path

CPU_S = 600
# Of validation.json, as the registry and batchers read it; a row of a picture may be as large.
KEPT_ROWS, KEPT_BYTES = 64, 2 * 1024 * 1024

# Lines of a message that a person reads.
_PAGE = 20
_BESIDE = ("estimators", "tables", "networks", "onnx_files", "answering", "edges", "as_code")
_INSTALL = {
    "xgboost": "xgboost-cpu onnxmltools packaging onnxruntime scikit-learn",
    "lightgbm": "lightgbm onnxmltools packaging onnxruntime scikit-learn",
    "pickle": "'scikit-learn<1.9' skl2onnx 'protobuf<7' onnxruntime pandas",
    "skops": "'scikit-learn<1.9' skops skl2onnx 'protobuf<7' onnxruntime pandas",
    "catboost": "catboost onnx onnxruntime pandas",
    "zipmap": "onnx onnxruntime",
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


def listed(array, sizes, count):
    """Return rows as lists, with null where JSON has no number. sizes: of the tensor in the file, whose first dimension
    is that of rows where it is free or 1; else all of it is one row."""
    short = array.dtype.name == "float32"

    def value(one):
        if isinstance(one, list):
            return [value(part) for part in one]
        if not isinstance(one, float):
            return one
        return (float(f"{one:.9g}") if short else one) if math.isfinite(one) else None

    rows = array if sizes and (sizes[0] == 1 or not isinstance(sizes[0], int)) else array[None]
    return value(rows[:count].tolist())


def kept(inputs, wanted, sizes):
    """Return as many rows as validation.json has room for; of larger ones none."""
    values = sum(rows.size / max(1, len(rows)) for rows in (*inputs.values(), *wanted.values()))
    count = min(KEPT_ROWS, int(KEPT_BYTES // (2 * values)))  # of two characters at least
    while count:
        part = {
            "inputs": {name: listed(rows, sizes[name], count) for name, rows in inputs.items()},
            "outputs": {name: listed(rows, sizes[name], count) for name, rows in wanted.items()},
        }
        text = json.dumps(part, separators=(",", ":"))
        if len(text) <= KEPT_BYTES:
            return text
        count //= 2
    return json.dumps({"inputs": {}, "outputs": {}})


def named(answer, found):
    """Return what a framework answers by the output of ONNX that has it."""
    return answer if isinstance(answer, dict) else {like(found, answer): answer}


def on_edges(edges, inputs, unknown, ask, answers):
    """Return how many edge cases both were asked, and the largest difference beside 1 and the value, with its case.

    Those that the framework refuses are left out: callers of either get an error.
    """
    asked, worst, where = 0, 0.0, ""
    for label, case in edges.cases(inputs, unknown):
        try:
            answer = answers(case)
        except Exception:
            continue
        asked += 1
        try:
            found = ask(case)
            difference, scale = distance(found, named(answer, found))
            over = difference / (1 + scale)
        except Exception as error:
            return asked, math.inf, f"{label} ({last_line(error)})"
        if over > worst:
            worst, where = over, label
    return asked, worst, where


def last_line(error):
    """Return what an exporter says: the last line, of the cause where pages of its own graph hide that."""
    while len(str(error).splitlines()) > _PAGE and (cause := error.__cause__ or error.__context__):
        error = cause
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:500]}" if lines else type(error).__name__


def convert(kind, path, folder, given, read):
    """Convert one file, and return what is said of it. read: the modules beside this one, by their names."""
    if kind in read["networks"].CONVERTERS:
        content, inputs, answers, facts = read["networks"].CONVERTERS[kind](path, given)
    elif kind == "zipmap":
        content, inputs, answers, facts = read["onnx_files"].from_zipmap(path, given, opened)
    else:
        model = read["estimators"].load(kind, path)
        exported = read["onnx_files"].of_catboost
        content, inputs, answers, facts = read["tables"].from_table(model, given, opened, read["answering"], exported)
    session = opened(content)
    sizes = {port.name: port.shape for port in (*session.get_inputs(), *session.get_outputs())}
    names = [port.name for port in session.get_outputs()]

    def ask(rows):
        return dict(zip(names, session.run(names, rows), strict=True))

    found = ask(inputs)
    wanted = named(answers(inputs), found)
    difference, scale = distance(found, wanted)
    (folder / "model.onnx").write_bytes(content)
    (folder / "validation.json").write_text(kept(inputs, wanted, sizes))
    rows = len(next(iter(inputs.values())))
    edge_cases, edge_difference, edge = on_edges(read["edges"], inputs, facts.pop("unknown", {}), ask, answers)
    return {
        "columns": [],
        "hint": "",
        **facts,
        "rows": rows,
        "difference": difference,
        "scale": scale,
        "edge_cases": edge_cases,
        "edge_difference": edge_difference,
        "edge": edge,
    }


def as_code(kind, path, folder, given, read):
    """Make a folder of code of one file, with rows and its answers to them; return what is said of it."""
    sys.path.insert(0, str(folder / "sources"))
    modules = (read[name] for name in ("estimators", "tables", "answering"))
    inputs, found, facts = read["as_code"].made(kind, path, folder, given, *modules)
    sizes = dict.fromkeys((*inputs, *found), (None,))
    (folder / "validation.json").write_text(kept(inputs, found, sizes))
    return {**facts, "rows": len(next(iter(inputs.values()))), "generated": not given}


def main():
    kind, path, folder = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    read = {name: beside(name) for name in _BESIDE}
    os.chdir(folder)
    rows_file = folder / "rows.json"
    document = json.loads(rows_file.read_bytes()) if rows_file.exists() else {}
    given = document.get("inputs", {})
    try:
        beside("confinement").confine(CPU_S)
        # What frameworks print is not the answer.
        with contextlib.redirect_stdout(sys.stderr):
            make = as_code if sys.argv[4:] == ["--as-code"] else convert
            if generated := document.get("generated"):
                given = read["tables"].of_known_texts(read["estimators"].load(kind, path, known=False), given)
            answer = make(kind, path, folder, given, read)
            answer["generated"] = bool(generated) or answer.get("generated", False)
    except ImportError as error:
        lacks = f"needs packages that {sys.executable} does not have ({error})"
        answer = {"failed": f"{lacks}: pip install {_INSTALL[kind]}"}
    except Exception as error:
        ours = any(isinstance(error, getattr(module, "Failed", ())) for module in read.values())
        answer = {"failed": str(error) if ours else f"is not converted: {last_line(error)}"}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
