"""The other load: one gRPC body, over and over, by h2load."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.checkout import BenchmarkError

PREDICT_PATH = "/headrace.router.v1.RouterService/Predict"


@dataclass(frozen=True, slots=True)
class Load:
    """What h2load saw. answered: HTTP responses; the gRPC status behind each is counted by the data plane."""

    seconds: float
    answered: int
    failed: int
    p50_ms: float
    p99_ms: float
    cpu_s: float


def framed(message: bytes) -> bytes:
    """Return a message as a gRPC request body."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def h2load(
    url: str, body: Path, *, seconds: float, clients: int, streams: int, headers: Mapping[str, str], log: Path
) -> Load:
    """Send the body over and over. Raises BenchmarkError when h2load is missing or fails."""
    if shutil.which("h2load") is None:
        raise BenchmarkError("h2load is not installed: apt-get install nghttp2-client (Debian, Ubuntu)")
    headers = {"content-type": "application/grpc", "te": "trailers", **headers}
    log.unlink(missing_ok=True)
    command = ["h2load", "-c", str(clients), "-m", str(streams), "-D", f"{seconds:g}", "-d", str(body)]
    command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    before = os.times()
    done = subprocess.run([*command, f"--log-file={log}", url], capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode:
        raise BenchmarkError(f"h2load failed: {done.stderr.strip() or done.stdout.strip()}")
    counts = re.search(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed", done.stdout)
    if counts is None:
        raise BenchmarkError(f"h2load said something unexpected:\n{done.stdout}")
    latencies = sorted(_latencies_us(log))
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    answered, failed = int(counts.group(1)), int(counts.group(2))
    # Requests in flight when the time is up count as failed without having failed.
    failed = max(0, failed - clients * streams)
    return Load(seconds, answered, failed, _at(latencies, 0.5) / 1000, _at(latencies, 0.99) / 1000, cpu_s)


def _latencies_us(log: Path) -> list[int]:
    with log.open() as lines:
        return [int(fields[2]) for fields in (line.split("\t") for line in lines) if len(fields) >= 3]


def _at(ordered: Sequence[int], share: float) -> float:
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))]) if ordered else float("nan")


def predictions(metrics_url: str) -> dict[str, float]:
    """Return how many predictions a data plane has answered, by gRPC status code."""
    with urllib.request.urlopen(metrics_url, timeout=5) as answer:
        text = answer.read().decode()
    counts: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("headrace_router_predictions_total{"):
            labels, _, value = line.rpartition(" ")
            code = re.search(r'[{,]code="([A-Z_]+)"', labels)
            if code is not None:
                counts[code.group(1)] = counts.get(code.group(1), 0.0) + float(value)
    return counts
