"""Folders as MLflow itself writes them, by its defaults and as pickles, served in one command, answering as there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from headrace_forge.mlflow_folders import read_mlflow

from tests.kit.clients.headrace_cli import Headrace, headrace
from tests.recipes.conftest import made

__all__ = ["headrace"]

pytestmark = [pytest.mark.recipes, pytest.mark.timeout(1800)]

PACKAGES = (
    *("mlflow-skinny", "scikit-learn<1.9", "protobuf<7", "skl2onnx", "xgboost-cpu", "onnxmltools", "onnxruntime"),
    *("packaging", "pandas", "joblib", "cloudpickle", "skops"),
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
mlflow.sklearn.save_model(pipeline, "pickled", serialization_format="cloudpickle")
mlflow.sklearn.save_model(pipeline, "sklearn", serialization_format="skops", input_example=features[:3])
mlflow.xgboost.save_model(trees, "xgboost")
rows = features[::15]
expected = dict.fromkeys(("pickled", "sklearn"), pipeline.predict_proba(rows))
expected["xgboost"] = mlflow.pyfunc.load_model("xgboost").predict(rows)
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


@pytest.mark.parametrize(
    ("folder", "flavour", "words"),
    [
        pytest.param("sklearn", "sklearn", (), id="scikit-learn by skops, which needs no trust"),
        pytest.param("pickled", "sklearn", ("--trust",), id="scikit-learn by cloudpickle"),
        pytest.param("xgboost", "xgboost", (), id="XGBoost"),
    ],
)
def test_a_folder_of_mlflow_is_served_and_answers_as_it_did_there(
    headrace: Headrace, saved: Path, python: str, folder: str, flavour: str, words: tuple[str, ...]
) -> None:
    assert read_mlflow(saved / folder).flavour == flavour
    served = headrace("models", "serve", str(saved / folder), "--name", headrace.model, "--python", python, *words)
    assert served["version"] == "v1"
    # Those that were logged with the model, or as many random ones as are compared.
    assert served["compared"]["rows"] == (3 if folder == "sklearn" else 16)
    rows = json.loads((saved / "rows.json").read_text())
    answer = headrace("predict", headrace.model, "--rows", json.dumps(rows))
    expected = np.array(json.loads((saved / "expected.json").read_text())[folder])
    output = "probabilities" if flavour == "sklearn" else next(iter(answer["outputs"]))
    found = np.array(answer["outputs"][output]).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    parameters = headrace("models", "show", headrace.model, "v1")["version"]["parameters"]
    assert parameters["mlflow_flavour"] == flavour
    assert parameters["mlflow_version"]
