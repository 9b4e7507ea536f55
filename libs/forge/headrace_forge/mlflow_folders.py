"""Models as MLflow saves them: a folder with a file `MLmodel`, which says what lies where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from headrace_client.errors import invalid
from headrace_client.local_files import read_as, text_of
from headrace_client.model_files import inside

from headrace_forge.mlflow_signatures import Signature, signature_of

DESCRIPTION = "MLmodel"
# Flavours that are converted, or taken as they are, by the member that names their file; in the order of preference.
_FILES = {"onnx": "data", "xgboost": "data", "lightgbm": "data", "sklearn": "pickled_model"}
_PYFUNC = "python_function"


@dataclass(frozen=True, slots=True)
class MlflowModel:
    """The file of the model, and where it comes from. run: id of the run that logged it, empty where none did.

    example: rows that were logged with it, None where none were.
    """

    file: Path
    flavour: str
    run: str
    parameters: Mapping[str, str]
    example: Path | None = None
    signature: Signature = field(default_factory=Signature)


def read_mlflow(folder: Path) -> MlflowModel:
    """Return what the description of a folder says. Raises InvalidArgument."""
    path = folder / DESCRIPTION
    text = text_of(path, "model", "a description of a model")
    with read_as("YAML", path, "model"):
        document = yaml.safe_load(text)
    flavours = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavours, dict):
        raise invalid("model", f"{path} names no flavours")
    flavour = next((name for name in _FILES if isinstance(flavours.get(name), dict)), None)
    if flavour is None:
        known = ", ".join(str(name) for name in flavours if name != _PYFUNC) or _PYFUNC
        raise invalid(
            "model",
            f"{path} has the flavours {known}; {', '.join(_FILES)} can be served: log the model with one of these, or "
            "export it to ONNX",
        )
    file = inside(folder, flavours[flavour].get(_FILES[flavour]), f"{path}, flavour {flavour},")
    if not file.is_file():
        raise invalid("model", f"{path}, flavour {flavour}, names {file.name!r}, which is no file")
    signature = signature_of(document.get("signature"), str(path))
    facts, example = _facts(document, flavour), _example(folder, document)
    return MlflowModel(file, flavour, _text(document, "run_id"), facts, example, signature)


def _example(folder: Path, document: Mapping[str, Any]) -> Path | None:
    """Return the example of inputs; one that is a sparse matrix is no rows."""
    saved = document.get("saved_input_example_info")
    if not isinstance(saved, dict) or saved.get("type") not in ("dataframe", "ndarray"):
        return None
    file = inside(folder, saved.get("artifact_path"), f"{folder / DESCRIPTION}, saved_input_example_info,")
    return file if file.is_file() else None


def _facts(document: Mapping[str, Any], flavour: str) -> Mapping[str, str]:
    facts = {
        "mlflow_flavour": flavour,
        "mlflow_version": _text(document, "mlflow_version"),
        "mlflow_model_uuid": _text(document, "model_uuid"),
        "mlflow_model_id": _text(document, "model_id"),
    }
    return {name: value for name, value in facts.items() if value}


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return str(value)[:200] if isinstance(value, str | int | float) else ""
