"""How the examples tell what they do: titles, steps with the time they took, bars, tables."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from headrace.router.v1 import route_pb2
from headrace_client import Client, HeadraceError
from headrace_client.address import Address, parse_address
from headrace_client.cli.failures import as_block, exit_code
from headrace_client.cli.output import Output
from headrace_client.cli.progress import ProgressLines
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

SERVING_TIMEOUT_S = 150.0


class Story:
    """Prints what happens as it happens; in a pipe without colours and spinners."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self._console = Console(width=None if terminal else 140, highlight=False)
        self._begun = time.perf_counter()

    def title(self, text: str) -> None:
        """Begin a part of the story."""
        self._console.print(f"\n[bold cyan]{text}[/]")

    def say(self, text: str) -> None:
        """Print a sentence."""
        self._console.print(f"  {text}")

    def line(self, name: str, line: str) -> None:
        """Print a line to paste, unbroken."""
        self._console.print(f"\n[bold]{name}[/]")
        # Past rich: it would wrap the line, and square brackets are its markup.
        print(line, flush=True)

    def end(self) -> None:
        """Say how long it all took."""
        self._console.print(f"\n[dim]all in {time.perf_counter() - self._begun:.1f} s[/]")

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[Callable[[str], None]]:
        """Show what is being done while it lasts, then how long it took; yields what sets the outcome's words."""
        start, outcome = time.perf_counter(), ""

        def set_outcome(text: str) -> None:
            nonlocal outcome
            outcome = f": {text}"

        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as live:
            live.add_task(doing, total=None)
            yield set_outcome
        self._console.print(f"  [green]✓[/] {doing}{outcome} [dim]({time.perf_counter() - start:.1f} s)[/]")

    @contextlib.contextmanager
    def requests(self, doing: str, total: int) -> Iterator[Callable[[], None]]:
        """Show a bar while requests are answered; yields what is called after each."""
        start = time.perf_counter()
        text = TextColumn("{task.description}")
        columns = (SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as live:
            bar = live.add_task(doing, total=total)
            yield lambda: live.advance(bar)
        taken_s = time.perf_counter() - start
        self._console.print(f"  [green]✓[/] {doing}: {total} requests [dim]({taken_s:.1f} s)[/]")

    @contextlib.contextmanager
    def rows(self, doing: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a progress bar; yields a function that takes the number of rows done."""
        start, done = time.perf_counter(), 0
        text = TextColumn("{task.description}")
        columns = (SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as live:
            bar = live.add_task(doing, total=total)

            def show(rows: int) -> None:
                nonlocal done
                done = rows
                live.update(bar, completed=rows)

            yield show
        taken_s = time.perf_counter() - start
        self._console.print(f"  [green]✓[/] {doing}: {done:,} rows [dim]({taken_s:.1f} s)[/]")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[str] = ()) -> None:
        """Print rows under a header. words: columns that hold text, not numbers."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold", justify="left" if column in words else "right")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def follow(self, client: Client, model: str, epoch: int) -> route_pb2.RouteStatus:
        """Show each stage of what the registry said until every data plane that is there has acknowledged it."""
        lines = ProgressLines(Output(as_json=False), epoch, lambda _: None)
        status = client.routes.await_epoch(model, epoch, timeout=SERVING_TIMEOUT_S, progress=lines.take)
        lines.end(status)
        if status.unacknowledged_data_planes:
            self.say(f"not acknowledged by {', '.join(status.unacknowledged_data_planes)}")
        return status


def told(tell: Callable[[Client], None]) -> int:
    """Tell a story over the local stack; return the exit code, having said why when it is not 0."""
    try:
        with Client() as client:
            tell(client)
    except HeadraceError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(as_block(error, "demo"))
        return exit_code(error)
    return 0


def in_container() -> bool:
    """Return whether lines are to be pasted elsewhere than here: on the machine that runs our container."""
    return "HEADRACE_DEMO_COMMAND" in os.environ


def headrace() -> str:
    """Return how the command line is called from here: by name when PATH has it, else by its path."""
    if in_container():
        return os.environ["HEADRACE_DEMO_COMMAND"]
    ours = Path(sys.executable).with_name("headrace")
    found = shutil.which("headrace")
    return "headrace" if found and Path(found).resolve() == ours.resolve() else near(ours)


def shown(address: Address) -> Address:
    """Return the front door's address for lines to paste."""
    return parse_address(os.environ["HEADRACE_DEMO_ADDRESS"]) if in_container() else address


def near(path: Path) -> str:
    """Return a path as it is typed from the working directory."""
    inside = os.path.relpath(path)
    return str(path) if inside.startswith("..") else inside
