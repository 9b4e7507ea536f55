"""Steady load on a stack through its front door: every request is recorded with when, what and from which version.

async with Load.running(stack, "digits", linear()) as load:
    ... do something to the stack ...
assert not load.failures()

Open loop: requests leave on time whether or not earlier ones were answered, as callers do who do not know each other.
Every other request accepts no kept answer, so that it is computed; the others take what they get.
Nothing is retried here: what the stack does not repair by itself is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Self

import grpc
import grpc.aio
import httpx
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from headrace.router.v1 import predict_pb2
from headrace_servicekit.testing import eventually

from tests.kit.models.onnx_models import TinyModel
from tests.kit.stack.running import RunningStack

PREDICT = "/headrace.router.v1.RouterService/Predict"
# A token lives for 15 minutes.
_NEW_TOKEN_EVERY_S = 300.0
_CONNECT_S = 20.0
# A stack that hangs must not fill the memory of the test: at 150/s this is 20 s without any answer.
_MOST_OPEN = 3000
_REST_LIMITS = httpx.Limits(max_connections=_MOST_OPEN, max_keepalive_connections=4)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it. Times are of `time.monotonic`.

    version, generation: of the answer; empty and 0 when there was none. right: whether the values are what that version
    computes. reason: of ErrorInfo.
    """

    user: str
    sent_at: float = 0.0
    received_at: float = 0.0
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""
    message: str = ""
    version: str = ""
    generation: int = 0
    right: bool = True

    @property
    def answered(self) -> bool:
        return self.code is grpc.StatusCode.OK

    def __str__(self) -> str:
        took_ms = (self.received_at - self.sent_at) * 1000
        return f"at {self.sent_at:.3f} for {took_ms:.0f} ms: {self.code.name} {self.reason} {self.message}".rstrip()


