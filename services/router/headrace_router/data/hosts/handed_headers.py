"""Headers of a request that Envoy's filter has handed over: a number for each that is there, and their values in a row.

A number says which header it is and how long its value. A client's requests mostly have the same numbers, whatever the
values: what follows from them is worked out once.
"""

from __future__ import annotations

import struct

from headrace_router.data.hosts.arrivals import WANTED
from headrace_router.data.hosts.handed_over import AUTHORIZATION, HandedOver

CONNECTION = "x-headrace-connection"
# The headers that the filter is told to give, by their place here.
NAMES = (":path", AUTHORIZATION, CONNECTION, *sorted(WANTED))
PATH = NAMES[0]
_PLACE_SHIFT = 24
_VALUE_BYTES = (1 << _PLACE_SHIFT) - 1
# Numbers that are remembered; clients may make up as many as they like.
MAX_KNOWN = 4096


class Parts:
    """Where the values of a request's headers are. A header that is there twice counts with its last value."""

    __slots__ = ("_authorization", "_connection", "_found", "_path", "_repeated")

    def __init__(self, numbers: bytes) -> None:
        found: dict[str, slice] = {}
        repeated, begin = [], 0
        for (number,) in struct.iter_unpack("=I", numbers):
            name, end = NAMES[number >> _PLACE_SHIFT], begin + (number & _VALUE_BYTES)
            if name in found:
                repeated.append(name)
            found[name] = slice(begin, end)
            begin = end
        self._path, self._authorization = found.pop(PATH, None), found.pop(AUTHORIZATION, None)
        self._connection = found.pop(CONNECTION, None)
        self._found, self._repeated = tuple(found.items()), repeated or None

    def read(self, values: bytes, request: HandedOver) -> None:
        """Tell a request what its headers are."""
        text, found = values.decode("latin-1"), request.found
        for name, part in self._found:
            found[name] = text[part]
        request.repeated = self._repeated
        if self._authorization is not None:
            request.authorization = values[self._authorization]
        if self._path is not None:
            request.path = text[self._path]
        if self._connection is not None:
            request.told_connection = text[self._connection]


class PartsKnown:
    """The parts of all numbers that came lately."""

    def __init__(self) -> None:
        self._known: dict[bytes, Parts] = {}

    def of(self, numbers: bytes) -> Parts:
        """Return the parts of a request with these numbers."""
        parts = self._known.get(numbers)
        if parts is None:
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            parts = self._known[numbers] = Parts(numbers)
        return parts
