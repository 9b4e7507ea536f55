"""Two classifiers of handwritten digits, trained on scikit-learn's images and exported to ONNX.

The same data, seeds and libraries give the same bytes: a second run of the demo finds the versions of the first.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from threadpoolctl import threadpool_limits

PIXELS = 64
_SEED = 1
_OPSET = 17
_TIMED_CALLS = 300


@dataclass(frozen=True, slots=True)
class Images:
    """Images of one purpose: `pixels` FP32 [n, 64] with values 0 to 16, `labels` INT64 [n]."""

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Digits:
    """The data set in three parts that share no image."""

    training: Images
    validation: Images
    held_out: Images


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained classifier, ready to be registered.

    accuracy: on the validation images, 0 to 1. latency_*_ms: of one image in ONNX Runtime on this machine.
    """

    version: str
    description: str
    file: Path
    accuracy: float
    latency_p50_ms: float
    latency_p99_ms: float
    parameters: dict[str, str]

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Return what ONNX Runtime computes here: [images, 10]."""
        session = onnxruntime.InferenceSession(self.file, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(["probabilities"], {"image": images.pixels})[0], np.float32)


def load() -> Digits:
    """Return half of the images for training, a fifth for validation, and the rest held out."""
    bunch: Any = load_digits()
    pixels, labels = bunch.data.astype(np.float32), bunch.target.astype(np.int64)
    training, rest = _part(Images(pixels, labels), second_share=0.5)
    validation, held_out = _part(rest, second_share=0.6)
    return Digits(training, validation, held_out)


def _part(images: Images, *, second_share: float) -> tuple[Images, Images]:
    """Part the images at random, with the same shares of each digit on both sides."""
    parts: Any = train_test_split(
        images.pixels, images.labels, test_size=second_share, random_state=_SEED, stratify=images.labels
    )
    first, second, first_labels, second_labels = parts
    return Images(first, first_labels), Images(second, second_labels)


def train(digits: Digits, folder: Path) -> tuple[Candidate, Candidate]:
    """Train, export and measure both versions; the files are written to `folder`."""
    # One thread: sums in another order would give other bytes.
    with threadpool_limits(1):
        linear = make_pipeline(MinMaxScaler(), LogisticRegression(C=0.1, max_iter=300))
        linear.fit(digits.training.pixels, digits.training.labels)
        network = make_pipeline(
            MinMaxScaler(), MLPClassifier((128,), learning_rate_init=0.003, max_iter=200, random_state=_SEED)
        )
        network.fit(digits.training.pixels, digits.training.labels)
    return (
        _candidate("v1", "logistic regression", linear, {"C": "0.1"}, digits, folder),
        _candidate("v2", "multi-layer perceptron, 128 hidden units", network, {"hidden_units": "128"}, digits, folder),
    )


def _candidate(
    version: str, description: str, model: Pipeline, parameters: dict[str, str], digits: Digits, folder: Path
) -> Candidate:
    file = folder / f"{version}.onnx"
    inputs: Any = [("image", FloatTensorType([None, PIXELS]))]
    exported: Any = to_onnx(
        model,
        initial_types=inputs,
        options={"zipmap": False},
        target_opset=_OPSET,
        # Without a name of our own the exporter takes a random one, and no two files are alike.
        name=f"digits_{version}",
    )
    # The exporter lists operator sets in the order of a Python set, some twice.
    opsets = sorted({opset.domain: opset.version for opset in exported.opset_import}.items())
    del exported.opset_import[:]
    for domain, opset in opsets:
        exported.opset_import.add(domain=domain, version=opset)
    file.write_bytes(exported.SerializeToString(deterministic=True))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    predicted = np.asarray(session.run(["label"], {"image": digits.validation.pixels})[0])
    p50_ms, p99_ms = _latency_ms(session, digits.validation.pixels)
    return Candidate(
        version=version,
        description=description,
        file=file,
        accuracy=float(np.mean(predicted == digits.validation.labels)),
        latency_p50_ms=p50_ms,
        latency_p99_ms=p99_ms,
        parameters=parameters,
    )


def _latency_ms(session: onnxruntime.InferenceSession, pixels: NDArray[np.float32]) -> tuple[float, float]:
    """Return p50 and p99 of single images, in milliseconds."""
    taken_ms = []
    for call in range(_TIMED_CALLS):
        row = call % len(pixels)
        start = time.perf_counter()
        session.run(None, {"image": pixels[row : row + 1]})
        taken_ms.append((time.perf_counter() - start) * 1e3)
    cuts = statistics.quantiles(taken_ms, n=100)
    return cuts[49], cuts[98]
