"""More than a model can do, through the front door of the running stack: what is answered in time, and what is refused.

    .venv/bin/python -m benchmarks.overload [--seconds 10] [--shares 0.5 1 1.5 2 3] [--deadline 10] [--rounds 400]

The model computes as many rounds as a request's value says, so that its speed is ours to choose while it runs. A closed
loop finds its peak; an open one then offers shares of it, every request with a deadline of so many executions. At last
the model is made half as fast, with three quarters of the peak offered all the while. Goodput are right answers within
the deadline; refused is RESOURCE_EXHAUSTED with RetryInfo; late is what was let in and missed its deadline. Executions
are long, so that what sending and refusing costs on the same cores does not make the model slower.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_client import Client

from benchmarks.load import calls
from benchmarks.load.calls import Call
from benchmarks.load.endings import OK, REFUSED
from benchmarks.load.generator import Generator, Result, Target
from benchmarks.load.workload import Workload, arrivals
from benchmarks.systems import subject
from benchmarks.systems.stack import running_stack
from examples.versions import register_once
from tests.kit.models import onnx_models

MODEL, VERSION = "benchmark-overload", "v1"
METRICS = {"accuracy": 0.95, "latency_p99_ms": 2.0}
# Different values, so that every answer shows whose it is; all of them of the same number of rounds.
VALUES = 500
CONNECTIONS, STREAMS = 8, 16
BATCH_ROWS = 32
LATE = "DEADLINE_EXCEEDED"
SLOWED_WINDOWS, WINDOW_S = 6, 5.0
HEADINGS = (
    "offered of peak | offered/s | goodput/s | of peak | refused/s | late/s | late of let in | p99 ms | p99 of refusals"
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one run came to. Figures are requests a second; p99_s: of the answers. others: other outcomes, by name."""

    offered: float
    goodput: float
    refused: float
    late: float
    p99_s: float
    refused_p99_s: float
    deadline_s: float
    others: dict[str, int]

    @property
    def late_share(self) -> float:
        """Return the share of what was let in that missed its deadline."""
        return self.late / max(self.goodput + self.late, 1e-9)


def prepare(client: Client) -> None:
    """Have the model in production. Does nothing when it is from an earlier run."""
    model = onnx_models.as_long_as_asked()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model.content)
        version = register_once(
            client, MODEL, VERSION, file, lambda name: client.versions.register(MODEL, name, file, metrics=METRICS)
        ).version
    if client.models.get(MODEL).production_version != version:
        promoted = client.models.promote(MODEL, version, reason="benchmark")
        client.routes.await_epoch(MODEL, promoted.model.epoch, timeout=subject.READY_S)


def asking(rounds: int) -> Call:
    """Return the calls whose answers take so many rounds, and as many that take twice as long behind them."""
    values = [base + at / (2 * VALUES) for base in (rounds, 2 * rounds) for at in range(VALUES)]
    bodies = []
    for value in values:
        message = predict_pb2.PredictRequest(model=MODEL)
        message.max_age.SetInParent()
        message.inputs.append(tensor_pb2.Tensor(name="x", datatype="FP32", shape=(1, 1)))
        message.raw_input_contents.append(np.float32(value).tobytes())
        bodies.append(calls.framed(message.SerializeToString()))
    return Call(calls.PREDICT, "application/grpc", bodies, calls.last_float_is(values), by_entity=False)


def values(seed: int, *, slow: bool) -> Workload:
    """Return requests of the fast or of the slow half of the calls."""
    drawn = np.random.default_rng(seed).integers(VALUES, size=1 << 14) + (VALUES if slow else 0)
    return Workload((-1 - drawn).tolist())


def with_deadline(call: Call, executions: float, most: float) -> Call:
    """Return the call with a deadline of so many executions of a full batch. most: the peak."""
    return replace(call, deadline_ms=round(executions * BATCH_ROWS / most * 1000))


def offered(target: Target, call: Call, per_s: float, seconds: float, *, seed: int, slow: bool = False) -> Row:
    """Offer so much for a while and return what came of it."""
    with Generator(target, call, values(seed, slow=slow), CONNECTIONS) as generator:
        result = generator.open(arrivals(seed, per_s, seconds).tolist())
    return row(result, seconds, call.deadline_ms / 1000)


def row(result: Result, seconds: float, deadline_s: float) -> Row:
    """Return what a run of an open loop came to."""
    outcomes = result.outcomes + result.bad
    in_time = sum(one <= deadline_s for one in result.latencies_s)
    late = result.right - in_time + outcomes[LATE]
    return Row(
        offered=outcomes.total() / seconds,
        goodput=in_time / seconds,
        refused=outcomes[REFUSED] / seconds,
        late=late / seconds,
        p99_s=percentile(result.latencies_s),
        refused_p99_s=percentile(result.refusals_s),
        deadline_s=deadline_s,
        others={name: count for name, count in outcomes.items() if name not in (OK, REFUSED, LATE)},
    )


def percentile(values: Sequence[float]) -> float:
    """Return the 99th; 0 for none."""
    return float(np.percentile(values, 99)) if len(values) else 0.0


def peak(target: Target, call: Call, seconds: float, *, slow: bool = False) -> float:
    """Return the answers a second of a closed loop with full batches."""
    with Generator(target, call, values(1, slow=slow), CONNECTIONS) as generator:
        result = generator.closed(STREAMS, seconds, warm_up_s=2.0)
    return result.right / result.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5, 1.0, 1.5, 2.0, 3.0], help="of the peak")
    parser.add_argument("--deadline", type=float, default=10.0, help="in executions of a full batch")
    parser.add_argument("--rounds", type=int, default=400, help="that an answer takes: about 0.2 ms each")
    given = parser.parse_args()
    stack = running_stack()
    with Client(f"127.0.0.1:{stack.port}", token=stack.token) as client:
        prepare(client)
    target = Target(("127.0.0.1", stack.port), subject.tokens(stack.identity))
    call = asking(given.rounds)
    most = peak(target, call, given.seconds)
    call = with_deadline(call, given.deadline, most)
    print(f"peak {most:.0f}/s in batches of {BATCH_ROWS}; deadline {call.deadline_ms} ms")
    print(HEADINGS)
    for at, share in enumerate(given.shares):
        tell(f"{share:g}", offered(target, call, share * most, given.seconds, seed=at), most)
    print(f"half as fast from now on, {0.75 * most:.0f}/s offered: of half of the peak, every {WINDOW_S:g} s")
    tell("before", offered(target, call, 0.75 * most, WINDOW_S, seed=50), most)
    for at in range(1, SLOWED_WINDOWS + 1):
        seen = offered(target, call, 0.75 * most, WINDOW_S, seed=50 + at, slow=True)
        tell(f"to {at * WINDOW_S:g} s", seen, most / 2)


def tell(name: str, seen: Row, most: float) -> None:
    """Print one line."""
    print(
        f"{name:>15} | {seen.offered:9.0f} | {seen.goodput:9.0f} | {seen.goodput / most:7.2f} | {seen.refused:9.0f} | "
        f"{seen.late:6.1f} | {seen.late_share:14.2%} | {seen.p99_s * 1000:6.0f} | {seen.refused_p99_s * 1000:15.0f}"
        + (f"  {seen.others}" if seen.others else ""),
        flush=True,
    )


if __name__ == "__main__":
    main()
