"""The caller's files: an error names the file that cannot be read, and a remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace_client.errors import HeadraceError, invalid


@contextmanager
def read_as(what: str, path: Path, field: str, remedy: str = "") -> Iterator[None]:
    """Let whatever reading a file raises be InvalidArgument. what: that it should be ("a table in Parquet").

    field: the argument or variable that names the file. remedy: what to do, where the sentence does not say it.
    """
    try:
        yield
    except HeadraceError:
        raise
    except OSError as error:
        raise invalid(field, _with_remedy(f"cannot read {path}: {error.strerror or error}", remedy)) from error
    except UnicodeDecodeError as error:
        message = f"{path} is not {what}: it is not UTF-8 at byte {error.start}"
        raise invalid(field, _with_remedy(message, remedy)) from error
    except RecursionError as error:
        raise invalid(field, _with_remedy(f"{path} is not {what}: it is nested too deeply", remedy)) from error
    except Exception as error:  # libraries raise what they like for bytes that they did not expect
        raise invalid(field, _with_remedy(f"{path} is not {what}: {_first_line(error)}", remedy)) from error


def text_of(path: Path, field: str, what: str = "a text", remedy: str = "") -> str:
    """Return a file's text. Raises InvalidArgument, also for one with nothing in it."""
    with read_as(what, path, field, remedy):
        text = path.read_text(encoding="utf-8")
    if not text.strip():
        raise invalid(field, _with_remedy(f"{path} is empty", remedy))
    return text


def object_of(path: Path, field: str, remedy: str = "") -> dict[str, Any]:
    """Return the JSON object that a file holds. Raises InvalidArgument."""
    text = text_of(path, field, "JSON", remedy)
    with read_as("JSON", path, field, remedy):
        found = json.loads(text)
    if not isinstance(found, dict):
        raise invalid(field, _with_remedy(f"{path} holds no JSON object", remedy))
    return found


def is_file(path: Path) -> bool:
    """Return whether there is a file that may be looked at."""
    try:
        return path.is_file()
    except OSError:
        return False


def _with_remedy(message: str, remedy: str) -> str:
    return f"{message}; {remedy}" if remedy else message


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
