"""Working folders of one process. A killed process leaves its folder; the next process on the machine removes it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import gettempdir, mkdtemp

# Short, for the paths of Ray's sockets are limited.
_NAME = "hr-scorer-"


def own_prefix() -> str:
    """Return how the names of this process's folders begin."""
    return f"{_NAME}{os.getpid()}-"


def tidy(folder: Path) -> None:
    """Remove what was left by processes that are gone, or by one with our number: we have begun nothing yet."""
    for left in folder.glob(f"{_NAME}*-*"):
        number = left.name.removeprefix(_NAME).partition("-")[0]
        if number.isdecimal() and (int(number) == os.getpid() or not Path("/proc", number).exists()):
            shutil.rmtree(left, ignore_errors=True)


def actors_folder(folder: str) -> Path:
    """Return a new folder for a Ray actor: in the scorer's folder if this machine has it, else in a temporary one.

    Actors end by being killed; on other machines of a cluster only the next actor removes their files.
    """
    if not Path(folder).is_dir():
        folder = gettempdir()
        tidy(Path(folder))
    return Path(mkdtemp(prefix=own_prefix(), dir=folder))
