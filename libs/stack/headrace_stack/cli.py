"""The commands behind the Makefile."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from headrace_stack import (
    backup,
    control,
    daemon,
    identity,
    last_run,
    lifecycle,
    loglines,
    replicas,
    settings,
    snapshot,
)
from headrace_stack.control import ControlError
from headrace_stack.ports import Ports
from headrace_stack.replicas import Backend
from headrace_stack.snapshot import Phase, State
from headrace_stack.start_order import TopologyError
from headrace_stack.view import table

_NOT_UP = 3
# Each component has ten seconds to say how it is.
_STATUS_S = 30.0
# Of each log.
_LAST_LINES = 20
_PIPED_WIDTH = 1000
_LOST = "routes, models, predictions, outcomes, counts and alerts that are newer than the backup are lost"


def main() -> None:
    """Run a command; what the user can mend is a message without a traceback."""
    try:
        for name, value in settings.of_file(settings.checkout_of_this_file() / settings.FILE).items():
            os.environ.setdefault(name, value)
        commands()
    except (lifecycle.StackError, settings.SettingsError, TopologyError, ControlError) as error:
        Console(stderr=True).print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _console() -> Console:
    """Return where messages go; a line that is longer than the terminal is not cut, so that commands can be copied."""
    return Console(soft_wrap=True)


@click.group()
def commands() -> None:
    """Start and stop the components of Headrace."""


_only = click.option(
    "--only", callback=lambda *given: _names(given[-1]), help="Components, separated by commas, with what they need."
)


@commands.command()
@_only
def up(only: Sequence[str]) -> None:
    """Start every component and wait until all are ready.

    HEADRACE_PARTS names parts of the product that run, `core,observe` say, with those that they need; others that run
    are stopped. Without it whatever runs is meant, and where nothing does, everything.
    """
    lifecycle.up(settings.read(), _console(), only)


@commands.command()
def down() -> None:
    """Stop every component. Data stay."""
    lifecycle.down(settings.read(), _console())


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="Print the snapshot for programs.")
def status(as_json: bool) -> None:
    """Ask every component how it is. Exits with 3 when the stack is not up, with 1 when part of it does not work."""
    chosen = settings.read()
    found = last_run.find(chosen)
    if found.seen is None or not found.supervisor_alive:
        click.echo("{}" if as_json else "not up: `make up` starts the stack")
        sys.exit(_NOT_UP)
    answer = asyncio.run(control.ask(chosen.control_socket, {"do": "status"}, _STATUS_S))
    lacking: Mapping[str, str | None] = answer["missing"]
    seen = snapshot.of_json(answer)
    if as_json:
        click.echo(json.dumps({name: value for name, value in answer.items() if name != "ok"}))
    else:
        # What is read by a program or from a file has no right edge.
        Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table(seen, missing=lacking))
        lifecycle.say_what_is_absent(chosen, _console(), seen)
    works = seen.phase is Phase.READY and not any(lacking.values())
    sys.exit(0 if works and all(item.state is State.READY for item in seen.components) else 1)


@commands.command()
@click.argument("component", metavar="COMPONENT")
@click.argument("replicas", type=click.IntRange(0, replicas.MOST), metavar="N")
@click.option("--to-zero", is_flag=True, help="Let N be 0: requests to that pool of batchers fall back, or fail.")
def scale(component: str, replicas: int, to_zero: bool) -> None:
    """Scale COMPONENT to N replicas while the stack runs, and wait until they are ready.

    \b
      python -m headrace_stack scale batcher-default 3     three batchers, each with its Triton
      python -m headrace_stack scale batcher-default 1     back to one; no request fails for it
      python -m headrace_stack scale batcher-cpu 0 --to-zero

    Those that scale: registry, router-control, monitor, front-door (data planes in it; router-data where they are
    services) and batcher-POOL. The first replica keeps its ports, the others have free ones, which `status` shows. New
    replicas get requests when they are ready; those that go finish what they have. To ask for what there is does
    nothing. `down` forgets it: the next `up` starts as many as HEADRACE_BATCHERS and its like say.
    """
    _change({"do": "scale", "component": component, "replicas": replicas, "to_zero": to_zero})


@commands.command()
@click.argument("component", metavar="batcher-POOL")
@click.option(
    "--backend",
    type=click.Choice([one.value for one in Backend]),
    default=Backend.TRITON.value,
    help="What executes batches; `simulator` is a Triton with faults on demand (docs/game-days.md).",
)
@click.option("--replicas", type=click.IntRange(1, replicas.MOST), default=1, help="Batchers in it.")
def add(component: str, backend: str, replicas: int) -> None:
    """Add a pool of batchers while the stack runs; routes may name it from then on.

    HEADRACE_POOLS names pools that every `up` starts: `default=triton:2;cpu=onnxruntime;big=triton`.
    """
    _change({"do": "add", "component": component, "backend": backend, "replicas": replicas})


@commands.command()
@click.argument("component", metavar="batcher-POOL")
def remove(component: str) -> None:
    """Remove a pool of batchers while the stack runs. They finish what they have."""
    _change({"do": "remove", "component": component})


@commands.command()
@click.option("--follow", is_flag=True, help="Go on as lines are written.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line, for programs; `log` names its file."
)
@click.argument("names", nargs=-1)
def logs(follow: bool, as_json: bool, names: Sequence[str]) -> None:
    """Show the last lines of the logs of all components, or of those named. Times are UTC."""
    chosen = settings.read()
    files = [chosen.logs / f"{name}.log" for name in names] or sorted(chosen.logs.glob("*.log"))
    present = [file for file in files if file.exists()]
    if not present:
        raise lifecycle.StackError(f"no logs in {chosen.logs}: `make up` starts the stack")
    shown = loglines.as_json if as_json else loglines.readable
    for name, line in loglines.tailed(present, count=_LAST_LINES, follow=follow):
        click.echo(shown(name, line))


@commands.command("backup")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def back_up(folder: Path) -> None:
    """Write routes, models and their files into FOLDER, while the stack runs."""
    backup.save(_running(), folder)
    click.echo(f"everything is in {folder}; secrets are not: copy {settings.read().identity} elsewhere")


@commands.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--yes", is_flag=True, help="Lose what the stack holds now, without being asked.")
def restore(folder: Path, yes: bool) -> None:
    """Put a backup in the place of what the running stack holds. Asks on a terminal.

    Whatever is newer than the backup is lost: routes and models, and the predictions, outcomes, counts and alerts that
    the monitor recorded.
    """
    chosen = _running()
    if not yes:
        _ask_to_lose(chosen)
    click.echo(f"restoring {folder}: {_LOST}")
    backup.restore(chosen, folder)
    click.echo("restored: batchers load what serves; `headrace models list`, `headrace routes show` show it")


@commands.command()
@_only
@click.option("--while-held", is_flag=True, help="Stop when the last test process that uses the stack is gone.")
@click.option("--volatile", is_flag=True, help="Do not wait for the disk (tests).")
@click.option("--keep-unwell", is_flag=True, help="Start nothing again that is not well and lives (tests).")
def run(only: Sequence[str], while_held: bool, volatile: bool, keep_unwell: bool) -> None:
    """Run the stack in the foreground (make up starts this in the background)."""
    chosen = replace(settings.read(), durable=not volatile, ends_unwell=not keep_unwell)
    chosen.create_directories()
    identity.create(chosen.identity)
    sys.exit(asyncio.run(daemon.run(chosen, only, while_held=while_held)))


def _ask_to_lose(chosen: settings.StackSettings) -> None:
    """Ask for confirmation to delete the stack's data. Raises StackError without a terminal or a yes."""
    if not sys.stdin.isatty():
        raise lifecycle.StackError(f"{_LOST}: pass --yes (make restore … YES=1)")
    if not click.confirm(f"Restore the stack in {chosen.home}? Then {_LOST}."):
        raise lifecycle.StackError("nothing was changed")


def _change(request: Mapping[str, object]) -> None:
    """Have the supervisor change the components; show its progress, then the changes."""
    chosen = _running()
    lifecycle.change(chosen, _console(), request)


def _running() -> settings.StackSettings:
    """Return the settings of the stack that is up, whatever the environment says. Raises StackError when none is."""
    chosen = settings.read()
    found = last_run.find(chosen)
    if found.seen is None or not found.supervisor_alive:
        raise lifecycle.StackError("the stack is not up: `make up` starts it")
    seen = found.seen
    return replace(
        chosen, ports=Ports(seen.base_port), replicas=seen.replicas, data_plane=seen.data_plane, parts=seen.parts
    )


def _names(given: str | None) -> tuple[str, ...]:
    return tuple(name for name in (given or "").split(",") if name)
