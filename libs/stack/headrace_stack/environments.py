"""Environments of their own below `.headrace`, for programs whose wheels do not go with those of the services.

What is there already and fits is kept: a second run takes a moment.
"""

import hashlib
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from headrace_stack.locks import exclusive

_READY = "headrace-ready"


def build(
    checkout: Path,
    name: str,
    requirements: Path,
    *also: Path,
    finish: Callable[[Path], None],
    building: Path | None = None,
) -> bool:
    """Build `.headrace/{name}`; return False when it was there already. Raises CalledProcessError when uv fails.

    requirements: locked with hashes. also: files that the environment changes with. finish: what remains to be done in
    the environment when its packages are installed. building: what builds packages that have no wheel, locked likewise;
    without it there are none.
    """
    environment = checkout / ".headrace" / name
    wanted = _fingerprint(requirements, *also, *(() if building is None else (building,)))
    wheels = ("--only-binary", ":all:") if building is None else ("--build-constraints", str(building))
    with exclusive(environment.with_suffix(".lock")):
        stamp = environment / _READY
        if stamp.exists() and stamp.read_text() == wanted:
            return False
        # On a terminal uv shows its progress.
        quiet = () if sys.stderr.isatty() else ("--quiet",)
        uv = str(checkout / ".headrace" / "uv" / "bin" / "uv")
        python = str(environment / "bin" / "python")
        subprocess.run([uv, "venv", *quiet, "--clear", "--python", sys.executable, str(environment)], check=True)
        install = [uv, "pip", "install", *quiet, "--python", python, "--require-hashes", *wheels]
        subprocess.run([*install, "--requirement", str(requirements)], check=True)
        finish(environment)
        stamp.write_text(wanted)
        return True


def _fingerprint(*files: Path) -> str:
    """Changes with the files, and with the Python that native parts must fit."""
    digest = hashlib.sha256(str(sysconfig.get_config_var("INSTSONAME")).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()
