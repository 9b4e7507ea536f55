"""What a component of the stack is: a value that says how to run one process and how to tell that it works."""

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
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

    What is ready is asked every `check_every_s`. One whose health says that it fails is ended and started again after
    `patience_s`, or twice the time that its start took, whichever is more; the patience doubles, up to
    `most_patience_s`, while that helps for less than `steady_s`.
    """

    first_s: float = 0.2
    most_s: float = 10.0
    steady_s: float = 30.0
    start_attempts: int = 3
    patience_s: float = 15.0
    most_patience_s: float = 600.0
    check_every_s: float = 5.0


@dataclass(frozen=True, slots=True)
class StartPolicy:
    """How long a start is waited for: `patience_s`, and then as long as its processes go on, `most_s` at the longest.

    They go on while they use the processor or read and write; after `quiet_s` with next to none of it they only wait.
    """

    patience_s: float = 60.0
    quiet_s: float = 20.0
    most_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Component:
    """One supervised process.

    `ready` is the component's own health: it returns None when the component works and otherwise says what is missing.
    `well` is asked every few seconds of what has been ready, where `ready` does more than a look.
    `prepare` runs before every start (write a configuration, make a data directory); what it raises ends the start.
    `tidy` runs after every end of the process and removes what it left outside its data.
    `needs` names the components that must be ready before this one starts and that stop after it; `leans_on` those of
    them without which it is not well either, once it has started: it is not started again for their outage.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], Awaitable[str | None]]
    well: Callable[[], Awaitable[str | None]] | None = None
    prepare: Callable[[], Awaitable[None]] | None = None
    tidy: Callable[[], None] | None = None
    ports: tuple[Port, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    needs: tuple[str, ...] = ()
    leans_on: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0
    # What the kernel sends when the supervisor dies without a word.
    death_signal: signal.Signals = signal.SIGKILL
    start: StartPolicy = StartPolicy()
    restart: RestartPolicy = RestartPolicy()


async def missing(component: Component, timeout_s: float) -> str | None:
    """Return what a component says that it misses, None when it works; or what is wrong with asking it."""
    return await _asked(component.ready, timeout_s)


async def unwell(component: Component, timeout_s: float) -> str | None:
    """Return why a component that has been ready does not work now, None when it does."""
    return await _asked(component.well or component.ready, timeout_s)


async def _asked(check: Callable[[], Awaitable[str | None]], timeout_s: float) -> str | None:
    try:
        async with asyncio.timeout(timeout_s):
            return await check()
    except TimeoutError:
        return f"its health check did not answer within {timeout_s:.0f} s"
    except Exception as error:  # a check that is at fault ends nothing
        return f"its health check failed: {error!r}"


def package_directory(package: str, wheel: str) -> Path:
    """The directory of an installed package. Raises PrepareError naming the wheel that is missing."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise PrepareError(f"the wheel {wheel} is not installed: run `make setup`")
    return Path(spec.origin).parent


def script(name: str, wheel: str) -> Path:
    """A program that a wheel put beside this interpreter, or that is found in PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise PrepareError(f"the wheel {wheel} is not installed: run `make setup`")
    return Path(found)
