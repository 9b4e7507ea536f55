"""What a request costs the data plane, counted: Python calls and bytecodes by kind of request, held to 3 %.

Requests come 32 in a turn of the loop, as under load, from what plays Envoy's filter before the real bridge. The
numbers are those of `request_costs.json`; a change that is meant puts its own there.
"""

from __future__ import annotations

import contextlib
import json
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.envoy_service import transport_of
from headrace_router.data.service import start
from headrace_router.data.settings import DataSettings
from headrace_router.data.transports.envoy.filter_bridge import FilterBridge
from headrace_router.data.transports.envoy.settings import EdgeSettings
from headrace_router.data.transports.envoy.unary_calls import framed
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import eventually, free_port, running

from tests.kit.batcher.fake_batcher import FrameBatcher
from tests.kit.front_door.played_filter import PlayedFilter, packed_request
from tests.kit.identity.issuer import AUDIENCE, ISSUER, Issuer, write_jwks
from tests.kit.monitor.fake_ingest import FakeIngest
from tests.kit.router.cost_counter import counting
from tests.kit.router.fake_control import FakeControl, lookup, resolved_version, table
from tests.kit.router.predict_requests import predict_request

TOGETHER, ROUNDS = 32, 5
TOLERANCE = 0.03
COSTS = json.loads(Path(__file__).with_name("request_costs.json").read_text())
V1, V2 = [
    resolved_version(
        "digits",
        version,
        inputs=[tensor_pb2.TensorSpec(name="image", datatype="FP32", shape=[64])],
        outputs=[tensor_pb2.TensorSpec(name="scores", datatype="FP32", shape=[10])],
    )
    for version in ("v1", "v2")
]
REQUEST_ID = "5a7b9c0e-6f0a-4f3e-9d2c-0123456789ab"
SAME = struct.pack("<64f", *[0.5] * 64)

Ask = Callable[[int], Awaitable[None]]
"""Has so many requests answered."""


class Plane:
    """A data plane as inside Envoy. token: of a caller that it believes."""

    def __init__(self, played: PlayedFilter, token: str) -> None:
        self._played, self._headers = played, {"authorization": token, "x-request-id": REQUEST_ID}
        self._ids, self._values = count(1), count(1)

    async def same(self, requests: int) -> None:
        """Ask for what memory has."""
        await self._predict([SAME] * requests)

    async def different(self, requests: int) -> None:
        """Ask for what nobody has asked for before."""
        await self._predict([struct.pack("<64f", next(self._values), *[0.5] * 63) for _ in range(requests)])

    async def json(self, requests: int) -> None:
        """Ask for what memory has by the JSON of REST."""
        body = json.dumps({"instances": [[0.5] * 64], "user_id": "user-4711"}).encode()
        headers = {**self._headers, ":path": "/v1/models/digits:predict"}
        answers = await self._played.answers([packed_request(next(self._ids), headers, body) for _ in range(requests)])
        assert all(b":status200" in begin for begin, _, _ in answers.values()), next(iter(answers.values()))

    async def _predict(self, contents: list[bytes]) -> None:
        headers = {**self._headers, ":path": "/headrace.router.v1.RouterService/Predict"}
        packets = []
        for content in contents:
            request = predict_request("digits", ("image", "FP32", [1, 64], content), user_id="user-4711")
            packets.append(packed_request(next(self._ids), headers, framed(request.SerializeToString())))
        answers = await self._played.answers(packets)
        assert all(message for _, message, _ in answers.values()), next(iter(answers.values()))


