"""Packages of npm that tests use: fetched once, kept below `.headrace`."""

from __future__ import annotations

import subprocess

from headrace_stack.locks import exclusive
from headrace_stack.settings import checkout_of_this_file

FOLDER = checkout_of_this_file() / ".headrace" / "npm"


def installed(package: str, version: str) -> str:
    """Return the folder of a package of that version; empty where npm is not there or cannot fetch it."""
    folder = FOLDER / f"{package}-{version}"
    found = folder / "node_modules" / package
    FOLDER.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.with_suffix(".lock")):
        if (found / "package.json").exists():
            return str(found)
        options = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
        folder.mkdir(exist_ok=True)
        try:
            subprocess.run(
                ["npm", "install", *options, f"{package}@{version}"], check=True, timeout=90, capture_output=True
            )
        except (OSError, subprocess.SubprocessError):
            return ""
    return str(found)
