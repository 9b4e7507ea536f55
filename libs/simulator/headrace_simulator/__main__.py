"""`headrace-simulator`, or `python -m headrace_simulator`."""

from __future__ import annotations

import asyncio
import logging
import sys

import structlog

from headrace_simulator.arguments import parse
from headrace_simulator.listener import PortTaken
from headrace_simulator.scripts import WrongScript
from headrace_simulator.service import run


def main() -> None:
    """Run a simulator; exit with 1 and a sentence when it cannot."""
    options = parse(sys.argv[1:])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # the sender of invalid HTTP already has the error
    try:
        code = asyncio.run(run(options))
    except (OSError, ValueError, PortTaken, WrongScript) as error:
        sys.exit(f"headrace-simulator: {error}")
    sys.exit(code)


if __name__ == "__main__":
    main()
