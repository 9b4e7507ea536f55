"""Model files as frameworks save them, served in one command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from headrace_client.conversion import process
from headrace_client.conversion.recognition import Kind, recognise
from headrace_client.errors import InvalidArgument

from tests.kit.headrace_cli import Headrace, headrace
from tests.recipes.conftest import made

__all__ = ["headrace"]

pytestmark = [pytest.mark.recipes, pytest.mark.timeout(1800)]

PACKAGES = (
    *("scikit-learn", "skl2onnx", "xgboost-cpu", "lightgbm", "onnxmltools", "packaging"),
    *("onnxruntime", "pandas", "joblib"),
)
SAVE = """
import json, pickle
import joblib, lightgbm, numpy as np, pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor

features, labels = load_iris(return_X_y=True)
table = pd.DataFrame(features, columns=["a", "b", "c", "d"])
XGBClassifier(n_estimators=5).fit(table, labels).save_model("classifier.json")
XGBRegressor(n_estimators=5).fit(features, labels).save_model("regressor.ubj")
lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(table, labels).booster_.save_model("classifier.txt")
lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(features, labels).booster_.save_model("regressor.txt")
pickle.dump(LogisticRegression(max_iter=500).fit(features, labels), open("classifier.pkl", "wb"))
joblib.dump(RandomForestRegressor(n_estimators=5).fit(features, labels), "regressor.joblib")
people = pd.DataFrame({"age": [20.0, 30, 40, 50] * 10, "city": ["Oslo", "Rome", "Oslo", "Bern"] * 10})
steps = make_column_transformer((StandardScaler(), ["age"]), (OneHotEncoder(), ["city"]))
pickle.dump(make_pipeline(steps, LogisticRegression()).fit(people, [0, 1, 0, 1] * 10), open("pipeline.pkl", "wb"))
rows = {"age": [[21.0], [33.0]], "city": [["Rome"], ["Bern"]]}
json.dump({"inputs": rows}, open("rows.json", "w"))
"""


@pytest.fixture(scope="module")
def python() -> str:
    return str(made("conversions", PACKAGES) / "bin" / "python")


@pytest.fixture(scope="module")
def saved(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the frameworks save."""
    folder = tmp_path_factory.mktemp("saved")
    subprocess.run([python, "-W", "ignore", "-c", SAVE], cwd=folder, check=True, timeout=300)
    return folder


@pytest.mark.parametrize(
    ("name", "kind", "columns"),
    [
        ("classifier.json", Kind.XGBOOST, ("a", "b", "c", "d")),
        ("regressor.ubj", Kind.XGBOOST, ()),
        ("classifier.txt", Kind.LIGHTGBM, ("a", "b", "c", "d")),
        ("regressor.txt", Kind.LIGHTGBM, ()),
        ("classifier.pkl", Kind.PICKLE, ()),
        ("regressor.joblib", Kind.PICKLE, ()),
    ],
)
def test_a_saved_model_is_converted_and_answers_as_before(
    saved: Path, python: str, tmp_path: Path, name: str, kind: Kind, columns: tuple[str, ...]
) -> None:
    assert recognise(saved / name) is kind
    converted = process.convert(kind, saved / name, tmp_path, python=python)
    assert (converted.rows, converted.generated, converted.columns) == (256, True, columns)
    assert converted.difference < 1e-5
    assert len(json.loads(converted.validation.read_text())["inputs"]["features"]) == 64


def test_a_pipeline_over_columns_is_converted_with_rows_that_are_given(
    saved: Path, python: str, tmp_path: Path
) -> None:
    converted = process.convert(Kind.PICKLE, saved / "pipeline.pkl", tmp_path, rows=saved / "rows.json", python=python)
    assert (converted.rows, converted.generated) == (2, False)
    with pytest.raises(InvalidArgument, match="apart from scikit-learn"):
        process.convert(
            Kind.PICKLE, saved / "pipeline.pkl", tmp_path, rows=saved / "rows.json", python=python, max_difference=0
        )


def test_a_file_is_served_in_one_command(headrace: Headrace, saved: Path, python: str) -> None:
    served = headrace("models", "serve", str(saved / "classifier.json"), "--name", headrace.model, "--python", python)
    assert served["version"] == "v1"
    (probabilities,) = served["outputs"]["probabilities"]
    assert sum(probabilities) == pytest.approx(1.0, abs=1e-3)
    version = headrace("models", "show", headrace.model, "v1")["version"]
    assert version["parameters"]["framework"].startswith("xgboost ")
    assert version["contract"]["inputs"][0]["columns"] == ["a", "b", "c", "d"]
    again = headrace(
        "models", "serve", str(saved / "classifier.pkl"), "--name", headrace.model, "--trust", "--python", python
    )
    assert again["version"] == "v2"
