"""Folders as MLflow itself writes them, of two flavours, served in one command and answering as MLflow answers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from headrace_client.mlflow_folders import read_mlflow

from tests.kit.headrace_cli import Headrace, headrace
from tests.recipes.conftest import made

__all__ = ["headrace"]

pytestmark = [pytest.mark.recipes, pytest.mark.timeout(1800)]

PACKAGES = (
    *("mlflow-skinny", "scikit-learn", "skl2onnx", "xgboost-cpu", "onnxmltools", "onnxruntime"),
    *("packaging", "pandas", "joblib", "cloudpickle", "sqlalchemy"),
)
SAVE = """
import json, os
os.environ["MLFLOW_TRACKING_URI"] = "file:" + os.path.abspath("runs")
import mlflow, mlflow.sklearn, mlflow.xgboost
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

features, labels = load_iris(return_X_y=True)
pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(features, labels)
trees = XGBRegressor(n_estimators=5).fit(features, labels)
mlflow.sklearn.save_model(pipeline, "sklearn", serialization_format="cloudpickle")
mlflow.xgboost.save_model(trees, "xgboost", model_format="json")
rows = features[::15]
expected = {"sklearn": pipeline.predict_proba(rows), "xgboost": mlflow.pyfunc.load_model("xgboost").predict(rows)}
json.dump({name: values.tolist() for name, values in expected.items()}, open("expected.json", "w"))
json.dump(rows.tolist(), open("rows.json", "w"))
"""


@pytest.fixture(scope="module")
def python() -> str:
    return str(made("mlflow", PACKAGES) / "bin" / "python")


@pytest.fixture(scope="module")
def saved(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what MLflow writes."""
    folder = tmp_path_factory.mktemp("saved")
    subprocess.run([python, "-W", "ignore", "-c", SAVE], cwd=folder, check=True, timeout=300)
    return folder


@pytest.mark.parametrize("flavour", ["sklearn", "xgboost"])
def test_a_folder_of_mlflow_is_served_and_answers_as_it_did_there(
    headrace: Headrace, saved: Path, python: str, flavour: str
) -> None:
    assert read_mlflow(saved / flavour).flavour == flavour
    served = headrace("models", "serve", str(saved / flavour), "--name", headrace.model, "--trust", "--python", python)
    assert served["version"] == "v1"
    rows = json.loads((saved / "rows.json").read_text())
    answer = headrace("predict", headrace.model, "--rows", json.dumps(rows))
    expected = np.array(json.loads((saved / "expected.json").read_text())[flavour])
    output = "probabilities" if flavour == "sklearn" else next(iter(answer["outputs"]))
    found = np.array(answer["outputs"][output]).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    parameters = headrace("models", "show", headrace.model, "v1")["version"]["parameters"]
    assert parameters["mlflow_flavour"] == flavour
    assert parameters["mlflow_version"]
