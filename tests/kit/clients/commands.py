"""Commands that are run to their end, as somebody at a terminal runs them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PYTHON = (sys.executable, "-m")


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    exit_code: int
    stdout: str
    stderr: str


async def run(*words: str | Path, environment: Mapping[str, str] | None = None, within: float = 60.0) -> Done:
    """Run a command and return what it did; environment: the whole of it, ours unless it is given."""
    process = await asyncio.create_subprocess_exec(
        *map(str, words),
        env=os.environ if environment is None else environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), within)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), errors.decode())
