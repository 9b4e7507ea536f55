"""The field: Headrace, and the systems that it is measured beside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.checkout import ROOT
from benchmarks.load import calls
from benchmarks.measures import scenarios
from benchmarks.measures.measuring import System
from benchmarks.systems import references, starting
from benchmarks.systems.field.bentoml import BENTOML
from benchmarks.systems.field.contender import Contender, answering, rows
from benchmarks.systems.field.kserve import KSERVE
from benchmarks.systems.field.mlserver import MLSERVER, MLSERVER_UNBATCHED
from benchmarks.systems.field.mosec import MOSEC
from benchmarks.systems.field.ray_serve import RAY_SERVE
from benchmarks.systems.stack import running_stack
from benchmarks.systems.subject import Model


@contextlib.contextmanager
def _headrace(_folder: Path, model: Model) -> Iterator[System]:
    stack = running_stack()
    starting.prepare(stack, model)
    yield starting.headrace(stack, model)


@contextlib.contextmanager
def _triton(folder: Path, model: Model) -> Iterator[System]:
    with references.triton(folder, model.file) as server:
        call = calls.model_infer(references.TRITON_MODEL, model.rows, by_entity=False)
        yield answering(server.address[1], call, server.processes, folder / "triton.log")


HEADRACE = Contender(
    scenarios.HEADRACE,
    "Headrace",
    "gRPC Predict, or natural JSON where its row says so, through the front door, with token, scope and rate checked "
    "for each of eight clients; a route of two variants; answers recorded; all processes of the stack counted",
    ROOT / ".venv",
    ("headrace-router",),
    _headrace,
    (
        *rows(scenarios.HEADRACE, "headrace", "Headrace, all online", "predict"),
        *rows(scenarios.HEADRACE, "headrace-80-20", "Headrace, 80 % kept, 20 % online", "predict", scenarios.MIXED),
        *rows(scenarios.HEADRACE, "headrace-json", "Headrace, natural JSON, 80/20", "json", scenarios.MIXED),
    ),
)
TRITON = Contender(
    scenarios.TRITON,
    "Triton called directly",
    "gRPC ModelInfer; dynamic batching of up to 32 requests without queue delay; one instance of the Python backend",
    ROOT / ".headrace" / "triton-venv",
    ("nvidia-pytriton", "onnxruntime"),
    _triton,
)
FIELD = (HEADRACE, TRITON, MLSERVER, MLSERVER_UNBATCHED, KSERVE, BENTOML, RAY_SERVE, MOSEC)
