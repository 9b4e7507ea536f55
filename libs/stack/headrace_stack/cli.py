"""The commands behind the Makefile."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console

from headrace_stack import backup, daemon, identity, lifecycle, observing, settings, topology
from headrace_stack.component import Component, missing
from headrace_stack.ordering import TopologyError
from headrace_stack.ports import Ports
from headrace_stack.snapshot import Phase, Snapshot, State
from headrace_stack.view import table

_NOT_UP = 3


def main() -> None:
    """Run a command; what the user can mend is a message without a traceback."""
    try:
        commands()
    except (lifecycle.StackError, settings.SettingsError, TopologyError) as error:
        Console(stderr=True).print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@click.group()
def commands() -> None:
    """Start and stop the components of Headrace."""


_only = click.option(
    "--only", callback=lambda *given: _names(given[-1]), help="Components, separated by commas, with what they need."
)


@commands.command()
@_only
def up(only: Sequence[str]) -> None:
    """Start every component and wait until all are ready."""
    lifecycle.up(settings.read(), Console(), only)


@commands.command()
def down() -> None:
    """Stop every component. Data stay."""
    lifecycle.down(settings.read(), Console())


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="Print the snapshot for programs.")
def status(as_json: bool) -> None:
    """Ask every component how it is. Exits with 3 when the stack is not up, with 1 when part of it does not work."""
    chosen = settings.read()
    found = observing.look(chosen)
    if found.seen is None or not found.supervisor_alive:
        click.echo("{}" if as_json else "not up: `make up` starts the stack")
        sys.exit(_NOT_UP)
    running = _as_seen(chosen, found.seen)
    names = [item.name for item in found.seen.components]
    lacking = asyncio.run(_ask(topology.chosen(running, names)))
    if as_json:
        click.echo(json.dumps({**asdict(found.seen), "missing": lacking}))
    else:
        Console().print(table(found.seen, missing=lacking))
    works = found.seen.phase is Phase.READY and not any(lacking.values())
    sys.exit(0 if works and all(item.state is State.READY for item in found.seen.components) else 1)


@commands.command()
@click.option("--follow", is_flag=True, help="Go on as lines are written.")
@click.argument("names", nargs=-1)
def logs(follow: bool, names: Sequence[str]) -> None:
    """Show the last lines of the logs of all components, or of those named."""
    chosen = settings.read()
    files = [chosen.logs / f"{name}.log" for name in names] or sorted(chosen.logs.glob("*.log"))
    present = [str(file) for file in files if file.exists()]
    if not present:
        raise lifecycle.StackError(f"no logs in {chosen.logs}: `make up` starts the stack")
    # tail -F goes on after a rotation.
    os.execvp("tail", ["tail", "--lines=20", *(["-F"] if follow else []), *present])


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
    """Put a backup in the place of what the running stack holds. Asks on a terminal."""
    chosen = _running()
    if not yes:
        _ask_to_lose(chosen)
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
    sys.exit(asyncio.run(daemon.run(chosen, topology.chosen(chosen, only), while_held=while_held)))


def _ask_to_lose(chosen: settings.StackSettings) -> None:
    """Ask whether what the stack holds may be lost. Raises StackError unless somebody at a terminal agrees."""
    if not sys.stdin.isatty():
        raise lifecycle.StackError("what the stack holds now would be lost: say --yes (make restore … YES=1)")
    if not click.confirm(f"Lose the routes, models and counts that the stack in {chosen.home} holds now?"):
        raise lifecycle.StackError("nothing was changed")


def _running() -> settings.StackSettings:
    """Return the settings of the stack that is up. Raises StackError when it is not."""
    chosen = settings.read()
    found = observing.look(chosen)
    if found.seen is None or not found.supervisor_alive:
        raise lifecycle.StackError("the stack is not up: `make up` starts it")
    return _as_seen(chosen, found.seen)


def _as_seen(chosen: settings.StackSettings, seen: Snapshot) -> settings.StackSettings:
    """Return the settings that the stack was started with, whatever the environment says now."""
    return replace(chosen, ports=Ports(seen.base_port), replicas=seen.replicas, data_plane=seen.data_plane)


async def _ask(components: Sequence[Component]) -> Mapping[str, str | None]:
    """Ask every component's own health check, all at once."""
    answers = await asyncio.gather(*(missing(component, 10) for component in components))
    return {component.name: answer for component, answer in zip(components, answers, strict=True)}


def _names(given: str | None) -> tuple[str, ...]:
    return tuple(name for name in (given or "").split(",") if name)
