"""One log line per sampled request, and per error within a bound: what it was, what became of it, how long it took."""

from __future__ import annotations

import structlog
from headrace_servicekit.errors import Code

from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.request.request import Call
from headrace_router.data.telemetry.counters import Key

log = structlog.get_logger()


class AccessLog:
    """Logs requests that are sampled (`CallContextFactory`), and errors.

    errors_per_second: errors that are logged at most, besides those. A line takes some 100 µs of the loop.
    """

    __slots__ = ("_errors_left", "_errors_per_second", "_second_ends")

    def __init__(self, errors_per_second: int) -> None:
        self._errors_per_second = self._errors_left = errors_per_second
        self._second_ends = 0.0

    def wants_error(self, now: float) -> bool:
        """Return whether an error is logged that is not sampled. now: any clock that never goes back."""
        if now >= self._second_ends:
            self._second_ends, self._errors_left = now + 1.0, self._errors_per_second
        if self._errors_left <= 0:
            return False
        self._errors_left -= 1
        return True

    def write(self, call: Call, key: Key, seconds: float, reason: str) -> None:
        """Log one request. Never its values. reason: of the error, empty for an answer."""
        log.info(
            "prediction",
            model=key.model,
            version=key.version,
            variant=key.variant,
            served_from=ServedFrom(key.served_from).name.lower() if key.served_from else None,
            layer=key.layer or None,
            fallback_step=key.fallback_step or None,
            code=Code(key.code).name,
            reason=reason or None,
            parts=call.parts or None,
            part_bytes=call.part_bytes or None,
            ms=round(seconds * 1000, 3),
            client=call.caller.client,
            request_id=call.request_id,
            trace_id=call.traceparent[3:35] or None,
        )
