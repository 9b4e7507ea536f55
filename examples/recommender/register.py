"""The versions in the registry, with what promotions of this model are judged by."""

from __future__ import annotations

import json
from pathlib import Path

from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_client import Client, Lineage

from examples.recommender.train import ITEM_FEATURES, USER_FEATURES, Array, Candidate, Interactions
from examples.versions import Registered, register_once

MODEL = "recommender"
# What the file in the registry holds; the numbers of the table are from all validation interactions.
_VALIDATION_ROWS = 200


def contract() -> tensor_pb2.ServingContract:
    """Return what callers of every version may rely on."""
    spec = tensor_pb2.TensorSpec
    return tensor_pb2.ServingContract(
        inputs=[
            spec(name="user_features", datatype="FP32", shape=[USER_FEATURES], kind=spec.KIND_EMBEDDING),
            spec(name="item_features", datatype="FP32", shape=[ITEM_FEATURES], kind=spec.KIND_EMBEDDING),
        ],
        outputs=[spec(name="scores", datatype="FP32", shape=[1], minimum=0, maximum=1)],
        prediction="scores",
        task=tensor_pb2.ServingContract.TASK_RANKING,
    )


def gates() -> list[registry_pb2.PromotionGate]:
    """Return what a version must show: it ranks better than chance, no worse than what it replaces, and is quick."""
    gate = registry_pb2.PromotionGate
    return [
        gate(metric="auc", minimum=0.6),
        gate(metric="auc", minimum_delta=-0.01),
        gate(metric="latency_p99_ms", maximum=100),
    ]


def register(client: Client, candidate: Candidate, seen: Interactions, folder: Path, parent: str = "") -> Registered:
    """Register a candidate unless the registry has it; return under which version it is known."""

    def create(name: str) -> None:
        client.versions.register(
            MODEL,
            name,
            candidate.file,
            contract=contract(),
            metrics={
                "auc": candidate.auc,
                "log_loss": candidate.log_loss,
                "latency_p50_ms": candidate.latency_p50_ms,
                "latency_p99_ms": candidate.latency_p99_ms,
            },
            parameters=candidate.parameters,
            artifacts={"validation.json": _validation(candidate, seen, folder)},
            lineage=Lineage(
                parent_version=parent,
                run="examples/recommender",
                dataset="made up by examples/recommender/train.py",
                code_revision="examples/recommender/train.py",
            ),
            description=candidate.description,
        )

    return register_once(client, MODEL, candidate.version, candidate.file, create)


def _validation(candidate: Candidate, seen: Interactions, folder: Path) -> Path:
    """Write pairs with the scores that the candidate gives them here; batchers compare what they compute with that."""
    users, items = seen.users[:_VALIDATION_ROWS], seen.items[:_VALIDATION_ROWS]
    content = {
        "inputs": {"user_features": _short(users), "item_features": _short(items)},
        "outputs": {"scores": candidate.scores(users, items).tolist()},
        "labels": seen.clicked[:_VALIDATION_ROWS].astype(int).tolist(),
    }
    file = folder / f"{candidate.version}-validation.json"
    file.write_text(json.dumps(content, separators=(",", ":")))
    return file


def _short(features: Array) -> list[list[float]]:
    # They were drawn to three digits; the noise of float32 behind them would triple the file.
    return features.astype("f8").round(3).tolist()
