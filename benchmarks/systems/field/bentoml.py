"""BentoML with its adaptive batching. It speaks HTTP/1.1 and our generator HTTP/2: a plain Envoy stands before it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from headrace_servicekit.testing import free_port

from benchmarks.load.calls import TOLERANCE, Call, Rows
from benchmarks.measures.measuring import System
from benchmarks.systems import gateway
from benchmarks.systems.field.contender import ENVIRONMENTS, Contender, answering, built
from benchmarks.systems.references import envoy, process
from benchmarks.systems.subject import Model

_PATH = "/predict"


@contextlib.contextmanager
def running(folder: Path, model: Model) -> Iterator[System]:
    """Run it with the model, behind an Envoy."""
    port, log = free_port(), folder / "bentoml.log"
    service = Path(__file__).parent / "bentoml"
    program = built("bentoml") / "bin" / "bentoml"
    command = [program, "serve", "service:Recommender", "--working-dir", service, "--host", "127.0.0.1"]
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ.get('PATH', '')}",
        "BENTOML_HOME": str(folder / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "RECOMMENDER_FILE": str(model.file),
    }
    configured = partial(gateway.plain, upstream=port, protocol=gateway.HTTP1)
    with (
        process(log, [*command, "--port", str(port)], environment) as pid,
        envoy(folder, "envoy", configured) as front,
    ):
        yield answering(front.address[1], rows_as_json(model.rows), {"bentoml": pid, **front.processes}, log)


def rows_as_json(rows: Rows) -> Call:
    """Return `POST /predict` with one row of both inputs, as the service takes it."""
    joined = np.concatenate([rows.users, rows.items], axis=1)
    bodies = [json.dumps({"rows": [_short(row)]}, separators=(",", ":")).encode() for row in joined]
    return Call(_PATH, "application/json", bodies, _score_is(rows.scores), by_entity=False)


def _short(row: np.ndarray) -> list[float]:
    # They were drawn to three digits; the noise of float32 behind them would triple the body.
    return [round(float(one), 3) for one in row]


def _score_is(scores: Sequence[float]) -> Callable[[bytes, int], bool]:
    def right(body: bytes, row: int) -> bool:
        try:
            [[found]] = json.loads(body)
        except (ValueError, TypeError):
            return False
        return isinstance(found, float) and abs(found - scores[row]) < TOLERANCE

    return right


BENTOML = Contender(
    "bentoml",
    "BentoML behind a plain Envoy",
    "HTTP/1.1 with JSON, which the generator does not speak, so a plain Envoy before it (its CPU is counted); adaptive "
    "batching of up to 32 rows; two workers; no access log",
    ENVIRONMENTS / "bentoml",
    ("bentoml", "onnxruntime"),
    running,
)
