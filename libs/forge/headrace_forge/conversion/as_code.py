"""Makes a folder of code of a model file that answers exactly as its framework. `worker.py` runs it."""

import importlib.metadata
import json
import re
import shutil
import sys
import warnings
from pathlib import Path

FOLDER = "version"
GENERATED_ROWS = 64
# What answers beside the model, as it lies here.
_SOURCES = {"model.py": "served_model.py", "answering.py": "answering.py", "estimators.py": "estimators.py"}


class Failed(Exception):
    """The model does not answer; the message says why."""


def made(kind, path, folder, given, estimators, tables, answering):
    """Write the folder; return its contract, the packages that were imported, and what is said of it.

    given: rows by input, which say names and types of columns; without them rows are of numbers, or of known words.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = estimators.load(kind, path, known=False)
    for one in said:
        if type(one.message).__name__ == "InconsistentVersionWarning":
            saved = vars(one.message)["original_sklearn_version"]
            raise Failed(f"was saved by scikit-learn {saved}: pip install scikit-learn=={saved} for {sys.executable}")
    source = tables.Source(model, given)
    file = re.sub(r"[^A-Za-z0-9._-]", "_", path.name)
    layout = {"kind": kind, "file": file, **source.layout()}
    inputs = _inputs(source, given, tables)
    try:
        found = _answers(model, inputs, layout, given, answering)
    except Exception as error:
        if given:
            raise
        said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[-1][:200]}"
        raise Failed(f"does not answer random numbers ({said}): give rows as --artifact validation.json=FILE") from None
    target = folder / FOLDER
    target.mkdir()
    for name, beside in _SOURCES.items():
        shutil.copyfile(Path(__file__).with_name(beside), target / name)
    shutil.copyfile(path, target / file)
    (target / "as_code.json").write_text(json.dumps(layout))
    contract = {
        "inputs": [_spec(name, values) for name, values in inputs.items()],
        "outputs": [_spec(name, values) for name, values in found.items()],
        "prediction": "probabilities" if "probabilities" in found else next(iter(found)),
    }
    if source.columns is None and source.names:
        contract["inputs"][0]["columns"] = source.names
    return inputs, found, {"contract": contract, "packages": _packages(), "framework": _framework(source, tables)}


def _answers(model, inputs, layout, given, answering):
    """Return the outputs; where random numbers are refused, to their absolute values, which stay in the inputs."""
    import numpy as np

    try:
        return answering.outputs(model, inputs, layout)
    except Exception:
        if given or layout["texts"]:
            raise
        inputs |= {name: np.abs(values) for name, values in inputs.items()}
        return answering.outputs(model, inputs, layout)


def _inputs(source, given, tables):
    """Return rows by input, numbers as they are given: FP64 is exact."""
    import numpy as np

    if not given:
        if source.vectorizer is not None:
            return {source.columns[0]: tables.texts(source.vectorizer)}
        random = np.random.default_rng(0)
        if source.columns is None:
            return {"features": random.normal(size=(GENERATED_ROWS, source.width))}
        return {name: random.normal(size=(GENERATED_ROWS, 1)) for name in source.columns}
    if source.columns is None:
        rows = given["features"] if "features" in given else tables.side_by_side(given, source)
        return {"features": np.array(rows, dtype=np.float64)}
    inputs = {}
    for name in source.columns:
        if name not in given:
            raise Failed(f"takes '{name}', which the rows lack: give them as --artifact validation.json=FILE")
        text = any(isinstance(value, str) for value in tables.flat(given[name]))
        rows = np.array(given[name], dtype=object if text else np.float64)
        inputs[name] = rows.reshape((len(rows),) if source.vectorizer is not None else (len(rows), 1))
    return inputs


def _spec(name, values):
    datatype = {"O": "BYTES", "i": "INT64"}.get(values.dtype.kind) or f"FP{8 * values.dtype.itemsize}"
    return {"name": name, "datatype": datatype, "shape": list(values.shape[1:])}


def _framework(source, tables):
    package = tables.PACKAGES.get(source.module, source.module)
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def _packages():
    """Return name and version of each distribution that reading and answering imported."""
    by_module = importlib.metadata.packages_distributions()
    names = {name for module in {one.partition(".")[0] for one in sys.modules} for name in by_module.get(module, ())}
    return sorted(f"{name}=={importlib.metadata.version(name)}" for name in names - {"pip", "setuptools"})
