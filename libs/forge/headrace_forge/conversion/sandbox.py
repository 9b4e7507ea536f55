"""Running a worker in a process with limits: it sees no secrets, and nothing of it is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from headrace_client.errors import invalid

from headrace_forge.conversion.secrecy import hidden

_LAST_BYTES = 256 * 1024
_LETTERS = Path("/usr/lib/locale/C.utf8")


def frameworks_python(environ: Mapping[str, str] = os.environ) -> str:
    """Return the Python whose packages are used: that of the active virtual environment, else this one."""
    active = environ.get("VIRTUAL_ENV")
    found = None if active is None else shutil.which("python", path=str(Path(active, "bin")))
    return found or sys.executable


def run(
    python: str, worker: str, arguments: Sequence[str], folder: Path, *, timeout_s: float, undone: str
) -> Mapping[str, Any]:
    """Return the one JSON object that a worker prints on its last line. undone: what is said where there is none, such
    as "model.pkl is not converted".

    Raises InvalidArgument where it ends otherwise, or takes too long.
    """
    said = folder / "said"
    # No secrets of ours; what it prints goes to a file, of which the last line is read: whatever has its name then.
    variables = {"PATH": os.defpath, "HOME": str(folder), "OMP_NUM_THREADS": "2", **_locale(folder)}
    with said.open("w+b") as out, hidden():
        process = subprocess.Popen(
            (python, "-I", worker, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env=variables,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise invalid("model", f"{undone} within {timeout_s:g} s") from None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:  # nothing of it is there any more
                pass
            process.wait()
        last = _end_of(out)
    try:
        answer = json.loads(last.splitlines()[-1])
        return answer if isinstance(answer, dict) else {}
    except (IndexError, ValueError, RecursionError):
        limit = "used more of a processor or memory than it may" if code < 0 else f"ended with code {code}"
        raise invalid("model", f"{undone}: the process that reads it {limit}") from None


def _locale(folder: Path) -> Mapping[str, str]:
    """Return where the C library finds en_US.UTF-8, by which ONNX Runtime lower-cases: C.UTF-8 has its letters."""
    if not _LETTERS.is_dir():
        return {}
    (folder / "locale").mkdir(exist_ok=True)
    if not (named := folder / "locale" / "en_US.utf8").is_symlink():
        named.symlink_to(_LETTERS)
    return {"LOCPATH": str(folder / "locale")}


def _end_of(opened: BinaryIO) -> bytes:
    """Return the last bytes of what may be gigabytes."""
    opened.seek(max(0, os.fstat(opened.fileno()).st_size - _LAST_BYTES))
    return opened.read(_LAST_BYTES)
