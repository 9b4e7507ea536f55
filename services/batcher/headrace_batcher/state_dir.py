"""The directory that a batcher keeps its files in belongs to one batcher at a time."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

from headrace_servicekit.runtime import StartError
from headrace_servicekit.unix_sockets import path_of

from headrace_batcher import triton_link
from headrace_batcher.settings import BatcherSettings

SLOT = "{slot}"
# More batchers than fit on one machine: if all ordinals are taken, the directory is wrong.
MAX_SLOTS = 64


@asynccontextmanager
async def placed(settings: BatcherSettings) -> AsyncIterator[BatcherSettings]:
    """Hold the state directory; yield settings that name it, and where Triton is. Raises StartError."""
    async with owned(settings.state_dir) as state_dir:
        settings = settings.model_copy(update={"state_dir": state_dir})
        if settings.backend != "triton":
            yield settings
            return
        async with triton_target(settings) as target:
            yield settings.model_copy(update={"triton_target": target})


@asynccontextmanager
async def owned(state_dir: Path) -> AsyncIterator[Path]:
    """Lock a state directory and yield it: two batchers on one model folder would unload each other's versions.
    `{slot}` in the path is the first ordinal whose directory is not locked, so that replicas share a volume and find
    their predecessors' files. Raises StartError when the directory, or every ordinal, is locked.
    """
    lock, held = _first_free(state_dir)
    with lock:
        yield held


def _first_free(state_dir: Path) -> tuple[TextIO, Path]:
    slots = range(MAX_SLOTS) if SLOT in str(state_dir) else (0,)
    for slot in slots:
        directory = Path(str(state_dir).replace(SLOT, str(slot)))
        lock = _locked(directory)
        if lock is not None:
            return lock, directory
    raise StartError(f"another batcher uses {state_dir}: stop it, or set BATCHER_STATE_DIR")


def _locked(directory: Path) -> TextIO | None:
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


_SHORT_BYTES = 80


@asynccontextmanager
async def triton_target(settings: BatcherSettings) -> AsyncIterator[str]:
    """Yield where Triton's gRPC is to be; there is a folder for it. Raises StartError.

    What lies there from before does not matter: Triton listens in its place.
    """
    target = settings.triton_target or triton_link.target_in(settings.state_dir.absolute() / "triton")
    problem = triton_link.problem(target)
    if problem is None:
        path = path_of(target)
        if path is not None and settings.triton_command:
            _make_private(Path(path).parent)
        yield target
    elif settings.triton_command:
        with tempfile.TemporaryDirectory(prefix="headrace-", dir=_short_folder()) as folder:
            yield triton_link.target_in(Path(folder))
    else:
        raise StartError(f"no socket to Triton in BATCHER_STATE_DIR: {problem}; set BATCHER_TRITON_TARGET")


def _short_folder() -> str:
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp"):
        if folder and os.access(folder, os.W_OK) and len(os.fsencode(folder)) <= _SHORT_BYTES:
            return folder
    raise StartError(
        "BATCHER_STATE_DIR is too long for a socket, and neither $XDG_RUNTIME_DIR nor /tmp can be written to: set "
        "BATCHER_TRITON_TARGET"
    )


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"no folder for the socket to Triton, {folder}: {error.strerror}") from None
