"""One HTTP/2 connection of the load generator: requests from bytes encoded before, answers by their frames."""

from __future__ import annotations

import socket
import struct
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from benchmarks.load.calls import Call
from benchmarks.load.endings import OK, REFUSED, UNFINISHED, WRONG, Outcomes
from benchmarks.load.header_blocks import TABLE_BYTES, Header, request_blocks
from benchmarks.load.workload import ENTITY_CHARS, Workload

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = struct.Struct(">HBBBI")
_HEAD_BYTES = 9
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 1, 1, 4, 8
_MAX_FRAME = 16_384
_STREAM_WINDOW, _WINDOW, _REFILL = 1 << 24, 1 << 30, 1 << 29
_TABLE_SIZE, _PUSH, _STREAMS, _INITIAL_WINDOW = 1, 2, 3, 4
_READ_BYTES = 65_536


class WireError(Exception):
    """The peer did something that no gRPC or HTTP server should; the message says what."""


@dataclass(slots=True)
class Answered:
    """What answers there were. latencies_s: of right ones only; refusals_s: of those refused as under overload.

    Only what ends while `counting` is on counts here; what is not right and ends before or after, in `bad`.
    """

    latencies_s: array[float] = field(default_factory=lambda: array("d"))
    refusals_s: array[float] = field(default_factory=lambda: array("d"))
    outcomes: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    counting: bool = False


