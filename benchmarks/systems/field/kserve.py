"""KServe's Python model server. KServe's batcher is a sidecar for HTTP of another protocol: nothing joins requests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from headrace_servicekit.testing import free_port

from benchmarks.load import calls
from benchmarks.measures.measuring import System
from benchmarks.systems.field.contender import ENVIRONMENTS, Contender, answering, built
from benchmarks.systems.references import process
from benchmarks.systems.subject import Model

_MODEL = "recommender"


@contextlib.contextmanager
def running(folder: Path, model: Model) -> Iterator[System]:
    """Run it with the model."""
    port, log = free_port(), folder / "kserve.log"
    server = Path(__file__).parent / "kserve" / "server.py"
    command = [built("kserve") / "bin" / "python", "-P", server, _MODEL, model.file, str(port), str(free_port())]
    with process(log, command) as pid:
        call = calls.model_infer(_MODEL, model.rows, by_entity=False)
        yield answering(port, call, {"kserve": pid}, log)


KSERVE = Contender(
    "kserve",
    "KServe's Python model server",
    "Open Inference Protocol gRPC; no lines in the log for requests; without batching, for KServe's is a sidecar for "
    "HTTP of its protocol V1",
    ENVIRONMENTS / "kserve",
    ("kserve", "onnxruntime"),
    running,
)
