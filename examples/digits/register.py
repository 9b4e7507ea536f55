"""The versions in the registry, and the split between them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
from headrace.router.v1 import route_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_client import Client, Lineage, Production, Variant, Version
from pyarrow import parquet
from sklearn import __version__ as sklearn_version

from examples.digits.train import PIXELS, Candidate, Digits, Images
from examples.versions import Registered, register_once

MODEL = "digits"
STABLE = "stable"
CHALLENGER = "challenger"


def contract() -> tensor_pb2.ServingContract:
    """Return what callers of every version may rely on."""
    spec = tensor_pb2.TensorSpec
    return tensor_pb2.ServingContract(
        inputs=[spec(name="image", datatype="FP32", shape=[PIXELS], kind=spec.KIND_NUMERIC, minimum=0, maximum=16)],
        outputs=[spec(name="label", datatype="INT64"), spec(name="probabilities", datatype="FP32", shape=[10])],
        prediction="label",
        task=tensor_pb2.ServingContract.TASK_CLASSIFICATION,
        labels=[str(digit) for digit in range(10)],
    )


def register(client: Client, candidate: Candidate, digits: Digits, folder: Path, parent: str = "") -> Registered:
    """Register a candidate unless the registry has it; return under which version it is known."""

    def create(name: str) -> None:
        client.versions.register(
            MODEL,
            name,
            candidate.file,
            contract=contract(),
            metrics={
                "accuracy": candidate.accuracy,
                "latency_p50_ms": candidate.latency_p50_ms,
                "latency_p99_ms": candidate.latency_p99_ms,
            },
            parameters=candidate.parameters,
            artifacts={
                "validation.json": _validation(candidate, digits.validation, folder),
                # What the monitor holds the images against that come in.
                "reference.parquet": _reference(digits.training, folder),
            },
            lineage=Lineage(
                parent_version=parent,
                run="examples/digits",
                dataset=f"sklearn.datasets.load_digits@{sklearn_version}",
                code_revision="examples/digits/train.py",
            ),
            description=candidate.description,
        )

    return register_once(client, MODEL, candidate.version, candidate.file, create)


def _validation(candidate: Candidate, images: Images, folder: Path) -> Path:
    """Write images with what the candidate makes of them here; batchers compare what they compute with that."""
    content = {
        "inputs": {"image": images.pixels.astype(int).tolist()},
        "outputs": {"probabilities": candidate.probabilities(images).tolist()},
        "labels": images.labels.tolist(),
    }
    file = folder / f"{candidate.version}-validation.json"
    file.write_text(json.dumps(content, separators=(",", ":")))
    return file


def _reference(images: Images, folder: Path) -> Path:
    """Write the images as the monitor names what it is asked with: a column for each pixel."""
    columns = {f"image.{index}": images.pixels[:, index] for index in range(PIXELS)}
    file = folder / "reference.parquet"
    parquet.write_table(pyarrow.table(columns), file)
    return file


def split(client: Client, challenger: str) -> str:
    """Send 90 % of the users to whatever is in production and 10 % to the challenger; return what happened."""
    wanted = (Variant(STABLE, Production(), 90), Variant(CHALLENGER, Version(challenger), 10))
    present = client.routes.get(MODEL).route
    if present.rules:  # of a run that was stopped in between
        present = client.routes.set_rules(MODEL, (), reason="demo: start over").route
    if present.etag and [_declared(one) for one in present.variants] == [_declared(one.to_proto()) for one in wanted]:
        return "the split of an earlier run is in force"
    changed = client.routes.split(MODEL, wanted, reason="demo: a first look at the challenger")
    return (
        f"generation {changed.status.generation}, {100 * changed.moved_share:.1f} % of the users changed their variant"
    )


def _declared(variant: route_pb2.Variant) -> tuple[str, str, float]:
    """Return what we say of a variant, without what the server adds."""
    serves = variant.WhichOneof("serves") or ""
    return variant.name, f"{serves}={getattr(variant, serves, '')}", variant.weight