class Connection:
    """Sends what its backlog says, as many at once as allowed, and reads answers."""

    def __init__(
        self, address: tuple[str, int], call: Call, headers: Sequence[Header], workload: Workload, seen: Answered
    ) -> None:
        """Connect and agree on settings. Raises OSError and WireError."""
        self.backlog: deque[float] = deque()  # when the requests that are to be sent were meant to be
        self.again = False  # whether each answer makes room for another request
        self.flights: dict[int, tuple[float, int]] = {}
        self.out = b""
        self._call, self._workload, self._seen = call, workload, seen
        self._outcomes = Outcomes(call.grpc)
        self._bodies_read: dict[int, bytes] = {}
        self._statuses: dict[int, str] = {}
        self._rest = b""
        self._next_stream, self._streams = 1, 2**31
        self._window, self._stream_window, self._unacknowledged = 65_535, 65_535, 0
        blocks = request_blocks(headers)
        missing = len(call.tail) + (ENTITY_CHARS if call.by_entity else 0)
        sizes = [len(body) + missing for body in call.bodies]
        if max(sizes) > _MAX_FRAME:
            raise WireError(f"bodies of {max(sizes)} bytes are more than a frame of {_MAX_FRAME} takes")
        self._sizes = sizes
        self._data_heads = [size.to_bytes(3, "big") + bytes((_DATA, _END_STREAM)) for size in sizes]
        self._block, self._others = blocks
        self._head = _headers_head(self._block)
        self._others_head = _headers_head(self._others)
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._greet()
        self.socket.setblocking(False)

    def pump(self) -> None:
        """Send requests of the backlog, as far as the peer lets us."""
        backlog, flights, bodies, sizes = self.backlog, self.flights, self._call.bodies, self._sizes
        heads, draw, tail, by_entity = self._data_heads, self._workload.draw, self._call.tail, self._call.by_entity
        parts: list[bytes] = []
        while backlog and len(flights) < self._streams and self._window >= _MAX_FRAME:
            try:
                row, entity = draw()
            except StopIteration:
                backlog.clear()
                break
            stream = self._next_stream
            self._next_stream = stream + 2
            self._window -= sizes[row]
            number = stream.to_bytes(4, "big")
            if by_entity:
                parts += (self._head, number, self._block, heads[row], number, bodies[row], entity, tail)
            else:
                parts += (self._head, number, self._block, heads[row], number, bodies[row])
            if stream == 1:
                self._head, self._block = self._others_head, self._others
            flights[stream] = (backlog.popleft(), row)
        if parts:
            self.write(b"".join(parts))

    def write(self, data: bytes) -> None:
        """Send, or keep what the socket does not take."""
        data = self.out + data if self.out else data
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.out = data[sent:]

    def read(self) -> None:
        """Take what has come. Raises WireError when the peer has gone, or says what we do not understand."""
        data = self.socket.recv(_READ_BYTES)
        if not data:
            raise WireError(f"the server closed the connection with {len(self.flights)} requests in flight")
        now = perf_counter()
        if self._rest:
            data = self._rest + data
        at, size, unpack, bodies = 0, len(data), _HEAD.unpack_from, self._bodies_read
        while size - at >= _HEAD_BYTES:
            high, low, kind, flags, stream = unpack(data, at)
            begin = at + _HEAD_BYTES
            end = begin + (high << 8 | low)
            if end > size:
                break
            if kind == _DATA:
                part = data[begin:end] if not flags & _PADDED else data[begin + 1 : end - data[begin]]
                bodies[stream] = bodies[stream] + part if stream in bodies else part
                self._unacknowledged += end - begin
                if flags & _END_STREAM:
                    self._end(stream, self._outcomes.without_trailers(self._statuses.pop(stream, "")), now)
            elif kind == _HEADERS:
                self._headers(data[begin:end], flags, stream, now)
            else:
                self._control(kind, flags, stream, data[begin:end], now)
            at = end
        self._rest = data[at:]
        if self._unacknowledged > _REFILL:
            self.write(_frame(_WINDOW_UPDATE, 0, 0, self._unacknowledged.to_bytes(4, "big")))
            self._unacknowledged = 0

    def fileno(self) -> int:
        """Return the socket's, for select."""
        return self.socket.fileno()

    def close(self) -> None:
        """Give up what is in flight."""
        self.socket.close()

    def _headers(self, block: bytes, flags: int, stream: int, now: float) -> None:
        if not flags & _END_HEADERS or flags & _PADDED:
            raise WireError("an answer's headers are padded or in several frames")
        if flags & _END_STREAM:
            self._statuses.pop(stream, None)
            self._end(stream, self._outcomes.of_block(block), now)
        elif block[0] != 0x88:  # anything but `:status 200` in the static table, or behind a change of the table's size
            self._statuses[stream] = self._outcomes.http_status(block)

    def _end(self, stream: int, outcome: str, now: float) -> None:
        flight = self.flights.pop(stream, None)
        if flight is None:
            return
        body = self._bodies_read.pop(stream, b"")
        sent_at, row = flight
        seen = self._seen
        if outcome == OK and not self._call.right(body, row):
            outcome = WRONG
        if seen.counting:
            seen.outcomes[outcome] += 1
            if outcome == OK:
                seen.latencies_s.append(now - sent_at)
            elif outcome == REFUSED:
                seen.refusals_s.append(now - sent_at)
        elif outcome != OK:
            seen.bad[outcome] += 1
        if self.again:
            self.backlog.append(now)

    def _control(self, kind: int, flags: int, stream: int, payload: bytes, now: float) -> None:
        if kind == _WINDOW_UPDATE:
            if stream == 0:
                self._window += int.from_bytes(payload, "big")
        elif kind == _SETTINGS:
            if not flags & _ACK:
                self._take_settings(payload)
                self.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING:
            if not flags & _ACK:
                self.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _RST_STREAM:
            if stream in self.flights:
                self._end(stream, f"RST_STREAM {int.from_bytes(payload, 'big')}", now)
        elif kind == _GOAWAY:
            why = int.from_bytes(payload[4:8], "big")
            raise WireError(f"the server sends us away (GOAWAY {why} {payload[8:].decode(errors='replace')})")

    def _greet(self) -> None:
        pairs = ((_TABLE_SIZE, 0), (_PUSH, 0), (_INITIAL_WINDOW, _STREAM_WINDOW))
        settings = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in pairs)
        widened = (_WINDOW - 65_535).to_bytes(4, "big")
        self.write(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, widened))
        self.read()  # a server begins with its settings
        if max(self._sizes) > self._stream_window:
            raise WireError(f"the server takes {self._stream_window} bytes of a request before it is asked: too few")

    def _take_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            name, value = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 6], "big")
            if name == _STREAMS:
                self._streams = value
            elif name == _INITIAL_WINDOW:
                self._stream_window = value
            elif name == _TABLE_SIZE and value < TABLE_BYTES:
                raise WireError(f"the server keeps a header table of {value} bytes only")


def unfinished(connections: Sequence[Connection], seen: Answered) -> None:
    """Count what is in flight as never answered."""
    for one in connections:
        if one.flights:
            seen.bad[UNFINISHED] += len(one.flights)


def _headers_head(block: bytes) -> bytes:
    return len(block).to_bytes(3, "big") + bytes((_HEADERS, _END_HEADERS))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
