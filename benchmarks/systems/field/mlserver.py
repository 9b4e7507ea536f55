"""MLServer, which is also Seldon Core's inference server for Python: with its adaptive batching, and without."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from headrace_servicekit.testing import free_port
from headrace_stack import foreign_environments

from benchmarks.checkout import ROOT
from benchmarks.load import calls
from benchmarks.measures.measuring import System
from benchmarks.systems.field.contender import Contender, answering
from benchmarks.systems.references import process
from benchmarks.systems.subject import Model

_MODEL = "recommender"
_ENVIRONMENT = ROOT / ".headrace" / "mlserver-venv"
_PACKAGES = ("mlserver", "onnxruntime")
# It waits for others whenever it batches, and its documentation says to look for the time that suits: under load this
# was the fastest of 1, 2, 3 and 5 ms. Who asks alone waits for it too.
_BATCHING = {"max_batch_size": 32, "max_batch_time": 0.005}


@contextlib.contextmanager
def running(folder: Path, model: Model, batching: Mapping[str, float]) -> Iterator[System]:
    """Run it with the model, which runs in the server's own process.

    With a worker process, which does not start on a newer uvloop than 0.21, it was slower here.
    """
    models = folder / "models"
    (models / _MODEL).mkdir(parents=True)
    settings = {
        "name": _MODEL,
        "implementation": "model.Recommender",
        "parameters": {"uri": str(model.file)},
        **batching,
    }
    (models / _MODEL / "model-settings.json").write_text(json.dumps(settings))
    port, log = free_port(), folder / "mlserver.log"
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent / "mlserver"),
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_GRPC_PORT": str(port),
        "MLSERVER_HTTP_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_ENVIRONMENTS_DIR": str(folder / "environments"),
        "MLSERVER_METRICS_DIR": str(folder),
        "MLSERVER_DEBUG": "false",
    }
    program = foreign_environments.build(ROOT, "mlserver") / "bin" / "mlserver"
    with process(log, [program, "start", models], environment) as pid:
        call = calls.model_infer(_MODEL, model.rows, by_entity=False)
        yield answering(port, call, {"mlserver": pid}, log)


MLSERVER = Contender(
    "mlserver",
    "MLServer, adaptive batching",
    "gRPC ModelInfer; adaptive batching of up to 32 requests within 5 ms, which whoever asks alone waits for too; its "
    "own codecs; no worker processes, which made it slower here",
    _ENVIRONMENT,
    _PACKAGES,
    partial(running, batching=_BATCHING),
)
MLSERVER_UNBATCHED = Contender(
    "mlserver-unbatched",
    "MLServer, batching off",
    "the same without adaptive batching, as it comes",
    _ENVIRONMENT,
    _PACKAGES,
    partial(running, batching={}),
)
