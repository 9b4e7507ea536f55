"""Removes parts from a checkout: their folders, and their entries in files that are written by hand.

`generate` then writes the generated files.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from headrace_stack import description, parts
from headrace_stack.description import CORE


def keep_only(checkout: Path, kept: Collection[str]) -> list[str]:
    """Remove every part but the core and those that are kept; return the names of those that are gone.

    Raises PartsError for a part that is not there, or that one which is kept needs.
    """
    text = description.path_in(checkout).read_text(encoding="utf-8")
    known, services = parts.parsed(text), description.parsed(text)
    if strange := {*kept} - known.keys():
        raise parts.PartsError(f"{', '.join(sorted(strange))} is no part; there are {', '.join(known)}")
    needed = {*parts.with_needed(services, kept), *kept, CORE}
    gone = [part for part in known.values() if part.name not in needed]
    for folder in (folder for part in gone for folder in part.folders):
        _remove(checkout / folder)
    names = [part.name for part in gone]
    absent = [service.name for service in services.values() if service.part in names]
    _rewrite(description.path_in(checkout), lambda text: without(text, names, absent))
    libraries = [Path(folder).name for part in gone for folder in part.folders if folder.startswith("libs/")]
    for project in (checkout / "pyproject.toml", *checkout.glob("libs/*/pyproject.toml")):
        _rewrite(project, lambda text: without_libraries(text, libraries))
    return names


def without(text: str, parts: Collection[str], services: Collection[str]) -> str:
    """Return the description without these parts, without these services, and without calls to them."""
    for table in (*services, *(f"parts.{name}" for name in parts)):
        text = re.sub(rf"^\[{re.escape(table)}\]\n(?:(?!\[).*\n)*", "", text, flags=re.MULTILINE)
    for name in services:
        text = re.sub(rf'(?:, )?"{re.escape(name)}:[a-z-]+"', "", text)
    return text.replace("calls = [, ", "calls = [")


def without_libraries(text: str, names: Collection[str]) -> str:
    """Return a pyproject.toml without what it says of these libraries of ours."""
    for name in names:
        text = re.sub(rf'^(?:.*"headrace-{name}["\[]|headrace-{name} =).*\n', "", text, flags=re.MULTILINE)
    return text


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
