"""What a component of the stack is: a value that says how to run one process and how to tell that it works."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace_stack.ports import Port


class PrepareError(Exception):
    """What a component needs before it starts could not be made; the message says what and what to do."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How long to wait before a dead component is started again, and when to give up.

    The wait doubles with each death in a row, from `first_s` up to `most_s`. A component that stayed up for `steady_s`
    starts again at `first_s`. Before it was ready for the first time it may die `start_attempts` times; after that it
    is restarted for ever.
    """

    first_s: float = 0.2
    most_s: float = 10.0
    steady_s: float = 30.0
    start_attempts: int = 3


@dataclass(frozen=True, slots=True)
class Component:
    """One supervised process.

    `ready` is the component's own health: it returns None when the component works and otherwise says what is missing.
    `prepare` runs before every start (write a configuration, make a data directory); what it raises ends the start.
    `tidy` runs after every end of the process and removes what it left outside its data.
    `needs` names the components that must be ready before this one starts and that stop after it.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], Awaitable[str | None]]
    prepare: Callable[[], Awaitable[None]] | None = None
    tidy: Callable[[], None] | None = None
    ports: tuple[Port, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    needs: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0
    # What the kernel sends when the supervisor dies without a word.
    death_signal: signal.Signals = signal.SIGKILL
    start_timeout_s: float = 60.0
    restart: RestartPolicy = RestartPolicy()


async def missing(component: Component, timeout_s: float) -> str | None:
    """Return what a component says that it misses, None when it works; or what is wrong with asking it."""
    try:
        return await asyncio.wait_for(component.ready(), timeout_s)
    except TimeoutError:
        return f"its health check did not answer within {timeout_s:.0f} s"
    except Exception as error:  # a check that is at fault ends nothing
        return f"its health check failed: {error!r}"
