"""Two models of what users click, trained on interactions that this module makes up, and exported to ONNX.

The clicks are simulated: users and items are drawn at random, with hidden tastes and traits that set each click's
probability. The same seed and libraries give the same bytes, so a second run of the demo finds the versions of the
first.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import log_loss, roc_auc_score
from threadpoolctl import threadpool_limits

USER_FEATURES, ITEM_FEATURES = 128, 64
USERS, ITEMS = 2000, 500
TRAINING_CLICKS, VALIDATION_CLICKS = 40_000, 8_000
TASTES = 8

_SEED = 11
_BATCH, _EPOCHS, _RATE = 512, 6, 0.01
_PENALTY = 1e-4
_TIMED_CALLS = 300

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Interactions:
    """Users who saw items: `users` FP32 [n, 128], `items` FP32 [n, 64], `clicked` [n], 0 or 1."""

    users: Array
    items: Array
    clicked: Array


@dataclass(frozen=True, slots=True)
class World:
    """Everybody and everything, by features, and what happened."""

    users: Array
    items: Array
    training: Interactions
    validation: Interactions


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained model, ready to be registered.

    auc, log_loss: on the validation interactions. latency_*_ms: of one pair in ONNX Runtime on this machine.
    """

    version: str
    description: str
    file: Path
    auc: float
    log_loss: float
    latency_p50_ms: float
    latency_p99_ms: float
    parameters: dict[str, str]

    def scores(self, users: Array, items: Array) -> Array:
        """Return the probability of a click for each pair, FP32 [n, 1], as ONNX Runtime computes it."""
        session = onnxruntime.InferenceSession(self.file, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(["scores"], {"user_features": users, "item_features": items})[0], np.float32)


def make_up() -> World:
    """Draw users, items, and who clicked what: a matter of an item's appeal and of taste meeting trait."""
    rng = np.random.default_rng(_SEED)
    tastes, traits = rng.normal(size=(USERS, TASTES)), rng.normal(size=(ITEMS, TASTES))
    appeal = rng.normal(size=(ITEMS, 1))
    users = _seen_as(tastes, USER_FEATURES, rng)
    items = _seen_as(np.hstack([traits, appeal]), ITEM_FEATURES, rng)

    def happened(count: int) -> Interactions:
        user, item = rng.integers(USERS, size=count), rng.integers(ITEMS, size=count)
        attraction = appeal[item, 0] + 2.0 * (tastes[user] * traits[item]).sum(axis=1) / np.sqrt(TASTES) - 0.5
        clicked = rng.random(count) < 1 / (1 + np.exp(-attraction))
        return Interactions(users[user], items[item], clicked.astype(np.float32))

    return World(users, items, happened(TRAINING_CLICKS), happened(VALIDATION_CLICKS))


def train(world: World, folder: Path) -> tuple[Candidate, Candidate]:
    """Train, export and measure both versions; the files are written to `folder`."""
    # One thread: sums in another order would give other bytes.
    with threadpool_limits(1):
        return (
            _candidate("v1", "popularity: logistic regression on both sides", 0, world, folder),
            _candidate("v2", "two towers of rank 16 beside it", 16, world, folder),
        )


def _seen_as(hidden: NDArray[np.float64], features: int, rng: np.random.Generator) -> Array:
    """Return what can be observed of hidden traits: random mixtures of them, with noise, to three digits."""
    mixed = hidden @ rng.normal(size=(hidden.shape[1], features)) / np.sqrt(hidden.shape[1])
    return np.round(mixed + 0.3 * rng.normal(size=mixed.shape), 3).astype(np.float32)


def _candidate(version: str, description: str, rank: int, world: World, folder: Path) -> Candidate:
    file = folder / f"{version}.onnx"
    file.write_bytes(_exported(_fitted(world.training, rank), version))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    seen = world.validation
    scores = np.asarray(session.run(None, {"user_features": seen.users, "item_features": seen.items})[0])[:, 0]
    p50_ms, p99_ms = _latency_ms(session, seen)
    return Candidate(
        version=version,
        description=description,
        file=file,
        auc=float(roc_auc_score(seen.clicked, scores)),
        log_loss=float(log_loss(seen.clicked, scores)),
        latency_p50_ms=p50_ms,
        latency_p99_ms=p99_ms,
        parameters={"rank": str(rank), "epochs": str(_EPOCHS)},
    )


