"""The folder of the socket between a batcher and its Triton, which only this user may enter."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headrace_servicekit.runtime import StartError
from headrace_servicekit.unix_sockets import path_of

from headrace_batcher import triton_link
from headrace_batcher.settings import BatcherSettings

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
