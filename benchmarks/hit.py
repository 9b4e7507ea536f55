"""What an answer from memory costs the data plane inside Envoy: CPU time per request of all of our Python, alone on its
loop. Envoy, its module and its filter are not there; callables that do nothing play their part.

python -m benchmarks.hit             by Predict; --protocol infer or --protocol json for the others
python -m benchmarks.hit --recording     what it costs more to record every prediction and to count for the monitor
python -m benchmarks.hit --limited       what it costs more under a rate limit, with Valkey in both cases
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import uvloop
from headrace.router.v1 import client_limits_pb2, control_pb2, predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.envoy_service import transport_of
from headrace_router.data.rate_limits import followed
from headrace_router.data.service import start
from headrace_router.data.settings import DataSettings
from headrace_router.data.tables.checked_file import CheckedFile
from headrace_router.data.transports.envoy.bridged_request import BridgedRequest
from headrace_router.data.transports.envoy.settings import EdgeSettings
from headrace_router.data.transports.envoy.transport import EnvoyTransport
from headrace_router.data.transports.envoy.unary_calls import framed
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import eventually, running

from benchmarks.checkout import BenchmarkError
from benchmarks.load.h2load import PREDICT_PATH
from benchmarks.peers.sink import sink
from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.identity.issuer import AUDIENCE, ISSUER, Issuer, write_jwks
from tests.kit.router.fake_control import FakeControl, resolved_version, table
from tests.kit.router.inference_requests import pb2
from tests.kit.stores.valkey_process import ValkeyProcess

VERSION = resolved_version(
    "digits",
    "v1",
    inputs=[tensor_pb2.TensorSpec(name="image", datatype="FP32", shape=[64])],
    outputs=[tensor_pb2.TensorSpec(name="scores", datatype="FP32", shape=[10])],
)
OTHER = resolved_version("digits", "v2", inputs=VERSION.contract.inputs, outputs=VERSION.contract.outputs)
ROUNDS = 7
TOGETHER = 16
"""Requests that arrive in one turn of the loop, as they do under load."""
SETTLE_S = 1.5
"""Until what was recorded has been sent."""
REQUEST_ID = "5a7b9c0e-6f0a-4f3e-9d2c-0123456789ab"

Ask = Callable[[], Coroutine[Any, Any, object]]
"""Makes one request, and returns how it was refused, None for an answer."""


def main() -> None:
    """Run the benchmark and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=("predict", "infer", "json"), default="predict")
    parser.add_argument("--recording", action="store_true", help="in turn with and without a monitor to report to")
    parser.add_argument("--limited", action="store_true", help="in turn without and under a rate limit")
    parser.add_argument("--requests", type=int, default=20_000, help=f"in each of {ROUNDS} rounds")
    options = parser.parse_args()
    set_up_logs("benchmark", level="error", log_format="json")
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as scratch:
        if options.recording:
            with sink() as monitor:
                how = {"monitor_target": monitor}
                uvloop.run(compare(options.protocol, options.requests, Path(scratch), {}, how, "with a monitor"))
        elif options.limited:
            with sink() as monitor:
                uvloop.run(compare_limited(options.protocol, options.requests, Path(scratch), monitor))
        else:
            uvloop.run(measure(options.protocol, options.requests, Path(scratch)))


async def measure(protocol: str, count: int, scratch: Path) -> None:
    """Have each of several rounds answer so many requests from memory, and print the median."""
    async with transport_between_fakes(scratch) as (transport, issuer):
        ask = asking(transport, protocol, issuer)
        await answered(ask)
        costs = [await cost_us(ask, count) for _ in range(ROUNDS)]
        base = [await cost_us(nothing, count) for _ in range(ROUNDS)]
    task = statistics.median(base)
    print(
        f"{statistics.median(costs) - task:6.1f} µs a request, {protocol} "
        f"({min(costs) - min(base):.1f} in the best round)"
    )
    print(f"{task:6.1f} µs more for task and loop, which a callable that does nothing has too")


async def compare_limited(protocol: str, count: int, scratch: Path, monitor: str) -> None:
    """Compare with a client under a rate limit that it never reaches, whose tokens come from a real Valkey."""
    limit = client_limits_pb2.RateLimit(
        name="rateLimits/l", client="*", model="digits", requests_per_second=100_000, burst=1_000_000
    )
    followed_limits = control_pb2.WatchClientLimitsResponse(revision="r", rate_limits=[limit])
    CheckedFile(scratch / "with" / followed.FILE, followed.MAGIC, followed.MAX_BYTES).write(
        followed_limits.SerializeToString()
    )
    async with ValkeyProcess.running() as valkey:
        how = {"monitor_target": monitor, "valkey_url": valkey.url}
        await compare(protocol, count, scratch, how, how, "under a rate limit")


