"""Rate limits of clients by model: followed from the control plane, counted in Valkey, refused by every protocol."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
import redis.asyncio
from headrace.router.v1 import client_limits_pb2, predict_pb2
from headrace_router.data.budgets import Budgets
from headrace_router.data.rate_limits.decisions import bucket
from headrace_router.data.rate_limits.decisions.bucket import Rate
from headrace_router.data.rate_limits.decisions.limits import RateLimits
from headrace_router.data.rate_limits.followed import FILE, MAGIC, MAX_BYTES, FollowedClientLimits
from headrace_router.data.rate_limits.token_requests import TAKE
from headrace_router.data.tables.checked_file import CheckedFile
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER
from headrace_servicekit.testing import eventually, patience
from tritonclient.grpc import service_pb2_grpc

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.clients.refusals import grpc_refusal, refused, rest_refusal
from tests.kit.monitor.fake_ingest import FakeIngest
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import DIGITS, ROW
from tests.kit.router.fake_control import FakeControl
from tests.kit.router.inference_plane import ONE, inference_plane
from tests.kit.router.inference_requests import infer_request
from tests.kit.wire.server_sent_events import events

OPEN, CLOSED = client_limits_pb2.RateLimit.OUTAGE_OPEN, client_limits_pb2.RateLimit.OUTAGE_CLOSED


def limit(**fields: Any) -> client_limits_pb2.RateLimit:
    usual = {"name": "rateLimits/l0", "client": "ada", "model": "digits", "requests_per_second": 5.0}
    return client_limits_pb2.RateLimit(**{**usual, **fields})


def put(control: FakeControl, *limits: dict[str, Any]) -> None:
    """Have the control plane say these rate limits in the place of those before."""
    control.put_rate_limits(*(limit(**{"name": f"rateLimits/l{at}", **one}) for at, one in enumerate(limits)))


async def held_to(plane: DataPlane, count: int) -> None:
    async def told() -> bool:
        return await plane.metric("headrace_router_rate_limits") == count

    await eventually(told, within=patience(10))


def by(client: str) -> tuple[tuple[str, str], ...]:
    return ((CLIENT_HEADER, client), (MODELS_HEADER, "*"))


async def outcome(plane: DataPlane, client: str = "ada") -> str:
    """Return why a request is refused, nothing for an answer."""
    try:
        await plane.stub.Predict(DIGITS, timeout=patience(10), metadata=by(client))
    except grpc.aio.AioRpcError as error:
        return grpc_refusal(error).reason
    return ""


@pytest.mark.long
async def test_two_data_planes_with_uneven_demand_let_the_limit_through_together(control, batcher, valkey, tmp_path):
    per_second, offered_by, lasts_s, settled_s = 40.0, (110.0, 10.0), 8.0, 2.0
    put(control, {"requests_per_second": per_second})
    ended: list[tuple[float, str]] = []
    async with contextlib.AsyncExitStack() as open_:
        planes = [
            await open_.enter_async_context(
                data_plane(
                    control.target,
                    {"default": [batcher.target]},
                    tmp_path / name,
                    id=name,
                    valkey_url=valkey.url,
                )
            )
            for name in ("data-0", "data-1")
        ]
        for plane in planes:
            await held_to(plane, 1)
        began = time.monotonic()

        async def ask(plane: DataPlane) -> None:
            reason = await outcome(plane)
            ended.append((time.monotonic() - began, reason))

        async def offer(plane: DataPlane, per_s: float, seed: int) -> None:
            rng, due_s = random.Random(seed), 0.0
            async with asyncio.TaskGroup() as asking:
                while (due_s := due_s + rng.expovariate(per_s)) < lasts_s:
                    await asyncio.sleep(began + due_s - time.monotonic())
                    asking.create_task(ask(plane))

        await asyncio.gather(*(offer(plane, per_s, seed=3) for plane, per_s in zip(planes, offered_by, strict=True)))
        labels = {"rate_limit": "l0", "shadow_mode": "false"}
        beyond = [await plane.metric("headrace_router_rate_limited_total", **labels) for plane in planes]
        alone = [await plane.metric("headrace_router_rate_limit_alone_total", rate_limit="l0") for plane in planes]
    assert sum(beyond) == sum(reason == "RATE_LIMITED" for _, reason in ended)
    # By then the burst is spent; what a machine that stands still lets nobody ask for, it gives afterwards.
    let_through = sum(not reason for at_s, reason in ended if at_s >= settled_s)
    assert let_through <= 1.02 * per_second * (ended[-1][0] - settled_s) + sum(alone) + 2
    if ended[-1][0] < lasts_s + 0.2:  # else not everybody asked in time
        assert let_through >= 0.98 * per_second * (lasts_s - settled_s) - 2


@pytest.fixture
async def one() -> AsyncIterator[FakeBatcher]:
    async with FakeBatcher.serving([ONE]) as batcher:
        yield batcher


async def test_by_every_protocol_it_is_refused_and_told_when_to_come_back(one, tmp_path):
    protocols = ("predict", "infer", "json", "v2", "parts", "events", "stream")
    limits = [limit(name=f"rateLimits/{name}", client=name, requests_per_second=0.01, burst=1) for name in protocols]
    async with (
        inference_plane(one, tmp_path, rate_limits=limits) as plane,
        grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel,
    ):
        await held_to(plane, len(protocols))
        triton = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        infer = infer_request("digits", ("x", "FP32", [1, 4], ROW))
        whole = predict_pb2.PredictStreamRequest(request=DIGITS)

        async def parts(message: Any, **how: Any) -> None:
            async for _ in plane.stub.PredictStream(message, **how):
                pass

        for client, call, message in (
            ("predict", plane.stub.Predict, DIGITS),
            ("infer", triton.ModelInfer, infer),
            ("parts", parts, whole),
        ):
            await call(message, timeout=patience(10), metadata=by(client))
            error = await refused(call(message, timeout=patience(10), metadata=by(client)))
            assert (error.code.name, error.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED"), client
            assert error.retry_after_s == pytest.approx(100, abs=patience(10)), client

        rows = {"instances": [[1, 2, 3, 4]]}
        tensors = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
        for client, path, body in (
            ("json", "/v1/models/digits:predict", rows),
            ("v2", "/v2/models/digits/infer", tensors),
        ):
            answers = [await plane.rest.post(path, json=body, headers=dict(by(client))) for _ in range(2)]
            assert [one.status_code for one in answers] == [200, 429], client
            assert rest_refusal(answers[1]).reason == "RATE_LIMITED"
            assert 80 < int(answers[1].headers["retry-after"]) <= 100

        path, headers = "/v1/models/digits:predictStream", dict(by("events"))
        async with plane.rest.stream("POST", path, json=rows, headers=headers) as response:
            assert [name async for name, _ in events(response)] == ["part", "end"]
        answer = await plane.rest.post(path, json=rows, headers=headers)
        assert (answer.status_code, rest_refusal(answer).reason) == (429, "RATE_LIMITED")
        assert 80 < int(answer.headers["retry-after"]) <= 100

        stream = triton.ModelStreamInfer(iter([infer, infer]), timeout=patience(10), metadata=by("stream"))
        answers = [answer.error_message async for answer in stream]
        assert sorted(map(bool, answers)) == [False, True], "each request of a stream counts"
        assert any("requests a second" in message for message in answers)


async def test_it_holds_for_answers_that_are_kept_and_says_nothing_about_models_that_a_client_may_not_see(
    control, batcher, tmp_path
):
    put(control, {"client": "*", "requests_per_second": 0.01, "burst": 1})
    async with (
        FakeIngest.serving() as monitor,
        data_plane(
            control.target,
            {"default": [batcher.target]},
            tmp_path,
            monitor_target=monitor.target,
            cache_ttl_s=60.0,
        ) as plane,
    ):
        await held_to(plane, 1)
        assert [await outcome(plane) for _ in range(2)] == ["", "RATE_LIMITED"]
        for _ in range(2):
            hidden = plane.stub.Predict(DIGITS, timeout=10, metadata=((CLIENT_HEADER, "eve"), (MODELS_HEADER, "x*")))
            assert (await refused(hidden)).reason == "MODEL_NOT_FOUND"

        def counted() -> set[str]:
            exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
            return {one.model for report in monitor.reports for one in report.series if one.code == exhausted}

        assert await eventually(counted, within=patience(10)) == {""}, "no alert of the model is to hear of it"


async def test_while_valkey_is_away_each_limit_says_what_holds_and_afterwards_it_is_counted_again(
    control, batcher, valkey, tmp_path
):
    slow = {"requests_per_second": 0.01, "burst": 2}
    put(control, slow, {**slow, "client": "open", "outage": OPEN}, {**slow, "client": "closed", "outage": CLOSED})
    pools = {"default": [batcher.target]}
    async with data_plane(control.target, pools, tmp_path, valkey_url=valkey.url) as plane:
        await held_to(plane, 3)
        assert [await outcome(plane, "open") for _ in range(3)] == ["", "", "RATE_LIMITED"]
        await valkey.kill()

        async def refuses() -> bool:
            return await outcome(plane, "closed") == "RATE_LIMIT_UNAVAILABLE"

        await eventually(refuses, within=patience(10))
        assert [await outcome(plane, "ada") for _ in range(3)] == ["", "", "RATE_LIMITED"]
        await eventually(lambda: _is_open(plane), within=patience(10))
        await valkey.start()

        async def counts() -> bool:
            return [await outcome(plane, "closed") for _ in range(3)].count("RATE_LIMITED") > 0

        await eventually(counts, within=patience(10))


async def _is_open(plane: DataPlane) -> bool:
    """Whether more requests come through than the limit would let."""
    return [await outcome(plane, "open") for _ in range(5)] == [""] * 5


class Enforced:
    """In the place of the limiter: names in force, and how often others were put in force."""

    def __init__(self) -> None:
        self.names: list[str] | None = None
        self.times = 0

    def enforce(self, limits: RateLimits) -> None:
        self.names = sorted(one.name for one in limits)
        self.times += 1


async def test_what_is_known_is_in_force_after_a_start_without_a_control_plane(control, tmp_path):
    enforced: Any = Enforced()
    put(control, {"client": "eve"}, {"client": "ada"})
    async with grpc.aio.insecure_channel(control.target) as channel:
        followed = FollowedClientLimits(enforced, Budgets(), tmp_path, channel, SystemClock())
        await followed.start()
        loops = [asyncio.ensure_future(one) for one in (followed.follow(), followed.save())]
        await eventually(lambda: enforced.names == ["l0", "l1"], within=patience(10))
        put(control, {"name": "rateLimits/new"})
        await eventually(lambda: enforced.names == ["new"], within=patience(10))
        file = tmp_path / FILE
        control.put_overruns(client_limits_pb2.BudgetOverrun(client="bob", model="digits"))
        await eventually(lambda: file.exists() and b"bob" in file.read_bytes(), within=patience(10))
        for one in loops:
            one.cancel()
        assert enforced.times == 2, "who is over budget changes nothing about rate limits"
        again: Any = Enforced()
        budgets = Budgets()
        await FollowedClientLimits(again, budgets, tmp_path, channel, SystemClock()).start()
        assert again.names == ["new"]
        assert [*budgets.over] == [("bob", "digits")]


async def test_the_file_that_0_1_0_wrote_is_read_and_one_that_is_nonsense_is_not(tmp_path):
    enforced: Any = Enforced()
    # Revision r1 and the limit `l` of ada.
    written = b"\n\x02r1\x12\x1f\n\x0crateLimits/l\x12\x03ada\x1a\x01m!\0\0\0\0\0\0\xe0?"
    CheckedFile(tmp_path / FILE, MAGIC, MAX_BYTES).write(written)
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        followed = FollowedClientLimits(enforced, Budgets(), tmp_path, channel, SystemClock())
        await followed.start()
        assert enforced.names == ["l"]
        (tmp_path / FILE).write_bytes(b"nonsense")
        await followed.start()


async def test_valkey_gives_what_the_rule_says(valkey):
    rng, client = random.Random(5), redis.asyncio.Redis.from_url(valkey.url)
    # So slow that no token comes while this runs.
    rates = [Rate(0.001, burst) for burst in (1.0, 7.0, 100.5)]
    full_at = dict.fromkeys(range(len(rates)), 0.0)
    async with client:
        for _ in range(50):
            asked = [(at, rng.randrange(9)) for at in rng.sample(range(len(rates)), rng.randrange(1, len(rates) + 1))]
            numbers = [repr(value) for at, wanted in asked for value in (*rates[at], wanted)]
            reply = await client.eval(TAKE.decode(), len(asked), *(f"b{at}" for at, _ in asked), *numbers)
            for (at, wanted), tokens, next_us in zip(asked, reply[::2], reply[1::2], strict=True):
                taken = bucket.take(rates[at], full_at[at], wanted, 1e6)
                full_at[at] = taken.full_at
                assert tokens == taken.tokens
                assert next_us / 1e6 == pytest.approx(taken.next_s, abs=patience(20))

        began, given = time.monotonic(), 0
        while (passed_s := time.monotonic() - began) < 1.0:
            tokens, _ = await client.eval(TAKE.decode(), 1, "fast", "5000.0", "50000.0", "1000000")
            given += tokens
        # Its burst at once, which holds more than ten seconds' worth, so that a busy machine loses nothing.
        assert 0.98 * 5000 * passed_s <= given - 50_000 <= 1.02 * 5000 * (time.monotonic() - began) + 10

        await client.set("odd", "not a number")
        assert (await client.eval(TAKE.decode(), 1, "odd", "1.0", "3.0", "5"))[0] == 3
        assert await client.pttl("odd") <= 4000, "nothing is kept for ever"
