"""mosec: a server in Rust that joins requests for workers in Python. It speaks HTTP, not gRPC."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from headrace_servicekit.testing import free_port

from benchmarks.load import calls
from benchmarks.measures.measuring import System
from benchmarks.systems.field.contender import ENVIRONMENTS, Contender, answering, built
from benchmarks.systems.references import process
from benchmarks.systems.subject import Model


@contextlib.contextmanager
def running(folder: Path, model: Model) -> Iterator[System]:
    """Run it with the model."""
    port, log = free_port(), folder / "mosec.log"
    server = Path(__file__).parent / "mosec" / "server.py"
    environment = {**os.environ, "RECOMMENDER_FILE": str(model.file)}
    command = [built("mosec") / "bin" / "python", "-P", server, "--address", "127.0.0.1", "--port", str(port)]
    with process(log, [*command, "--path", folder / "sockets", "--log-level", "warning"], environment) as pid:
        # The body of Headrace's natural JSON; what is known of an entity is not used.
        call = replace(calls.natural_json("", model.rows), path="/inference")
        yield answering(port, call, {"mosec": pid}, log)


MOSEC = Contender(
    "mosec",
    "mosec",
    "natural JSON by HTTP/2, decoded by msgspec; dynamic batching of up to 32 requests within 1 ms, its least; two "
    "workers; no lines in the log for requests",
    ENVIRONMENTS / "mosec",
    ("mosec", "onnxruntime"),
    running,
)
