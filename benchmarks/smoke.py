"""`make bench-smoke`: what a single-row prediction costs, process by process.

python -m benchmarks.smoke          through the front door of the running stack, model digits (after `make demo`)
python -m benchmarks.smoke --bare   the data plane alone, between fakes of the control plane and of a batcher
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_client import Client, NotFound

from benchmarks.checkout import ROOT, BenchmarkError
from benchmarks.load.h2load import PREDICT_PATH, framed, h2load, predictions
from benchmarks.measures.processes import cpu_s, family
from benchmarks.systems.stack import stack_status

WARM_UP_S = 3.0
ELEMENT_BYTES = {"FP32": 4, "FP64": 8, "INT64": 8, "INT32": 4, "UINT8": 1}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured. inputs: of the model. processes: pid by name."""

    inputs: tuple[tensor_pb2.TensorSpec, ...]
    url: str
    metrics_url: str
    headers: dict[str, str]
    processes: dict[str, int]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bare", action="store_true", help="the data plane alone, between fakes")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the measured run")
    parser.add_argument("--clients", type=int, default=8, help="connections")
    parser.add_argument("--streams", type=int, default=32, help="requests in flight on each connection")
    parser.add_argument("--model", default="digits", help="model to ask")
    parser.add_argument(
        "--answers",
        choices=("online", "cached"),
        default="online",
        help="whether each request has its answer computed, or takes a kept one",
    )
    parser.add_argument("--mode", default="HYBRID", help="with --bare: the route's mode: HYBRID or ONLINE")
    parser.add_argument("--input", default="image:FP32:64", help="with --bare: its input, name:datatype:row shape")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as scratch, subject(options, Path(scratch)) as it:
            result = measure(it, options, Path(scratch))
    except BenchmarkError as error:
        sys.exit(f"bench-smoke: {error}")
    print(json.dumps(result) if options.json else rendered(result))
    if result["not_ok"] or result["unaccounted"]:
        sys.exit("bench-smoke: some answers were not OK")


def measure(it: Subject, options: argparse.Namespace, scratch: Path) -> dict:
    """Warm up, load, and return requests/s, latency, statuses and CPU per request of each process."""
    body = scratch / "body.bin"
    body.write_bytes(framed(request(options.model, it.inputs, options.answers).SerializeToString()))
    load = {
        "clients": options.clients,
        "streams": options.streams,
        "headers": it.headers,
        "log": scratch / "h2load.log",
    }
    h2load(it.url, body, seconds=WARM_UP_S, **load)
    time.sleep(1.0)  # the counters are flushed a few times a second
    codes_before, cpu_before = predictions(it.metrics_url), {n: cpu_s(pid) for n, pid in it.processes.items()}
    seen = h2load(it.url, body, seconds=options.seconds, **load)
    cpu_after = {name: cpu_s(pid) for name, pid in it.processes.items()}
    time.sleep(1.0)
    codes = {code: n - codes_before.get(code, 0) for code, n in predictions(it.metrics_url).items()}
    ok = codes.pop("OK", 0.0)
    codes.pop("CANCELLED", None)  # those in flight when the time was up
    if not seen.answered:
        raise BenchmarkError("no request was answered")
    per_request = {name: (cpu_after[name] - cpu_before[name]) * 1e6 / seen.answered for name in it.processes}
    per_request["h2load"] = seen.cpu_s * 1e6 / seen.answered
    return {
        "requests_per_s": seen.answered / seen.seconds,
        "p50_ms": seen.p50_ms,
        "p99_ms": seen.p99_ms,
        "answered": seen.answered,
        "ok": int(ok),
        "not_ok": {code: int(n) for code, n in codes.items() if n} | ({"HTTP": seen.failed} if seen.failed else {}),
        # HTTP 200 without an OK of the data plane behind it: refused on the way, behind a good status.
        "unaccounted": max(0, seen.answered - int(ok) - int(sum(codes.values()))),
        "cpu_us_per_request": {name: round(us, 1) for name, us in per_request.items() if us >= 0.05},
    }


def rendered(result: dict) -> str:
    """Return the result as a table."""
    lines = [
        f"{result['requests_per_s']:>10,.0f} requests/s, p50 {result['p50_ms']:.2f} ms, p99 {result['p99_ms']:.2f} ms",
        f"{result['answered']:>10,} answers, {result['ok']:,} counted OK by the data plane, not OK: "
        f"{result['not_ok'] or 'none'}, unaccounted: {result['unaccounted']}",
        "CPU per request, µs:",
    ]
    costs = result["cpu_us_per_request"]
    lines += [f"{us:>10.1f}  {name}" for name, us in sorted(costs.items(), key=lambda one: -one[1])]
    return "\n".join([*lines, f"{sum(costs.values()):>10.1f}  all"])


