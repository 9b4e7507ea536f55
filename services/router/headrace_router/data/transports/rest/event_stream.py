"""`POST /v1/models/{model}:predictStream`: many rows, answered in parts as server-sent events.

The body is that of `:predict`, of more rows where there are more. Each `part` is a prediction of its own, with
`first_row` beside what `:predict` answers, or one of several answers to the same rows, with its position as `part`;
`end` says that there are no more, and `error`, in its place, why: with the body of an error. Without either the stream
was cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.error_details import to_json
from headrace_servicekit.errors import Internal, ServiceError

from headrace_router.data.answer.answer import Answer
from headrace_router.data.predictor import Give, Predictor
from headrace_router.data.protocols import natural_json
from headrace_router.data.protocols.json_body import dump
from headrace_router.data.request.request import Call, Request
from headrace_router.data.transports.call_context import CallContextFactory
from headrace_router.data.transports.pace import ClientPace
from headrace_router.data.transports.part_answers import PART_ROWS, answer_in_parts
from headrace_router.data.transports.rest.disconnects import ClientGone, Send

log = structlog.get_logger()

METHOD = "REST predictStream"
# A caller that takes nothing for so long counts as gone: its place, and what it asked for, are others' then.
READ_WITHIN_S = 30.0
# Ends of lines to many who read by lines (httpx, Python's splitlines), none to the standard nor to JSON.
_SEPARATORS = ((b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"), (b"\xc2\x85", rb"\u0085"))
_HEADERS = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class EventStreams:
    """Answers requests in parts.

    pace: by which parts begin, as each is a request. max_rows: of one prediction.
    """

    def __init__(
        self,
        predictor: Predictor,
        contexts: CallContextFactory,
        pace: ClientPace,
        loop: asyncio.AbstractEventLoop,
        *,
        max_rows: int,
    ) -> None:
        self._predictor, self._contexts, self._pace, self._loop = predictor, contexts, pace, loop
        self._part_rows = min(max_rows, PART_ROWS)

    def parts(self, model: str, body: bytes) -> Iterator[tuple[int, Request]]:
        """Return the request in parts. Raises InvalidArgument."""
        return natural_json.parts(model, body, self._part_rows)

    async def answer(
        self,
        parts: Iterator[tuple[int, Request]],
        call: Call,
        headers: dict[str, str],
        stream: Events,
        until: float | None,
    ) -> None:
        """Answer every part. An error before the first answer is raised; a later one is the last event.

        headers: of the request; each part has a call of its own. until: the caller's deadline on the loop's clock; None
        without one, and then each part has its own.
        """
        given = {name: value for name, value in headers.items() if name != REQUEST_ID_HEADER}

        async def predict(request: Request, give: Give) -> None:
            remaining_s = None if until is None else until - self._loop.time()
            own = self._contexts.call(given, METHOD, remaining_s, call.caller)
            await self._predictor.predict_in_parts(request, own, give)

        # Taken out when it is raised, and beside its group: its traceback holds this frame, and they would hold it.
        failed: list[ServiceError] = []
        try:
            await answer_in_parts(parts, lambda: self._pace.wait(call.caller.client), predict, stream.part)
        except BaseExceptionGroup as group:
            failed.append(self._error_of(group))
        if not failed:
            await stream.end(b"end", {"parts": stream.parts})
        elif stream.began:
            await stream.end(b"error", to_json(failed[0]))
        else:
            raise failed.pop()

    @staticmethod
    def _error_of(group: BaseExceptionGroup) -> ServiceError:
        if group.subgroup(ClientGone) is not None:
            raise ClientGone from None
        typed, defects = group.split(ServiceError)
        if typed is None or defects is not None:
            log.error("unhandled error", method=METHOD, exc_info=group)
            return Internal("internal error")
        first = typed.exceptions[0]
        assert isinstance(first, ServiceError)  # the group of one task group is flat
        return first


class Events:
    """One stream of events. began: whether anything was sent. parts: answered so far."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]], *, read_within_s: float = READ_WITHIN_S) -> None:
        self._send, self._headers, self._read_within_s = send, headers, read_within_s
        self.began, self.parts = False, 0

    async def part(self, first_row: int, answer: Answer) -> None:
        """Send one answer; return when there is room for another one. Raises ClientGone."""
        more = {"part": answer.part} if answer.contract.decoupled else {}
        await self._event(b"part", natural_json.render(answer, first_row=first_row, **more))
        self.parts += 1

    async def end(self, name: bytes, document: Mapping[str, Any]) -> None:
        """Send the last event. Raises ClientGone."""
        await self._event(name, dump(document), more=False)

    async def _event(self, name: bytes, data: bytes, *, more: bool = True) -> None:
        for separator, escaped in _SEPARATORS:
            data = data.replace(separator, escaped)
        body = b"".join((b"event: ", name, b"\ndata: ", data, b"\n\n"))
        try:
            if not self.began:
                self.began = True
                start = {"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *self._headers]}
                await self._send(start)
            async with asyncio.timeout(self._read_within_s):
                await self._send({"type": "http.response.body", "body": body, "more_body": more})
        except OSError:  # what ASGI servers raise then; of who reads nothing it is a TimeoutError
            raise ClientGone from None