def _fitted(seen: Interactions, rank: int) -> dict[str, Array]:
    """Fit P(click) = sigmoid(bias + a·user + b·item + (user U)·(item V)) by Adam; rank 0 has neither U nor V."""
    rng = np.random.default_rng(_SEED)
    weights = {
        "bias": np.zeros((1,)),
        "a": np.zeros((USER_FEATURES, 1)),
        "b": np.zeros((ITEM_FEATURES, 1)),
        "U": rng.normal(size=(USER_FEATURES, rank)) * 0.05,
        "V": rng.normal(size=(ITEM_FEATURES, rank)) * 0.05,
    }
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    for step, (users, items, clicked) in enumerate(_batches(seen, rng), start=1):
        left, right = users @ weights["U"], items @ weights["V"]
        logits = weights["bias"] + users @ weights["a"] + items @ weights["b"] + (left * right).sum(1, keepdims=True)
        error = (1 / (1 + np.exp(-logits)) - clicked) / len(users)
        slopes = {
            "bias": error.sum(0),
            "a": users.T @ error,
            "b": items.T @ error,
            "U": users.T @ (error * right),
            "V": items.T @ (error * left),
        }
        for name, slope in slopes.items():
            slope = slope + _PENALTY * weights[name]
            first[name] = 0.9 * first[name] + 0.1 * slope
            second[name] = 0.999 * second[name] + 0.001 * slope**2
            pace = _RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            weights[name] -= pace * first[name] / (np.sqrt(second[name]) + 1e-8)
    return {name: value.astype(np.float32) for name, value in weights.items()}


def _batches(seen: Interactions, rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array]]:
    for _ in range(_EPOCHS):
        order = rng.permutation(len(seen.clicked))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            yield seen.users[rows], seen.items[rows], seen.clicked[rows, None]


def _exported(weights: dict[str, Array], version: str) -> bytes:
    """Return the ONNX model: user_features [rows, 128], item_features [rows, 64] → scores [rows, 1]."""
    nodes = [
        helper.make_node("MatMul", ["user_features", "a"], ["of_user"]),
        helper.make_node("MatMul", ["item_features", "b"], ["of_item"]),
        helper.make_node("Sum", ["of_user", "of_item", "bias"], ["apart"]),
    ]
    if weights["U"].shape[1]:
        nodes += [
            helper.make_node("MatMul", ["user_features", "U"], ["left"]),
            helper.make_node("MatMul", ["item_features", "V"], ["right"]),
            helper.make_node("Mul", ["left", "right"], ["products"]),
            helper.make_node("ReduceSum", ["products", "axes"], ["met"], keepdims=1),
            helper.make_node("Add", ["apart", "met"], ["logit"]),
        ]
        constants = {**weights, "axes": np.array([1], dtype=np.int64)}
    else:
        nodes.append(helper.make_node("Identity", ["apart"], ["logit"]))
        constants = {name: weights[name] for name in ("bias", "a", "b")}
    nodes.append(helper.make_node("Sigmoid", ["logit"], ["scores"]))
    graph = helper.make_graph(
        nodes,
        f"recommender_{version}",
        [
            helper.make_tensor_value_info("user_features", TensorProto.FLOAT, ["rows", USER_FEATURES]),
            helper.make_tensor_value_info("item_features", TensorProto.FLOAT, ["rows", ITEM_FEATURES]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _latency_ms(session: onnxruntime.InferenceSession, seen: Interactions) -> tuple[float, float]:
    """Return p50 and p99 of single pairs, in milliseconds."""
    taken_ms = []
    for row in range(_TIMED_CALLS):
        pair = {"user_features": seen.users[row : row + 1], "item_features": seen.items[row : row + 1]}
        start = time.perf_counter()
        session.run(None, pair)
        taken_ms.append((time.perf_counter() - start) * 1e3)
    cuts = statistics.quantiles(taken_ms, n=100)
    return cuts[49], cuts[98]
