"""What commands print: a table or a few words for people, or exactly one JSON document for scripts."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from headrace_client.errors import invalid


class Output:
    """Where a command's results go: tables for people, or one JSON document on stdout and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.stdout = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.stderr = Console(stderr=True, highlight=False, soft_wrap=True)

    def document(self, content: Any) -> None:
        """Print the JSON document; once per command."""
        sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def say(self, markup: str) -> None:
        """Print a line for people; nothing with --json."""
        if not self.as_json:
            self.stdout.print(markup)

    def note(self, markup: str) -> None:
        """Print a remark on stderr; nothing with --json."""
        if not self.as_json:
            self.stderr.print(markup)

    def agreed(self, question: str) -> None:
        """Ask for confirmation. Raises UsageError with --json, which cannot prompt, and Abort on a no."""
        if self.as_json:
            raise click.UsageError("with --json there is no prompt: pass --yes")
        click.confirm(question, abort=True, err=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows under a header: with rules and colours in a terminal, as aligned text in a pipe."""
        if not self.stdout.is_terminal:
            plain = [[Text.from_markup(cell).plain for cell in row] for row in (columns, *rows)]
            self._aligned(plain)
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold cyan")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.stdout.print(table, soft_wrap=False)

    def rows(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table, or each row as facts where a terminal is too narrow for so many columns."""
        cells = [[Text.from_markup(cell).cell_len for cell in row] for row in (columns, *rows)]
        width = sum(max(column) + 2 for column in zip(*cells, strict=True))
        if not self.stdout.is_terminal or width <= self.stdout.width:
            self.table(columns, rows)
            return
        for index, row in enumerate(rows):
            self.say(f"[bold cyan]row {index + 1}[/]")
            self.facts(list(zip(columns, row, strict=True)))

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print names and values; pairs without a value are left out."""
        known = [(name, value) for name, value in pairs if value]
        if not self.stdout.is_terminal:
            self._aligned([[name, Text.from_markup(value).plain] for name, value in known])
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        for name, value in known:
            grid.add_row(name, value)
        self.stdout.print(grid, soft_wrap=False)

    def _aligned(self, rows: Sequence[Sequence[str]]) -> None:
        """Print columns of text, nothing wrapped, cut or padded at the end."""
        widths = [max(map(len, column), default=0) for column in itertools.zip_longest(*rows, fillvalue="")]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
            sys.stdout.write("   ".join(cells).rstrip() + "\n")

    @contextlib.contextmanager
    def uploading(self) -> Iterator[Callable[[str, int, int], None]]:
        """Show a bar per file; yields what `register_version` reports to."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.stderr, transient=True, disable=self._quiet) as progress:
            bars: dict[str, Any] = {}

            def report(name: str, sent: int, size: int) -> None:
                if name not in bars:
                    bars[name] = progress.add_task(name, total=size)
                progress.update(bars[name], completed=sent)

            yield report

    @contextlib.contextmanager
    def counting(self, text: str) -> Iterator[Callable[[int, int], None]]:
        """Show a bar with rows, rate and time; yields what gets the rows so far, and all there are (0 for unknown)."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.stderr, transient=True, disable=self._quiet) as progress:
            task = progress.add_task(text, total=None, rate="")

            def report(done: int, total: int) -> None:
                speed = progress.tasks[0].speed
                rate = f"{speed:,.0f} rows/s" if speed else ""
                progress.update(task, completed=done, total=total or None, rate=rate)

            yield report

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show a spinner with the time that has passed; yields what changes the text."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.stderr, transient=True, disable=self._quiet) as progress:
            task = progress.add_task(text, total=None)
            yield lambda changed: progress.update(task, description=changed)

    @property
    def _quiet(self) -> bool:
        return self.as_json or not self.stderr.is_terminal


def message_json(message: Message) -> dict[str, Any]:
    """Return a message as the REST API answers it."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def when(stamp: Timestamp) -> str:
    """Return a time as people read it, in UTC; empty for an unset one."""
    if not stamp.ByteSize():
        return ""
    return stamp.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def stamp(moment: datetime) -> str:
    """Return an aware time in RFC 3339."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def number(value: float) -> str:
    """Return a metric or share without the noise of its last digits."""
    return f"{value:.4g}"


def last(name: str) -> str:
    """Return the id at the end of a resource name."""
    return name.rsplit("/", 1)[-1]


def shown(text: str) -> str:
    """Return outside text escaped, so that rich prints it literally and no terminal interprets it."""
    return escape(text if text.isprintable() else "".join(map(_visible, text)))


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def write_page(file: Path, html: str) -> None:
    """Write a page. Raises InvalidArgument for a file that cannot be written."""
    try:
        file.write_text(html, encoding="utf-8")
    except OSError as error:
        raise invalid("--html", f"cannot write {file}: {error.strerror}") from error
