"""Model files that no recipe has, each from file to compared prediction in one command: converted, or as code."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace_stack.testing import held_stack

from tests.kit.clients.headrace_cli import Headrace
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests
from tests.recipes.conftest import made

pytestmark = [pytest.mark.recipes, pytest.mark.timeout(1800)]

PACKAGES = (
    *("scikit-learn<1.9", "protobuf<7", "skl2onnx", "xgboost-cpu", "lightgbm", "onnxmltools", "packaging"),
    *("onnx", "onnxruntime", "pandas", "joblib", "catboost"),
)
MODULE = """
from sklearn.base import BaseEstimator, TransformerMixin


class Ratios(TransformerMixin, BaseEstimator):
    def fit(self, rows, labels=None):
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows):
        return rows / (1 + abs(rows).sum(axis=1, keepdims=True))
"""
SAVE = """
import json, joblib, numpy as np, pandas as pd
from catboost import CatBoostClassifier, CatBoostRegressor
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PowerTransformer
from sklearn.svm import LinearSVC
from ratios_of_ours import Ratios

random = np.random.default_rng(0)
rows = random.normal(size=(300, 4))
flags, kinds = (rows[:, 0] > 0).astype(int), np.array(["a", "b", "c"])[random.integers(0, 3, 300)]
table = pd.DataFrame(rows, columns=list("abcd")).assign(city=random.choice(["Oslo", "Rome", "Bern"], 300))
quiet = {"iterations": 20, "verbose": 0, "allow_writing_files": False}
two = CatBoostClassifier(**quiet).fit(rows, flags)
two.save_model("two.cbm"), two.save_model("two.json", format="json"), two.save_model("two.onnx", format="onnx")
CatBoostClassifier(**quiet).fit(rows, kinds).save_model("three.cbm")
CatBoostRegressor(**quiet).fit(rows, rows[:, 1]).save_model("number.cbm")
CatBoostClassifier(cat_features=["city"], **quiet).fit(table, flags).save_model("city.cbm")
sentences = [f"The {thing} was {word}" for thing in ("film", "Book", "play") for word in ("good", "bad", "can't")]
named = [sentence.split()[-1] for sentence in sentences]
encode = make_column_transformer((PowerTransformer(), list("abcd")), (OneHotEncoder(handle_unknown="ignore"), ["city"]))
models = {
    "words": make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(sentences, named),
    "letters": make_pipeline(CountVectorizer(analyzer="char_wb"), LinearSVC()).fit(sentences, named),
    "absolute": make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(abs(rows), flags),
    "ratios": make_pipeline(Ratios(), LogisticRegression()).fit(rows, flags),
    "table": make_pipeline(encode, LogisticRegression()).fit(table, flags),
    "ridge": make_pipeline(FunctionTransformer(np.sin), Ridge()).fit(rows, rows[:, 1]),
}
for name, model in models.items():
    joblib.dump(model, f"{name}.joblib")
json.dump({"inputs": {name: [[one] for one in table[name].tolist()[:20]] for name in table}}, open("table.json", "w"))
"""


@pytest.fixture(scope="module")
def python() -> str:
    return str(made("as-code", PACKAGES) / "bin" / "python")


@pytest.fixture(scope="module")
def saved(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "ratios_of_ours.py").write_text(MODULE)
    subprocess.run([python, "-W", "ignore", "-c", SAVE], cwd=folder, check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def taking_code() -> Iterator[RunningStack]:
    allowed = {"REGISTRY_ALLOW_CODE": "true", "BATCHER_ALLOW_CODE": "true"}
    os.environ.update(allowed)
    try:
        with held_stack(home_for_tests(f"as-code-{os.getpid()}")) as settings:
            yield RunningStack(settings)
    finally:
        for name in allowed:
            del os.environ[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("two.cbm", (), id="CatBoost"),
        pytest.param("two.json", (), id="CatBoost as JSON"),
        pytest.param("two.onnx", (), id="CatBoost's ONNX with dictionaries"),
        pytest.param("three.cbm", (), id="CatBoost with three classes"),
        pytest.param("number.cbm", (), id="CatBoost of a number"),
        pytest.param("city.cbm", ("--as-code", "--artifact", "validation.json=table.json"), id="CatBoost, categories"),
        pytest.param("words.joblib", ("--as-code",), id="words as Python splits them"),
        pytest.param("letters.joblib", ("--as-code",), id="letters to labels without scores"),
        pytest.param("absolute.joblib", ("--as-code",), id="a function"),
        pytest.param(
            "ratios.joblib", ("--as-code", "--artifact", "ratios_of_ours.py=ratios_of_ours.py"), id="a transformer"
        ),
        pytest.param("table.joblib", ("--as-code", "--artifact", "validation.json=table.json"), id="a table"),
        pytest.param("ridge.joblib", ("--as-code",), id="a function to a number"),
    ],
)
def test_a_file_is_served_in_one_command_and_answers_as_its_framework(
    taking_code: RunningStack, saved: Path, python: str, monkeypatch: pytest.MonkeyPatch, name: str, words: tuple
) -> None:
    monkeypatch.chdir(saved)
    headrace = Headrace(taking_code, saved, name.replace(".", "-"))
    served = headrace("models", "serve", name, "--name", headrace.model, "--trust", "--python", python, *words)
    assert served["compared"]["rows"] > 8
    assert served["compared"]["difference"] < 1e-5


def test_what_is_not_converted_exactly_offers_code(taking_code: RunningStack, saved: Path, python: str) -> None:
    headrace = Headrace(taking_code, saved, "offered")
    for name in ("city.cbm", "words.joblib", "absolute.joblib"):
        refused = headrace.run("models", "serve", str(saved / name), "--trust", "--python", python)
        assert "--as-code" in refused.stderr
