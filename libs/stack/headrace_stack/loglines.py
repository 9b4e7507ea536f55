"""What components wrote to their logs, for people and for programs.

Services write JSON; PostgreSQL, Valkey, the S3 store, Triton and Envoy write lines of their own.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

# Shown at the front of a line, or said by the name of the log.
_IN_FRONT = ("ts", "level", "event", "service", "exception")
_STYLES = {"debug": "bright_black", "warning": "yellow", "error": "red", "critical": "red"}
_TIME = re.compile(r"T(\d\d:\d\d:\d\d)(\.\d{1,3})?")
_NO_TIME = " " * len("00:00:00.000")


def tailed(files: Sequence[Path], *, count: int, follow: bool) -> Generator[tuple[str, str], None, None]:
    """Yield the name of a log and a line of it: the last `count` of each file, and then what is written."""
    # tail -F follows the name across a rotation.
    command = ["tail", "--verbose", f"--lines={count}", *(["-F"] if follow else []), *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as tail:
        assert tail.stdout is not None
        try:
            yield from named(tail.stdout, files)
        finally:
            tail.terminate()


def named(lines: Iterable[str], files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield what tail prints, with the name of the log instead of the headings; empty lines are left out."""
    headings = {f"==> {file} <==": file.stem for file in files}
    name = ""
    for line in lines:
        text = line.rstrip("\r\n")
        if text in headings:
            name = headings[text]
        elif text:
            yield name, text


def as_json(name: str, text: str) -> str:
    """Return a line as one JSON object, with the name of its log in `log`; what is no object becomes its `event`."""
    fields = _fields(text)
    return json.dumps({**({"event": text} if fields is None else fields), "log": name}, ensure_ascii=False)


def readable(name: str, text: str, width: int = 16) -> str:
    """Return a line for people: the time (UTC), the log, what happened, and what belongs to it; styled by its level."""
    fields = _fields(text)
    if fields is None:
        return f"{_NO_TIME}  {name:<{width}}  {_printable(text)}"
    level = str(fields.get("level", "info"))
    details = "".join(
        f"  {_printable(key)}={_value(value)}"
        for key, value in fields.items()
        if key not in _IN_FRONT and value not in (None, "")
    )
    event = _printable(str(fields.get("event", "")))
    loud = "" if level == "info" else f"{_printable(level).upper()} "
    lines = [f"{_time(fields)}  {name:<{width}}  {loud}{event}{details}"]
    lines += [f"    {_printable(line)}" for line in str(fields.get("exception") or "").splitlines()]
    line = "\n".join(lines)
    return click.style(line, fg=_STYLES[level]) if level in _STYLES else line


def _fields(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _time(fields: Mapping[str, Any]) -> str:
    found = _TIME.search(str(fields.get("ts", "")))
    return _NO_TIME if found is None else f"{found[1]}{found[2] or '.':0<4}"


def _value(value: Any) -> str:
    plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _printable(json.dumps(plain, ensure_ascii=False) if isinstance(value, str) and " " in plain else plain)


def _printable(text: str) -> str:
    """Escape what would steer the terminal: names and texts in logs come from callers too."""
    return "".join(one if one.isprintable() or one == "\t" else ascii(one)[1:-1] for one in text)
