"""Runs `make demo` beside a stack, and pastes the lines that it prints, as a reader does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from headrace_stack.settings import checkout_of_this_file

CHECKOUT = checkout_of_this_file()
# It waits up to ninety seconds for what the monitor does by itself.
DEMO_S = 250.0


def beside(home: Path, folder: Path) -> dict[str, str]:
    """Return the environment of somebody beside the stack of this home, who has a grpcurl."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    path = f"{_grpcurl(folder)}{os.pathsep}{os.environ['PATH']}"
    return {**mine, "HEADRACE_STATE_DIR": str(home), "PATH": path}


def demonstrated(home: Path, folder: Path) -> tuple[str, dict[str, str]]:
    """Run the demo; return what it printed, and the environment that it ran in."""
    environment = beside(home, folder)
    return run_demo(environment), environment


def run_demo(environment: Mapping[str, str]) -> str:
    """Return what the demo prints."""
    command = [sys.executable, "-m", "examples.demo"]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=DEMO_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def paste(printed: str, beginning: str, environment: Mapping[str, str]) -> str:
    """Run the printed line that begins so, in bash from the checkout's root, and return what it prints."""
    (line,) = [line for line in printed.splitlines() if line.startswith(beginning)]
    done = subprocess.run(
        ["bash", "-c", line], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def python_line() -> str:
    """Return how the printed line of Python begins."""
    return f"{os.path.relpath(sys.executable, CHECKOUT)} -c"


def _grpcurl(folder: Path) -> Path:
    """Return a folder to search first: with a stand-in for grpcurl, unless the machine has the real one."""
    if shutil.which("grpcurl") is None:
        script = folder / "grpcurl"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{CHECKOUT / "tests/kit/clients/grpcurl.py"}" "$@"\n')
        script.chmod(0o755)
    return folder