async def compare(
    protocol: str, count: int, scratch: Path, how: Mapping[str, Any], with_how: Mapping[str, Any], what: str
) -> None:
    """Do so in turn with two data planes, and print the difference. What is encoded and sent later counts too."""
    (scratch / "with").mkdir(exist_ok=True)
    async with (
        transport_between_fakes(scratch, **how) as (plain, issuer),
        transport_between_fakes(scratch / "with", **with_how) as (other, other_issuer),
    ):
        of_plain, of_other = asking(plain, protocol, issuer), asking(other, protocol, other_issuer)
        await answered(of_plain)
        await answered(of_other)
        without, with_it = [], []
        for _ in range(ROUNDS):
            without.append(await cost_us(of_plain, count, settle_s=SETTLE_S))
            with_it.append(await cost_us(of_other, count, settle_s=SETTLE_S))
    more = statistics.median(one - other for one, other in zip(with_it, without, strict=True))
    print(f"{statistics.median(without):6.2f} µs a request, {protocol}, task and loop included, without")
    print(f"{more:6.2f} µs more {what} ({min(with_it) - min(without):.2f} between the best rounds)")


async def cost_us(ask: Ask, count: int, *, settle_s: float = 0.0) -> float:
    """Return the CPU time per request. settle_s: so long it counts what is done after the last one."""
    began = time.process_time()
    for _ in range(count // TOGETHER):
        tasks = [asyncio.ensure_future(ask()) for _ in range(TOGETHER)]
        for task in tasks:
            await task
    await asyncio.sleep(settle_s)
    return (time.process_time() - began) * 1e6 / count


async def nothing() -> None:
    """Stand for a transport that costs nothing."""


async def answered(ask: Ask) -> None:
    """Have a request answered twice, so that its answer is kept from then on."""
    for _ in range(2):
        if refusal := await ask():
            raise BenchmarkError(f"the request is refused: {refusal}")


def asking(transport: EnvoyTransport, protocol: str, issuer: Issuer, *, value: float = 0.0) -> Ask:
    """Return what makes a request of 64 floats and returns how it was refused, if it was. value: of them, by gRPC."""
    token = f"Bearer {issuer.token()}".encode()
    if protocol == "json":
        path = "/v1/models/digits:predict"
        body = json.dumps({"instances": [[0.5] * 64], "user_id": "user-4711"}).encode()
        respond = transport.rest.respond
    else:
        path, body = message(protocol, array("f", [value] * 64).tobytes())
        respond = transport.grpc.respond

    async def ask() -> object:
        request = BridgedRequest(7, transport.callers.identify)
        request.path, request.authorization, request.whole = path, token, body
        request.found = {"x-request-id": REQUEST_ID}
        headers, answer, _ = await respond(request)
        refused = not answer if protocol != "json" else b":status200" not in headers
        return headers if refused else None

    return ask


def message(protocol: str, values: bytes = bytes(256)) -> tuple[str, bytes]:
    """Return path and body of a gRPC request."""
    if protocol == "infer":
        infer = pb2.ModelInferRequest(model_name="digits", raw_input_contents=[values])
        infer.inputs.add(name="image", datatype="FP32", shape=[1, 64])
        return "/inference.GRPCInferenceService/ModelInfer", framed(infer.SerializeToString())
    predict = predict_pb2.PredictRequest(model="digits", user_id="user-4711", raw_input_contents=[values])
    predict.inputs.add(name="image", datatype="FP32", shape=[1, 64])
    return PREDICT_PATH, framed(predict.SerializeToString())


@contextlib.asynccontextmanager
async def transport_between_fakes(scratch: Path, **how: Any) -> AsyncIterator[tuple[EnvoyTransport, Issuer]]:
    """Run a data plane as inside Envoy, between fakes of the control plane and of a batcher.

    how: fields of its settings. Give what answers, and who issues the tokens that it believes.
    """
    issuer = Issuer()
    write_jwks(scratch, issuer)
    edge = EdgeSettings(
        issuer=ISSUER,
        audience=AUDIENCE,
        jwks_file=scratch / "jwks.json",
        filter_bridge=scratch / "none.so",
        client_requests_per_second=1e9,
    )
    transports: list[EnvoyTransport] = []

    async def begin(runtime: Runtime[DataSettings]) -> None:
        transports.append(await transport_of(runtime, edge, await start(runtime)))

    async with FakeControl.serving() as control, FakeBatcher.serving([VERSION, OTHER]) as batcher:
        # Two variants, so that the assignment is paid for.
        control.put_table(table("digits", [VERSION, OTHER], shares={"v1": 0.5, "v2": 0.5}))
        settings = DataSettings(
            control_target=control.target,
            pools=f"default={batcher.target}",
            state_dir=scratch,
            cache_ttl_s=3600.0,
            **how,
        )
        async with running("router.data", settings, begin) as runtime:
            await eventually(lambda: runtime.health.components()["batchers"][0])
            yield transports[0], issuer


if __name__ == "__main__":
    main()
