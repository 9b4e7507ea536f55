"""A request that Envoy's filter has handed to this process (`filter_bridge.py`).

Its headers come as a number for each that is there, and their values in a row. A number says which header it is and how
long its value. A client's requests mostly have the same numbers, whatever the values: what follows from them is worked
out once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import ServiceError, Unauthenticated
from headrace_servicekit.identity import Identity

from headrace_router.data.transports.call_context import TIMEOUT_HEADER, WANTED, check_doubled
from headrace_router.data.transports.coroutine_driver import CoroutineDriver

AUTHORIZATION = "authorization"
CONNECTION = "x-headrace-connection"
# The headers that the filter gives, by their place here.
PATH = ":path"
VARYING = (CONNECTION, REQUEST_ID_HEADER, TIMEOUT_HEADER)
"""Those that differ from one request to the next, which come first."""
NAMES = (*VARYING, PATH, AUTHORIZATION, *sorted(WANTED.difference(VARYING)))
_PLACE_SHIFT = 24
_VALUE_BYTES = (1 << _PLACE_SHIFT) - 1
# Numbers that are remembered; clients may make up as many as they like.
MAX_KNOWN = 4096


SCOPE = "predict"
"""That the token of every caller has to have."""

Identify = Callable[[bytes | None, str, Callable[[], object]], Identity]
"""As `Callers.identify`."""


class BridgedRequest:
    """A request that was taken. whole, broken: its body, or why it is not whole. driver: of its serving, once it waits.

    layout, values: of its headers. authorization: the header, None without one. connection: what tells its connection
    from others, Envoy's number or what a front door before us says. found, repeated: the headers that matter, and which
    of all were there twice.
    """

    __slots__ = (
        "authorization",
        "broken",
        "connection",
        "driver",
        "found",
        "identify",
        "layout",
        "path",
        "repeated",
        "values",
        "whole",
    )  # fmt: skip

    def __init__(self, connection: int, identify: Identify) -> None:
        self.connection: object = connection
        self.identify = identify
        self.layout, self.values = NO_HEADERS, b""
        self.path = ""
        self.authorization: bytes | None = None
        self.found: dict[str, str] = {}
        self.repeated: list[str] | None = None
        self.whole = b""
        self.broken: ServiceError | None = None
        self.driver: CoroutineDriver | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that matter. Raises ServiceError."""
        for name in self.repeated or ():
            check_doubled(name)
        return self.found

    def identity(self) -> Identity:
        """Return the caller. Raises ServiceError."""
        if self.repeated and AUTHORIZATION in self.repeated:
            raise Unauthenticated(f"header {AUTHORIZATION} is repeated", reason="TOKEN_INVALID")
        return self.identify(self.authorization, SCOPE, self.sender)

    def sender(self) -> object:
        """Return what tells the connection from others."""
        return self.connection

    def request_id(self) -> str | None:
        """Return the request id that the headers give."""
        return self.found.get(REQUEST_ID_HEADER)

    def compared(self) -> tuple[bytes, bytes, bytes]:
        """Return what others that are answered alike have too: numbers of headers, their values, and the body."""
        return self.layout.compared, self.values[self.layout.varying_bytes :], self.whole

    def body(self) -> bytes:
        """Return the body. Raises ServiceError that says why it did not come whole."""
        if self.broken is not None:
            raise self.broken
        return self.whole


class HeaderLayout:
    """Where the values of a request's headers are. A header that is there twice counts with its last value."""

    __slots__ = (
        "_authorization",
        "_behind",
        "_connection",
        "_found",
        "_path",
        "_repeated",
        "compared",
        "varying_bytes",
    )

    def __init__(self, numbers: bytes, *, behind_a_front_door: bool) -> None:
        self._behind = behind_a_front_door
        found: dict[str, slice] = {}
        repeated, begin = [], 0
        self.compared, self.varying_bytes = numbers, 0
        """Without the headers that differ from one request to the next; and the bytes of their values."""
        for (number,) in struct.iter_unpack("=I", numbers):
            name, end = NAMES[number >> _PLACE_SHIFT], begin + (number & _VALUE_BYTES)
            if name in found:
                repeated.append(name)
            found[name] = slice(begin, end)
            begin = end
            if name in VARYING:
                self.compared, self.varying_bytes = self.compared[4:], end
        self._path, self._authorization = found.pop(PATH, None), found.pop(AUTHORIZATION, None)
        self._connection = found.pop(CONNECTION, None)
        self._found, self._repeated = tuple(found.items()), repeated or None

    def read(self, values: bytes, request: BridgedRequest) -> None:
        """Tell a request what its headers are."""
        request.layout, request.values = self, values
        text, found = values.decode("latin-1"), request.found
        for name, part in self._found:
            found[name] = text[part]
        request.repeated = self._repeated
        if self._authorization is not None:
            request.authorization = values[self._authorization]
        if self._path is not None:
            request.path = text[self._path]
        if self._behind:
            request.connection = None if self._connection is None else text[self._connection]


NO_HEADERS = HeaderLayout(b"", behind_a_front_door=False)


class HeaderLayouts:
    """The layouts of the numbers that came lately. behind_a_front_door: whether one says whose connection it is."""

    def __init__(self, *, behind_a_front_door: bool) -> None:
        self._behind = behind_a_front_door
        self._known: dict[bytes, HeaderLayout] = {}

    def of(self, numbers: bytes) -> HeaderLayout:
        """Return the layout of a request with these numbers."""
        layout = self._known.get(numbers)
        if layout is None:
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            layout = self._known[numbers] = HeaderLayout(numbers, behind_a_front_door=self._behind)
        return layout
