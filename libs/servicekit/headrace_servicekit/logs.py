"""Structured logs: one JSON object a line on stderr, with the request and trace of the call that the task serves."""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from headrace_servicekit.calls import current_call

# Names whose values are redacted in logs, should a caller pass them by mistake.
_SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|authorization|cookie|api_?key|private_?key|credential)")
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_BEARER = re.compile(r"(?i)\b(bearer)\s+[a-z0-9._~+/=-]+")
_HIDDEN = "[hidden]"


def set_up_logs(service: str, *, level: str = "info", log_format: str = "json", stream: TextIO | None = None) -> None:
    """Make structlog and the standard library's logging write the same lines to `stream` (stderr when None).

    Call it once per process; `service` becomes a field of every line.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _add_call,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _Service(service),
        structlog.processors.StackInfoRenderer(),
    ]
    # Not the console's own formatter: it prints local variables, and with them whatever is secret.
    plain = structlog.dev.plain_traceback
    last = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)
    )
    closing: list[Any] = [structlog.processors.format_exc_info, hide_secrets, last]
    target = stream or sys.stderr
    structlog.configure(
        processors=[*shared, *closing],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), _add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *closing],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.INFO))
    # A line for each request that succeeds would hide what matters.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.captureWarnings(True)


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values of secret-sounding names, passwords in URLs and bearer tokens."""
    for name, value in event.items():
        if _is_secret(name):
            event[name] = _HIDDEN
        elif isinstance(value, str) and ("://" in value or "earer" in value or "EARER" in value):
            event[name] = _BEARER.sub(rf"\1 {_HIDDEN}", _URL_PASSWORD.sub(rf"\1:{_HIDDEN}@", value))
    return event


@functools.lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _add_call(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    call = current_call()
    if call is not None:
        event.setdefault("request_id", call.request_id)
        if call.traceparent is not None:
            event.setdefault("trace_id", call.trace_id)
    return event


def _add_logger_name(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event


class _Service:
    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = self._service
        return event
