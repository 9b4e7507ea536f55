"""When an answer must be there: the caller's deadline, within the host's limits."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from headrace_servicekit.errors import FieldViolation, InvalidArgument

HEADER = "grpc-timeout"
# At most eight digits and a unit, as the gRPC protocol over HTTP/2 defines the header.
_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])")
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class DeadlineLimits(NamedTuple):
    """default_s: for callers that set none. max_s: for all."""

    default_s: float
    max_s: float

    def deadline(self, now: float, remaining_s: float | None) -> float:
        """Return the deadline on the clock of `now`; None is a caller without one, 0.0 one that has no time left."""
        return now + min(self.default_s if remaining_s is None else remaining_s, self.max_s)


@functools.lru_cache(maxsize=1024)  # callers repeat theirs
def parse_timeout(value: str) -> float:
    """Return the seconds of a `grpc-timeout` header such as `250m`. Raises InvalidArgument."""
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        told = f"'{value[:32]}' is not digits and one of the units H, M, S, m, u, n, such as 250m for 250 milliseconds"
        raise InvalidArgument(f"{HEADER}: {told}", reason="MALFORMED_HEADER", violations=[FieldViolation(HEADER, told)])
    return int(found.group(1)) * _UNITS_S[found.group(2)]