def request(model: str, inputs: Sequence[tensor_pb2.TensorSpec], answers: str) -> predict_pb2.PredictRequest:
    """Return a request of one row of zeros. answers: `online` accepts no kept one."""
    made = predict_pb2.PredictRequest(model=model, user_id="user-4711")
    if answers == "online":
        made.max_age.SetInParent()
    for spec in inputs:
        if spec.datatype not in ELEMENT_BYTES:
            raise BenchmarkError(f"input {spec.name} is {spec.datatype}: choose a model of {', '.join(ELEMENT_BYTES)}")
        sizes = [max(1, size) for size in spec.shape]
        made.inputs.add(name=spec.name, datatype=spec.datatype, shape=[1, *sizes])
        made.raw_input_contents.append(bytes(math.prod(sizes) * ELEMENT_BYTES[spec.datatype]))
    return made


def described(text: str) -> tensor_pb2.TensorSpec:
    """Return the input that `name:datatype:shape` describes, such as `image:FP32:8x8`."""
    name, datatype, shape = text.split(":")
    return tensor_pb2.TensorSpec(name=name, datatype=datatype, shape=[int(size) for size in shape.split("x") if size])


@contextlib.contextmanager
def subject(options: argparse.Namespace, scratch: Path) -> Iterator[Subject]:
    """Yield what is to be measured, running."""
    if options.bare:
        with bare(scratch, options) as it:
            yield it
    else:
        yield running_stack(options.model)


def running_stack(model: str) -> Subject:
    """Return the front door of the stack, which `make demo` is asked to start when it is not up."""
    if not stack_status():
        subprocess.run(["make", "demo"], cwd=ROOT, check=True)
    status = stack_status()
    if not status:
        raise BenchmarkError("the stack is not up: `make demo` starts it and registers model digits")
    base = status["base_port"]
    token = subprocess.run([str(ROOT / ".venv/bin/headrace"), "token"], capture_output=True, text=True, check=True)
    processes = {}
    for component in status["components"]:
        if component["process"] is not None:
            head, *children = family(component["process"]["pid"])
            processes[component["name"]] = head
            processes |= {f"{component['name']}: {_command(pid)} {pid}": pid for pid in children}
    try:
        with Client(f"127.0.0.1:{base}", token=token.stdout.strip()) as client:
            contract = client.versions.list(model)[0].contract
    except (NotFound, IndexError):
        raise BenchmarkError(f"there is no model {model}: `make demo` registers digits") from None
    return Subject(
        tuple(contract.inputs),
        f"http://127.0.0.1:{base}{PREDICT_PATH}",
        f"http://127.0.0.1:{base + 8}/metrics",
        {"authorization": f"Bearer {token.stdout.strip()}"},
        processes,
    )


@contextlib.contextmanager
def bare(scratch: Path, options: argparse.Namespace) -> Iterator[Subject]:
    """Run the data plane between fakes."""
    with contextlib.ExitStack() as stack:
        fakes = stack.enter_context(
            _process([sys.executable, "-m", "benchmarks.peers.bare", options.model, options.input, options.mode])
        )
        targets = json.loads(_line(fakes))
        environment = {
            "ROUTER_DATA_CONTROL_TARGET": targets["control"],
            "ROUTER_DATA_POOLS": f"default={targets['batcher']}",
            "ROUTER_DATA_STATE_DIR": str(scratch),
            "PATH": "",
        }
        plane = stack.enter_context(_process([sys.executable, "-m", "headrace_router.data"], environment))
        started = next(
            event for line in iter(lambda: _line(plane), "") if (event := _event(line))["event"] == "started"
        )
        metrics = f"http://127.0.0.1:{started['metrics_port']}"
        url = f"http://127.0.0.1:{started['ports'][0]}{PREDICT_PATH}"
        time.sleep(1.0)  # until the data plane has its table and its stream
        yield Subject(
            (described(options.input),), url, f"{metrics}/metrics", {}, {"data plane": plane.pid, "fakes": fakes.pid}
        )


@contextlib.contextmanager
def _process(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _line(process: subprocess.Popen[str]) -> str:
    if process.stdout is None:
        return ""
    line = process.stdout.readline()
    if not line:
        raise BenchmarkError(f"{process.args} ended before it was ready")
    return line


def _event(line: str) -> dict:
    try:
        event = json.loads(line)
    except ValueError:
        return {"event": ""}
    return event if isinstance(event, dict) and "event" in event else {"event": ""}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"


if __name__ == "__main__":
    main()
