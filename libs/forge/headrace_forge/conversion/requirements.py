"""The wheels of exact versions by their hashes, as a version of code names them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from headrace_client.errors import invalid

TIMEOUT_S = 300.0
_PIP = ("-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--only-binary", ":all:", "--quiet")
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+")


def locked(packages: Sequence[str], python: str) -> str:
    """Return a requirements file of packages, `name==version`, with the hash of the wheel that pip chooses here.

    The Python of the batchers must be of the same minor version. Raises InvalidArgument.
    """
    if wrong := [one for one in packages if not _PINNED.fullmatch(one)]:
        raise invalid("model", f"{wrong[0]!r:.80} is no package of an exact version")
    arguments = (*_PIP, "--disable-pip-version-check", "--report", "-", *packages)
    done = _run(python, arguments)
    if "No module named pip" in done.stderr:
        done = _run(sys.executable, arguments)
    if done.returncode == 0:
        return "".join(lines(json.loads(done.stdout)))
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or [done.stderr[-300:]]
    raise invalid("model", f"its packages are not found as wheels: {said[0].removeprefix('ERROR: ')[:500]}")


def _run(python: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run([python, *arguments], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise invalid("model", f"its packages were not found within {TIMEOUT_S:g} s") from None


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a report of pip."""
    for one in report["install"]:
        hashes = one["download_info"]["archive_info"]["hashes"]
        yield f"{one['metadata']['name']}=={one['metadata']['version']} --hash=sha256:{hashes['sha256']}\n"