@contextlib.asynccontextmanager
async def plane_within(scratch: Path, *, mode: str = "HYBRID", **settings: Any) -> AsyncIterator[Plane]:
    """Run a data plane behind a bridge. Its route has two variants, so that the assignment is paid for."""
    issuer, played = Issuer(), PlayedFilter()
    write_jwks(scratch, issuer)
    edge = EdgeSettings(
        issuer=ISSUER, audience=AUDIENCE, jwks_file=scratch / "jwks.json", filter_bridge=scratch / "none.so",
        client_requests_per_second=1e9,
    )  # fmt: skip
    planes: list[Plane] = []
    bridges: list[FilterBridge] = []

    async def begin(runtime: Runtime[DataSettings]) -> None:
        transport = await transport_of(runtime, edge, await start(runtime))
        bridge = FilterBridge(
            played, transport.grpc.respond, transport.rest.respond, most_message_bytes=1 << 22, most_unfinished=8192
        )
        bridge.identify = transport.callers.identify
        bridge.start()
        bridges.append(bridge)
        planes.append(Plane(played, f"Bearer {issuer.token()}"))

    async with FakeControl.serving() as control, FrameBatcher.serving([V1, V2]) as batcher:
        control.put_table(table("digits", [V1, V2], shares={"v1": 0.5, "v2": 0.5}, lookup=lookup(mode=mode)))
        chosen = DataSettings(
            control_target=control.target, pools=f"default={batcher.target}", state_dir=scratch, cache_ttl_s=3600.0,
            rest_port=free_port(), drain_notice_s=0.0, **settings,
        )  # fmt: skip
        async with running("router.data", chosen, begin) as runtime:
            await eventually(lambda: runtime.health.components()["batchers"][0])
            try:
                yield planes[0]
            finally:
                bridges[0].stop()
                played.close()


async def hold(kind: str, ask: Ask) -> None:
    """Count several rounds: the cheapest is the one in which nothing else was due."""
    expected = COSTS.get("{}.{}".format(*sys.version_info))
    if expected is None:
        pytest.skip(f"counted for {', '.join(COSTS)}: other interpreters compile to other bytecodes")
    for _ in range(3):
        await ask(TOGETHER)
    rounds = []
    for _ in range(ROUNDS):
        with counting() as cost:
            await ask(TOGETHER)
        rounds.append(cost)
    least = min(rounds, key=lambda cost: cost.bytecodes)
    found = {"calls": least.calls / TOGETHER, "bytecodes": least.bytecodes / TOGETHER}
    dearest = "\n".join(f"{steps / TOGETHER:8.1f} {name}" for name, steps in least.by_function.most_common(60))
    told = (
        f"a request of kind {kind!r} takes {found}, not {expected[kind]} as request_costs.json says; of that\n{dearest}"
    )
    for name, number in found.items():
        assert number == pytest.approx(expected[kind][name], rel=TOLERANCE), told


async def test_an_answer_from_memory_costs_what_it_did(tmp_path: Path):
    async with plane_within(tmp_path) as plane:
        await hold("hit", plane.same)


async def test_an_answer_to_json_costs_what_it_did(tmp_path: Path):
    async with plane_within(tmp_path) as plane:
        await hold("json", plane.json)


async def test_an_answer_of_a_route_that_looks_nothing_up_costs_what_it_did(tmp_path: Path):
    async with plane_within(tmp_path, mode="ONLINE") as plane:
        await hold("online", plane.different)


async def test_an_answer_that_is_looked_up_in_vain_costs_what_it_did(tmp_path: Path):
    async with plane_within(tmp_path) as plane:
        await hold("computed", plane.different)


async def test_an_answer_of_a_version_whose_requests_do_not_come_back_costs_what_it_did(tmp_path: Path):
    async with plane_within(tmp_path) as plane:
        for _ in range(60):  # until that is known, of one key in sixteen
            await plane.different(TOGETHER)
        await hold("first", plane.different)


async def test_an_answer_that_is_recorded_costs_what_it_did(tmp_path: Path):
    async with (
        FakeIngest.serving() as monitor,
        plane_within(tmp_path, monitor_target=monitor.target, record_flush_s=0.0) as plane,
    ):

        async def recorded(requests: int) -> None:
            before = len(monitor.predictions())
            await plane.same(requests)
            await eventually(lambda: len(monitor.predictions()) == before + requests)

        await hold("recorded", recorded)