class Load:
    """A running load. exchanges: every request that is over, in the order of its end."""

    def __init__(
        self,
        stack: RunningStack,
        model: str,
        versions: dict[str, TinyModel],
        *,
        rate: float,
        deadline_s: float,
        rest_one_in: int,
    ) -> None:
        self.stack, self.model, self.rate, self.deadline_s = stack, model, rate, deadline_s
        self._rest_one_in = rest_one_in
        self.exchanges: list[Exchange] = []
        self._expected, self._inputs = _cases(versions)
        self._open: set[asyncio.Task[None]] = set()
        self._metadata: tuple[tuple[str, str], ...] = ()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        stack: RunningStack,
        model: str,
        versions: dict[str, TinyModel],
        *,
        rate: float = 100.0,
        deadline_s: float = 8.0,
        rest_one_in: int = 5,
        address: str = "",
    ) -> AsyncIterator[Self]:
        """Send `rate` requests a second until the block ends; then await what is open.

        versions: by id. rest_one_in: one of so many requests goes over REST, 0 for none. address: of a data plane that
        is asked by gRPC past the front door.
        """
        load = cls(stack, model, versions, rate=rate, deadline_s=deadline_s, rest_one_in=rest_one_in)
        options = [
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
        ]
        async with (
            grpc.aio.insecure_channel(address or stack.address, options) as channel,
            httpx.AsyncClient(base_url=stack.url, timeout=deadline_s + 2, limits=_REST_LIMITS) as rest,
        ):
            # Attempts to connect are short, for the sake of later ones; on a busy machine the first may be too short.
            async with asyncio.timeout(_CONNECT_S):
                await channel.channel_ready()
            sending = asyncio.create_task(load._send(channel.unary_unary(PREDICT), rest), name="load")
            try:
                yield load
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                await asyncio.gather(*load._open)

    async def goes_on(self, seconds: float) -> list[Exchange]:
        """Let that much time pass and return the requests that were sent in it, once each is over."""
        began = time.monotonic()
        await asyncio.sleep(seconds)
        return await self.settled(began, time.monotonic())

    async def settled(self, since: float, until: float) -> list[Exchange]:
        """Return the requests sent between two times, once each is over."""
        await asyncio.gather(*self._open)
        return [one for one in self.exchanges if since <= one.sent_at < until]

    async def steady(self, *, within: float = 60.0, count: int = 20) -> float:
        """Return, once so many requests in a row sent from now on were answered, when the first of them was sent."""
        begun = len(self.exchanges)

        def answered_row() -> list[Exchange]:
            last = self.exchanges[begun:][-count:]
            return last if len(last) == count and all(one.answered for one in last) else []

        return min(one.sent_at for one in await eventually(answered_row, within=within))

    def expect(self, version: str, file: TinyModel) -> None:
        """Know what a version answers that is registered later."""
        self._expected[version] = [_scores(file, rows) for rows in self._inputs]

    def failures(self) -> list[Exchange]:
        """Return the requests that were not answered, in the order of their sending."""
        return sorted((one for one in self.exchanges if not one.answered), key=lambda one: one.sent_at)

    async def _send(self, call: Any, rest: httpx.AsyncClient) -> None:
        began = time.monotonic()
        renewed_at = float("-inf")
        for number in range(1 << 40):
            now = time.monotonic()
            await asyncio.sleep(began + number / self.rate - now)
            if now - renewed_at > _NEW_TOKEN_EVERY_S:
                renewed_at = now
                self._metadata = (("authorization", f"Bearer {self.stack.token('load')}"),)
            if len(self._open) >= _MOST_OPEN:
                continue
            task = asyncio.create_task(self._one(call, rest, number))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _one(self, call: Any, rest: httpx.AsyncClient, number: int) -> None:
        user, case = f"user-{number % 997}", number % len(self._inputs)
        sent_at = time.monotonic()
        if self._rest_one_in and number % self._rest_one_in == 0:
            made = await self._over_rest(rest, user, case)
        else:
            made = await self._over_grpc(call, user, case, computed=number % 2 == 0)
        self.exchanges.append(replace(made, sent_at=sent_at, received_at=time.monotonic()))

    async def _over_grpc(self, call: Any, user: str, case: int, *, computed: bool) -> Exchange:
        request = predict_pb2.PredictRequest(model=self.model, user_id=user)
        request.inputs.add(name="features", datatype="FP32", shape=self._inputs[case].shape)
        request.raw_input_contents.append(self._inputs[case].tobytes())
        if computed:
            request.max_age.SetInParent()
        try:
            data = await call(request.SerializeToString(), timeout=self.deadline_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return Exchange(user, code=error.code(), reason=reason_of(error), message=error.details() or "")
        answer = predict_pb2.PredictResponse.FromString(data)
        scores = np.frombuffer(answer.raw_output_contents[0], np.float32)
        return self._answered(user, case, answer.version, answer.generation, scores)

    async def _over_rest(self, rest: httpx.AsyncClient, user: str, case: int) -> Exchange:
        body = {"instances": self._inputs[case].tolist(), "user_id": user}
        headers = {**dict(self._metadata), "grpc-timeout": f"{int(self.deadline_s * 1000)}m"}
        try:
            answer = await rest.post(f"/v1/models/{self.model}:predict", json=body, headers=headers)
        except httpx.HTTPError as error:
            return Exchange(user, code=grpc.StatusCode.UNAVAILABLE, reason="HTTP", message=repr(error))
        if answer.status_code != 200:
            message = f"HTTP {answer.status_code} {answer.text[:300]}"
            return Exchange(user, code=grpc.StatusCode.UNKNOWN, reason="HTTP", message=message)
        found = answer.json()
        scores = np.array(found["predictions"], np.float32).ravel()
        return self._answered(user, case, found["model_version"], found["generation"], scores)

    def _answered(self, user: str, case: int, version: str, generation: int, scores: np.ndarray) -> Exchange:
        expected = self._expected.get(version)
        right = expected is not None and np.allclose(scores, expected[case].ravel(), rtol=1e-4, atol=1e-5)
        return Exchange(user, version=version, generation=int(generation), right=right)


def _cases(versions: dict[str, TinyModel], count: int = 31) -> tuple[dict[str, list[np.ndarray]], list[np.ndarray]]:
    """Return inputs of one to three rows, and what each version answers to them."""
    rng = np.random.default_rng(7)
    features = next(iter(versions.values())).contract.inputs[0].shape[0]
    inputs = [rng.normal(size=(1 + number % 3, features)).astype(np.float32) for number in range(count)]
    expected = {name: [_scores(version, rows) for rows in inputs] for name, version in versions.items()}
    return expected, inputs


def _scores(version: TinyModel, rows: np.ndarray) -> np.ndarray:
    return version.expected({"features": rows})["scores"]


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the reason of ErrorInfo, empty when the answer carries none."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info.reason
    return ""


def describe(failures: list[Exchange], most: int = 10) -> str:
    """Return the failures as text: how many, and the first of them."""
    return f"{len(failures)} requests failed:\n" + "\n".join(str(one) for one in failures[:most])
