"""Envoy's filter as Python: hands requests to a filter bridge as `filter_bridge.c` does, many at a time.

played = PlayedFilter()
bridge = FilterBridge(played, respond, respond, most_message_bytes=1 << 22, most_unfinished=8192)
bridge.start()
answers = await played.answers([packed_request(1, path, body, token)])
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Mapping, Sequence

from headrace_router.data.transports.envoy.bridged_request import NAMES, VARYING

_REQUEST = struct.Struct("=IIQQII")
_ANSWER = struct.Struct("=QIIII")


class PlayedFilter:
    """The functions of the filter. Answers are headers, message and trailers, packed as the C takes them."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_NONBLOCK)
        self._requests: list[bytes] = []
        self._answers: dict[int, tuple[bytes, bytes, bytes]] = {}
        self._wanted = 0
        self._complete: asyncio.Future[None] | None = None

    async def answers(self, requests: Sequence[bytes]) -> dict[int, tuple[bytes, bytes, bytes]]:
        """Hand requests over in one go; return headers, message and trailers by id once all are answered."""
        self._answers, self._wanted = {}, len(requests)
        self._complete = asyncio.get_running_loop().create_future()
        self._requests.extend(requests)
        os.eventfd_write(self._event, 1)
        await self._complete
        return self._answers

    def bridge_open(self, _configuration: bytes) -> int:
        return self._event

    def bridge_take(self, address: int, size: int) -> int:
        data = b"".join(self._requests)
        if len(data) > size:
            return -len(data)
        os.eventfd_read(self._event)
        self._requests.clear()
        ctypes.memmove(address, data, len(data))
        return len(data)

    def bridge_answer(self, answers: bytes, size: int) -> None:
        at = 0
        while at < size:
            id_, headers, message, trailers, _ = _ANSWER.unpack_from(answers, at)
            at += _ANSWER.size
            begins, ends = at + headers, at + headers + message
            self._answers[id_] = answers[at:begins], answers[begins:ends], answers[ends : ends + trailers]
            at = ends + trailers
        if self._complete is not None and len(self._answers) == self._wanted:
            self._complete.set_result(None)

    def bridge_give_up(self, _after_ms: int) -> None:
        """No request of a test comes in pieces."""

    def bridge_arm(self, _packed: bytes, _size: int) -> bool:
        """Repeat nothing: the real filter's table is tested with itself."""
        return False

    def bridge_drop(self, _number: int) -> None: ...

    def bridge_forget(self) -> None: ...

    def bridge_lease(self, _lease: int, _tokens: int) -> int:
        return 0

    def bridge_repeated(self, _address: int) -> int:
        return 0

    def close(self) -> None:
        """Close what was opened."""
        os.close(self._event)


def packed_request(id_: int, headers: Mapping[str, str], body: bytes, *, connection: int = 1) -> bytes:
    """Return a request as the filter hands it over. headers: those that the bridge wants, `:path` among them."""
    ordered = sorted(headers.items(), key=lambda pair: pair[0] not in VARYING)
    numbers = b"".join(struct.pack("=I", NAMES.index(name) << 24 | len(value)) for name, value in ordered)
    rest = numbers + "".join(value for _, value in ordered).encode("latin-1") + body
    return _REQUEST.pack(_REQUEST.size + len(rest), 0, id_, connection, len(headers), len(body)) + rest
