"""The log lines of services that run in the test's process."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from headrace_servicekit.logs import set_up_logs


class Lines:
    """What was logged since the block began, line by line."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of an event, oldest first."""
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


@contextmanager
def logged_lines(service: str = "tests") -> Iterator[Lines]:
    """Collect the lines of everything in this process until the block ends; logs are as they were after it."""
    root = logging.getLogger()
    handlers, level, stream = root.handlers[:], root.level, io.StringIO()
    set_up_logs(service, stream=stream)
    try:
        yield Lines(stream)
    finally:
        structlog.reset_defaults()
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(level)
