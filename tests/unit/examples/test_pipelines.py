"""The shipped steps before and after models, run by ONNX Runtime, and the shipped pipeline."""

from pathlib import Path

import numpy as np
import pytest
from headrace_client.pipeline_files import read_pipeline

from examples.pipelines import graphs
from tests.kit.router.pipelines import onnx_run

PIPELINE = Path(graphs.__file__).with_name("pipeline.yaml")


def test_eight_bits_become_the_range_of_the_models():
    images = np.array([[0, 15, 240]], np.uint8)
    answered = onnx_run(graphs.normalise(3))({"image": images})["normalised"]
    assert answered.tolist() == [[0, 1, 16]]


def test_words_become_numbers_and_unknown_ones_zero():
    words = np.array(["green", "mauve", "red", ""], object)
    assert onnx_run(graphs.vocabulary(["red", "green"]))({"word": words})["number"].tolist() == [2, 0, 1, 0]


def test_numbers_become_columns_and_those_beyond_become_none():
    numbers = np.array([0, 2, 3, -1])
    answered = onnx_run(graphs.one_hot(3))({"number": numbers})["columns"]
    assert answered.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_scores_become_the_best_labels():
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]], np.float32)
    answered = onnx_run(graphs.top_labels(["a", "b", "c"], best=2))({"scores": scores})
    assert answered["labels"].tolist() == [["b", "c"], ["a", "c"]]
    np.testing.assert_allclose(answered["best_scores"], [[0.7, 0.2], [0.5, 0.4]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / PIPELINE.name).write_bytes(PIPELINE.read_bytes())
    return tmp_path


def test_the_shipped_pipeline_names_the_shipped_graphs(folder: Path):
    graphs.write(folder)
    found = read_pipeline(folder / PIPELINE.name)
    assert set(found.graphs) == {"normalise.onnx", "top-labels.onnx"}
    assert [step.name for step in found.pipeline.steps] == ["normalise", "linear", "network", "mean", "best"]
