"""Model files as frameworks save them, served in one command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from headrace_client.errors import InvalidArgument
from headrace_client.recognition import Kind, recognise
from headrace_forge.conversion import process

from tests.kit.clients.headrace_cli import Headrace, headrace
from tests.recipes.conftest import made

__all__ = ["headrace"]

pytestmark = [pytest.mark.recipes, pytest.mark.timeout(1800)]

PACKAGES = (
    *("scikit-learn<1.9", "protobuf<7", "skl2onnx", "xgboost-cpu", "lightgbm", "onnxmltools", "packaging"),
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

# What people have whose first model this is: data of scikit-learn's own, as a table, with its names and some texts.
SAVE_OF_NEWCOMERS = """
import json, joblib, lightgbm, numpy as np, pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier, XGBRegressor

iris, cancer = load_iris(as_frame=True), load_breast_cancer(as_frame=True)
names = iris.target_names[iris.target]
table = iris.data.assign(size=np.where(iris.data["petal length (cm)"] > 4, "large", "small"))
filled = make_pipeline(SimpleImputer(), StandardScaler())
encode = ColumnTransformer([("n", filled, list(iris.data)), ("t", OneHotEncoder(), ["size"])], n_jobs=2)
coded = iris.data.assign(size=table["size"].astype("category"))
sentences = [f"The {thing} was {word}" for thing in ("film", "Book", "play") for word in ("good", "bad", "can't say")]
kinds = [sentence.split()[-1] for sentence in sentences]
small = {"n_estimators": 5, "verbose": -1, "min_child_samples": 5}
models = {
    "pipeline": Pipeline([("encode", encode), ("model", LogisticRegression(max_iter=500))]).fit(table, names),
    "frame": LogisticRegression(max_iter=500).fit(iris.data, iris.target),
    "scaled": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(iris.data, iris.target),
    "labels": SVC().fit(iris.data.values, names),
    "clusters": KMeans(3, random_state=0).fit(iris.data.values),
    "outliers": IsolationForest(n_estimators=10, random_state=0).fit(iris.data.values),
    "boosted": make_pipeline(StandardScaler(), XGBClassifier(n_estimators=3)).fit(iris.data.values, iris.target),
    "leaves": make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(**small)).fit(iris.data.values, iris.target),
    "booster": XGBClassifier(n_estimators=3).fit(iris.data, iris.target).get_booster(),
    "holder": {"model": SVC().fit(iris.data.values, iris.target), "threshold": 0.3},
    "two": make_pipeline(TfidfVectorizer(token_pattern="[a-zA-Z0-9]+"), LogisticRegression()).fit(
        sentences, [kind == "good" for kind in kinds]
    ),
    "three": make_pipeline(TfidfVectorizer(token_pattern="[a-zA-Z0-9]+"), LogisticRegression()).fit(sentences, kinds),
    "default": make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(sentences, kinds),
    "texts": HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype").fit(coded, iris.target),
}
for name, model in models.items():
    joblib.dump(model, f"{name}.pkl", compress=3)
json.dump({"inputs": {"text": sentences}}, open("sentences.json", "w"))
json.dump({"inputs": {name: [[one] for one in table[name].tolist()[::10]] for name in table}}, open("iris.json", "w"))
lightgbm.LGBMClassifier(**small).fit(cancer.data, cancer.target).booster_.save_model("binary.txt")
lightgbm.LGBMClassifier(**small).fit(coded, iris.target).booster_.save_model("categories.txt")
codes = coded.assign(size=coded["size"].cat.codes)
json.dump({"inputs": {name: [[float(one)] for one in codes[name]] for name in codes}}, open("codes.json", "w"))
kind = np.random.default_rng(1).integers(0, 5, 400)
drawn = pd.DataFrame({"value": np.random.default_rng(2).normal(size=400), "kind": pd.Categorical(kind)})
categories = XGBClassifier(n_estimators=10, enable_categorical=True, tree_method="hist", max_cat_to_onehot=1)
categories.fit(drawn, (kind % 3 == 1).astype(int)).save_model("categories.ubj")
"""


@pytest.fixture(scope="module")
def newcomers(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what newcomers have."""
    folder = tmp_path_factory.mktemp("newcomers")
    subprocess.run([python, "-W", "ignore", "-c", SAVE_OF_NEWCOMERS], cwd=folder, check=True, timeout=300)
    return folder


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


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        pytest.param("pipeline.pkl", "iris.json", id="texts and names that are no identifiers"),
        pytest.param("frame.pkl", None, id="an estimator of a table"),
        pytest.param("scaled.pkl", None, id="a pipeline of a table"),
        pytest.param("labels.pkl", None, id="labels without scores"),
        pytest.param("clusters.pkl", None, id="clusters"),
        pytest.param("outliers.pkl", None, id="outliers"),
        pytest.param("boosted.pkl", None, id="XGBoost in a pipeline"),
        pytest.param("leaves.pkl", None, id="LightGBM in a pipeline"),
        pytest.param("booster.pkl", None, id="a booster in a pickle"),
        pytest.param("two.pkl", "sentences.json", id="texts to two classes"),
        pytest.param("three.pkl", "sentences.json", id="texts to three classes"),
        pytest.param("three.pkl", None, id="texts without rows"),
        pytest.param("binary.txt", None, id="LightGBM of two classes"),
        pytest.param("categories.txt", None, id="LightGBM with categories"),
        pytest.param("categories.txt", "codes.json", id="LightGBM with categories and rows by column"),
        pytest.param("categories.ubj", None, id="XGBoost with categories"),
    ],
)
def test_what_newcomers_have_is_converted(
    newcomers: Path, python: str, tmp_path: Path, name: str, rows: str | None
) -> None:
    path = newcomers / name
    converted = process.convert(
        recognise(path), path, tmp_path, rows=None if rows is None else newcomers / rows, python=python
    )
    assert max(converted.difference, converted.edge_difference) < 1e-5
    assert converted.edge_cases > 4
    assert converted.generated is (rows is None)


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        pytest.param("holder.pkl", None, "save the model alone", id="a dictionary"),
        pytest.param("default.pkl", "sentences.json", "'.a-zA-Z0-9.+' is exact", id="words that ONNX splits otherwise"),
        pytest.param("texts.pkl", "iris.json", "encode them first", id="texts without an encoder"),
        pytest.param("categories.txt", "iris.json", "numbers of these categories", id="texts as categories"),
        pytest.param("pipeline.pkl", None, "validation.json", id="texts and no rows"),
    ],
)
def test_what_newcomers_have_and_is_not_converted_says_what_to_do(
    newcomers: Path, python: str, tmp_path: Path, name: str, rows: str | None, words: str
) -> None:
    path = newcomers / name
    with pytest.raises(InvalidArgument, match=words):
        process.convert(recognise(path), path, tmp_path, rows=None if rows is None else newcomers / rows, python=python)


def test_columns_have_the_names_of_the_table(headrace: Headrace, newcomers: Path, python: str) -> None:
    rows = f"validation.json={newcomers / 'iris.json'}"
    options = ("--name", headrace.model, "--trust", "--python", python, "--artifact", rows)
    served = headrace("models", "serve", str(newcomers / "pipeline.pkl"), *options)
    assert sum(served["outputs"]["probabilities"][0]) == pytest.approx(1.0, abs=1e-3)
    contract = headrace("models", "show", headrace.model, "v1")["version"]["contract"]
    assert [one["name"] for one in contract["inputs"]][:2] == ["sepal length (cm)", "sepal width (cm)"]
