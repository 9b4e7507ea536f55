"""A service as a process: arguments, settings, logs, signals, exit codes. `run` is all that a `__main__` calls.

SIGTERM or SIGINT begins the drain (`runtime.py`); a second one exits at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn, TypeVar

import structlog
import uvloop

from headrace_servicekit.commands import EXIT_FAILED, EXIT_OK, Command, add_commands, execute
from headrace_servicekit.described import settings_help
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.open_files import raise_limit
from headrace_servicekit.ports import PortUnavailable
from headrace_servicekit.runtime import Runtime, StartError
from headrace_servicekit.settings import ServiceSettings, SettingsError, settings_table

log = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)

EXIT_SETTINGS = 2


def run(
    name: str,
    settings_class: type[S],
    start: Callable[[Runtime[S]], Awaitable[object]],
    *,
    commands: Sequence[Command[S]] = (),
) -> NoReturn:
    """Be a service process, or the command that is typed: never returns.

    Exit code 0 after a stop, 1 after a failure, 2 for bad settings or usage, 3 for a command that is done but for a
    part. name: of the service, in logs and traces. start: builds the service from a Runtime; it returns when all is
    wired. commands: what `python -m` does instead when one is named.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m headrace_{name}",
        description=f"The Headrace {name} service.",
        epilog=settings_help(settings_class),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--settings", action="store_true", help="print the settings table (Markdown) and exit")
    add_commands(parser, commands)
    options = parser.parse_args()
    if options.settings:
        sys.stdout.write(settings_table(settings_class) + "\n")
        sys.exit(EXIT_OK)
    try:
        settings = settings_class.load()
    except SettingsError as error:
        sys.stderr.write(
            f"{name}: the settings are wrong\n" + "".join(f"  {line}\n" for line in str(error).splitlines())
        )
        sys.exit(EXIT_SETTINGS)
    set_up_logs(name, level=settings.log_level, log_format=settings.log_format)
    if options.command is not None:
        sys.exit(execute(name, options.command, settings, options))
    raise_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_main(name, settings, start))
    sys.exit(code)


async def _main(name: str, settings: S, start: Callable[[Runtime[S]], Awaitable[object]]) -> int:
    runtime = Runtime(name, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, runtime, number)
    try:
        await runtime.serve(start)
    except (PortUnavailable, StartError) as error:
        log.error("cannot start", problem=str(error))
        return EXIT_FAILED
    except Exception as error:
        if error is not runtime.failure:  # a dead loop was logged when it died
            log.exception("service failed")
        return EXIT_FAILED
    log.info("stopped")
    return EXIT_OK


def _on_signal(runtime: Runtime[Any], number: int) -> None:
    if runtime.stopping.is_set():
        log.warning("second signal: exiting at once", signal=signal.Signals(number).name)
        sys.stderr.flush()
        os._exit(128 + number)
    log.info("signal: stopping", signal=signal.Signals(number).name)
    runtime.stop()
