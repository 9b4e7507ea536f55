"""Latency of the operations that people wait for, on an otherwise idle stack.

`python -m benchmarks.promptness`. Bars: a rollback, or a promotion of what is loaded, within 2 s until every data plane
goes by it; 10,000 outcomes from each of three clients at once, the same ones in another order, within 15 s; a missed
deadline of 50 ms is reported within 100 ms. It starts a stack of its own; exits with 1 when a bar is missed.
"""

from __future__ import annotations

import random
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import grpc
from headrace.monitor.v1 import outcome_pb2
from headrace_monitor import names
from headrace_stack.testing import held_stack

from benchmarks.checkout import BenchmarkError
from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.models import onnx_models
from tests.kit.router.predict_requests import predict_request
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests

CHANGES, DEADLINES, DEADLINE_S = 3, 21, 0.05
OUTCOMES, CLIENTS = 10_000, 3
CHANGE_BAR_S, OUTCOMES_BAR_S, TOLD_BAR_S = 2.0, 15.0, 0.1
MODEL, SLOW = "prompt", "slow"
PREDICT = "/headrace.router.v1.RouterService/Predict"
RECORD = "/headrace.monitor.v1.OutcomeService/RecordOutcomes"
RNG = random.Random(7)


def changes(headrace: Headrace) -> list[float]:
    """Promote and roll back what is loaded; return how long each took until every data plane went by it."""
    steps = (("rollback", MODEL), ("promote", MODEL, "v2"))
    return [headrace("models", *step)["waited_s"] for _ in range(CHANGES) for step in steps]


def outcomes(stack: RunningStack) -> list[float]:
    """Have clients record the same outcomes at once, each in its own order; return the time of the last."""
    now = datetime.now(UTC)
    told = [outcome_pb2.Outcome(prediction_id=_id(now), kind="label", number=n % 10) for n in range(OUTCOMES)]
    requests = [
        outcome_pb2.RecordOutcomesRequest(parent=f"models/{MODEL}", outcomes=RNG.sample(told, len(told)))
        for _ in range(CLIENTS)
    ]
    with grpc.insecure_channel(stack.address) as channel, ThreadPoolExecutor(CLIENTS) as threads:
        call, known = channel.unary_unary(RECORD), _metadata(stack)
        began = time.monotonic()
        list(threads.map(lambda one: call(one.SerializeToString(), timeout=60, metadata=known), requests))
        return [time.monotonic() - began]


def refusals(stack: RunningStack) -> list[float]:
    """Ask with a deadline that no execution keeps; return how long each refusal took."""
    took = []
    with grpc.insecure_channel(stack.address) as channel:
        call, known = channel.unary_unary(PREDICT), _metadata(stack)
        for _ in range(3):
            call(_request(), timeout=60, metadata=known)  # so that it is known how long they take
        for _ in range(DEADLINES):
            began = time.monotonic()
            try:
                call(_request(), timeout=DEADLINE_S, metadata=known)
            except grpc.RpcError:
                took.append(time.monotonic() - began)
    return took


def _request() -> bytes:
    """Return a request whose answer is in no cache."""
    row = struct.pack("<4f", *(RNG.random() for _ in range(4)))
    return predict_request(SLOW, ("x", "FP32", [1, 4], row)).SerializeToString()


def _metadata(stack: RunningStack) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {stack.token()}"),)


def _id(at: datetime) -> str:
    return str(UUID(int=names.first_prediction_id(at).int | 7 << 76 | 2 << 62 | RNG.getrandbits(60)))


def main() -> int:
    with held_stack(home_for_tests("promptness")) as settings, tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(settings)
        headrace = Headrace(stack, Path(folder), MODEL)
        headrace.two_versions(production="v1")
        headrace("models", "promote", MODEL, "v2")
        file = headrace.file("slow.onnx", onnx_models.slow(3000))
        headrace("models", "register", SLOW, "v1", file, *GOOD)
        headrace("models", "promote", SLOW, "v1")
        measured: tuple[tuple[str, float, Callable[[], list[float]]], ...] = (
            ("a change of version, to the last data plane", CHANGE_BAR_S, lambda: changes(headrace)),
            (f"{CLIENTS} x {OUTCOMES:,} outcomes", OUTCOMES_BAR_S, lambda: outcomes(stack)),
            (f"a deadline of {DEADLINE_S * 1000:.0f} ms told", TOLD_BAR_S, lambda: refusals(stack)),
        )
        missed = 0
        for what, bar_s, measure in measured:
            took = sorted(measure())
            if not took:
                raise BenchmarkError(f"{what}: every deadline was kept, this machine is too quick for the slow model")
            median_s = statistics.median(took)
            missed += median_s > bar_s
            verdict = "missed" if median_s > bar_s else "met"
            print(f"{what}: {median_s:.3f} s ({took[0]:.3f}-{took[-1]:.3f}), bar {bar_s:g} s {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
