"""The two ways to perform the steps of an operation: by blocking a thread, or by awaiting in an event loop."""

from __future__ import annotations

import asyncio
import inspect
import queue
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import grpc.aio

from headrace_client.calls import Call, Exchange, FetchToken, Listen, Method, Operation, Page, Pause, Result
from headrace_client.errors import Unavailable, from_rpc_error


class BlockingDriver:
    """Performs steps on a sync channel. Many threads may share it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self._stubs: dict[str, Callable[..., Any]] = {}

    def run(self, operation: Operation[Result]) -> Result:
        """Run an operation to its end in this thread."""
        try:
            step = next(operation)
            while True:
                try:
                    if isinstance(step, Call):
                        stub = self._stubs.get(step.method.path) or self._stub(step.method)
                        result = _blocking_call(stub, step)
                    elif isinstance(step, Exchange):
                        result = self._exchange(step)
                    elif isinstance(step, Listen):
                        result = self._listen(step)
                    elif isinstance(step, Page):
                        result = step.read()
                    elif isinstance(step, Pause):
                        result = time.sleep(step.seconds)
                    else:
                        result = _fetch(step)
                except grpc.RpcError as error:
                    step = operation.throw(from_rpc_error(error))
                else:
                    step = operation.send(result)
        except StopIteration as finished:
            return finished.value
        finally:
            operation.close()

    def _exchange(self, step: Exchange) -> None:
        # grpc reads the queue in a thread of its own; messages are made in this one, whose exceptions reach the caller.
        outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        call = self._stub(step.method)(iter(outgoing.get, None), timeout=step.timeout_s, metadata=step.metadata)
        unanswered = 0
        try:
            for message in step.messages():
                if unanswered == step.window:
                    step.received(_answer(next(call, None)))
                    unanswered -= 1
                outgoing.put(message)
                unanswered += 1
            outgoing.put(None)
            for answer in call:
                step.received(answer)
        finally:
            outgoing.put(None)
            call.cancel()

    def _listen(self, step: Listen) -> None:
        call = self._stub(step.method)(step.request, timeout=step.timeout_s, metadata=step.metadata)
        try:
            for answer in call:
                step.received(answer)
        finally:
            call.cancel()

    def _stub(self, method: Method[Any, Any]) -> Callable[..., Any]:
        return self._stubs.setdefault(method.path, _stub(self.channel, method))


class AsyncDriver:
    """Performs steps on an aio channel, in the event loop that it was made in."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._stubs: dict[str, Callable[..., Any]] = {}

    async def run(self, operation: Operation[Result]) -> Result:
        """Run an operation to its end; cancelling the task cancels the call."""
        try:
            step = next(operation)
            while True:
                try:
                    if isinstance(step, Call):
                        stub = self._stubs.get(step.method.path) or self._stub(step.method)
                        result = await _awaited_call(stub, step)
                    elif isinstance(step, Exchange):
                        result = await self._exchange(step)
                    elif isinstance(step, Listen):
                        result = await self._listen(step)
                    elif isinstance(step, Page):
                        result = await asyncio.to_thread(step.read)
                    elif isinstance(step, Pause):
                        result = await asyncio.sleep(step.seconds)
                    else:
                        result = _fetch(step)
                        if inspect.isawaitable(result):
                            result = await result
                except grpc.aio.AioRpcError as error:
                    step = operation.throw(from_rpc_error(error))
                else:
                    step = operation.send(result)
        except StopIteration as finished:
            return finished.value
        finally:
            operation.close()

    async def _exchange(self, step: Exchange) -> None:
        room, failed = asyncio.Semaphore(step.window), []

        async def outgoing() -> AsyncIterator[Any]:
            try:
                for message in step.messages():
                    await room.acquire()
                    yield message
            except Exception as error:  # grpc would only say that the call was cancelled
                failed.append(error)

        call = self._stub(step.method)(outgoing(), timeout=step.timeout_s, metadata=step.metadata)
        try:
            async for answer in call:
                room.release()
                step.received(answer)
        finally:
            call.cancel()
        if failed:
            raise failed[0]

    async def _listen(self, step: Listen) -> None:
        call = self._stub(step.method)(step.request, timeout=step.timeout_s, metadata=step.metadata)
        try:
            async for answer in call:
                step.received(answer)
        finally:
            call.cancel()

    def _stub(self, method: Method[Any, Any]) -> Callable[..., Any]:
        return self._stubs.setdefault(method.path, _stub(self.channel, method))


def _blocking_call(stub: Any, step: Call) -> Any:
    hedge = step.hedge
    if hedge is None:
        if step.trailers is None:
            return stub(_argument(step), timeout=step.timeout_s, metadata=step.metadata)
        answer, call = stub.with_call(_argument(step), timeout=step.timeout_s, metadata=step.metadata)
        step.trailers(dict(call.trailing_metadata() or ()))
        return answer
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    calls: list[Any] = []

    def start(timeout_s: float) -> None:
        calls.append(stub.future(_argument(step), timeout=max(0.0, timeout_s), metadata=step.metadata))
        calls[-1].add_done_callback(ended.put)

    start(step.timeout_s)
    try:
        try:
            winner = ended.get(timeout=hedge.after_s)
        except queue.Empty:
            if hedge.allowed():
                start(step.timeout_s - hedge.after_s)
            winner = ended.get()  # each has a deadline
            if winner.code() is not grpc.StatusCode.OK and len(calls) > 1:
                winner = ended.get()
        if winner.code() is not grpc.StatusCode.OK:
            raise winner
        if step.trailers is not None:
            step.trailers(dict(winner.trailing_metadata() or ()))
        return winner.result()
    finally:
        for call in calls:
            call.cancel()


async def _awaited_call(stub: Any, step: Call) -> Any:
    hedge = step.hedge

    async def once(timeout_s: float) -> tuple[Any, Any]:
        call = stub(_argument(step), timeout=timeout_s, metadata=step.metadata)
        answer = await call
        return answer, await call.trailing_metadata() if step.trailers is not None else ()

    if hedge is None:
        return _reported(step, *await once(step.timeout_s))
    tasks = {asyncio.ensure_future(once(step.timeout_s))}
    try:
        done, late = await asyncio.wait(tasks, timeout=hedge.after_s)
        if late and hedge.allowed():
            tasks.add(asyncio.ensure_future(once(max(0.0, step.timeout_s - hedge.after_s))))
        pending = tasks - done
        while pending and all(one.exception() is not None for one in done):
            ended, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            done |= ended
        winner = next((one for one in done if one.exception() is None), next(iter(done)))
        return _reported(step, *winner.result())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reported(step: Call, answer: Any, trailers: Any) -> Any:
    """Return an answer after passing its trailing metadata to the callback."""
    if step.trailers is not None:
        step.trailers(dict(trailers or ()))
    return answer


def _argument(step: Call) -> Any:
    return step.request() if callable(step.request) else step.request


def _answer(answer: Any) -> Any:
    """Return an answer that has to be there."""
    if answer is None:
        raise Unavailable("the stream ended before every message was answered", reason="STREAM_ENDED")
    return answer


def _fetch(step: FetchToken) -> Any:
    return step.provider()


def _stub(channel: grpc.Channel | grpc.aio.Channel, method: Method[Any, Any]) -> Callable[..., Any]:
    if method.client_stream:
        make = channel.stream_stream if method.server_stream else channel.stream_unary
    else:
        make = channel.unary_stream if method.server_stream else channel.unary_unary
    return cast("Any", make)(
        method.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )
