"""Ray Serve with a gRPC ingress and `@serve.batch`, on a Ray of its own, with HAProxy before its replica.

HAProxy hands gRPC to the replica itself. Ray's Python proxy would pickle messages, which tritonclient's cannot be.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from headrace_servicekit.testing import free_port

from benchmarks.load import calls
from benchmarks.measures.measuring import System
from benchmarks.systems.field.contender import ENVIRONMENTS, Contender, answering, built
from benchmarks.systems.references import process
from benchmarks.systems.subject import Model

_MODEL = "recommender"
# HAProxy sends callers away once, when it comes to know the second replica.
_STEADY_S = 5.0


@contextlib.contextmanager
def running(folder: Path, model: Model) -> Iterator[System]:
    """Run it with the model."""
    port, log = free_port(), folder / "ray-serve.log"
    application = Path(__file__).parent / "ray_serve" / "application.py"
    python = built("ray_serve") / "bin" / "python"
    environment = {**os.environ, **{name: str(value) for name, value in _settings(folder).items()}}
    command = [python, "-P", application, model.file, str(port), str(free_port()), folder]
    with process(log, command, environment) as pid:
        call = calls.model_infer(_MODEL, model.rows, by_entity=False)
        yield answering(port, call, {"ray": pid}, log, steady_s=_STEADY_S)


def _settings(folder: Path) -> dict[str, object]:
    """Return Ray's options: those that its documentation recommends for throughput, without telemetry."""
    return {
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": 1,
        "RAY_SERVE_ENABLE_HA_PROXY": 1,
        "RAY_SERVE_HAPROXY_NBTHREAD": 1,
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": folder / "haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": folder / "admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": folder / "metrics.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": folder,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": folder / "server-state",
        "RAY_SERVE_HAPROXY_METRICS_PORT": free_port(),
        "RAY_SERVE_HAPROXY_STATS_PORT": free_port(),
        # Else Ray writes one into the home folder.
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": 0,
    }


RAY_SERVE = Contender(
    "ray-serve",
    "Ray Serve",
    "gRPC ingress with tritonclient's servicer; `RAY_SERVE_THROUGHPUT_OPTIMIZED=1`, `RAY_SERVE_ENABLE_HA_PROXY=1`; "
    "`@serve.batch` of up to 32 requests without waiting; two replicas; no access log",
    ENVIRONMENTS / "ray_serve",
    ("ray", "onnxruntime"),
    running,
)
