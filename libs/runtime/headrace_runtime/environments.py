"""What Python versions import: wheels that a requirements file names by hash, installed once for each file.

An environment is known by the SHA-256 of its file and by the interpreter. It has wheels only: nothing of a package runs
while it is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Mapping
from pathlib import Path

import structlog

from headrace_runtime.backends.backend import LoadError
from headrace_runtime.backends.reasons import public_reason

log = structlog.get_logger()

KEPT = 16
"""Environments that stay though no version needs them."""
_MARK = ".complete"


class Environments:
    """Environments in a directory of this process. index: URL of the packages, or a folder of wheels; empty uses this
    machine's pip configuration. timeout_s: of one installation."""

    def __init__(self, root: Path, *, index: str = "", timeout_s: float = 300.0) -> None:
        self._root, self._index, self._timeout_s = root, index, timeout_s
        self._building: dict[str, asyncio.Lock] = {}

    async def of(self, requirements: Path) -> Path:
        """Return the folder to import from, installed when it is not here. Raises LoadError."""
        key = await asyncio.to_thread(_key, requirements)
        folder = self._root / key
        async with self._building.setdefault(key, asyncio.Lock()):
            if not (folder / _MARK).exists():
                await self._build(requirements, folder)
            await asyncio.to_thread(os.utime, folder)
            return folder

    async def tidy(self, needed: Collection[Path]) -> None:
        """Remove those unused for longest, but for some, and what was left half built."""
        await asyncio.to_thread(self._tidy, frozenset(needed))

    async def _build(self, requirements: Path, folder: Path) -> None:
        being_built = folder.with_name(f".{folder.name}")
        await asyncio.to_thread(shutil.rmtree, being_built, True)
        being_built.mkdir(parents=True)
        try:
            await self._install(requirements, being_built)
            (being_built / _MARK).touch()
            await asyncio.to_thread(shutil.rmtree, folder, True)
            being_built.rename(folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, being_built, True)
        log.info("environment installed", key=folder.name)

    async def _install(self, requirements: Path, folder: Path) -> None:
        process = subprocess.Popen(  # noqa: ASYNC220 - a millisecond
            (*_PIP, *self._source(), "--target", str(folder), "--requirement", str(requirements)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=_environment(),
            process_group=0,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                _, said = await asyncio.to_thread(process.communicate)
        except TimeoutError:
            raise LoadError(f"its requirements were not installed within {self._timeout_s:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait)
        if process.returncode != 0:
            raise LoadError(f"its requirements cannot be installed: {_reason(said.decode(errors='replace'))}")

    def _source(self) -> tuple[str, ...]:
        if not self._index:
            return ()
        if Path(self._index).is_dir():
            return ("--no-index", "--find-links", self._index)
        return ("--index-url", self._index)

    def _tidy(self, needed: Collection[Path]) -> None:
        if not self._root.is_dir():
            return
        unused = [one for one in self._root.iterdir() if one not in needed and not one.name.startswith(".")]
        unused.sort(key=lambda one: one.stat().st_mtime, reverse=True)
        for one in unused[KEPT:]:
            shutil.rmtree(one, ignore_errors=True)


_PIP = (
    *(sys.executable, "-I", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
    # Each wheel by its hash, none that is not named, and none that has to be built, which would run its code.
    *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--no-compile"),
)


def _environment() -> Mapping[str, str]:
    """Return what pip may know of this machine: where packages are, not the secrets of this process."""
    passed = ("HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")
    variables = {
        name: value
        for name, value in os.environ.items()
        if name in passed or name.startswith("PIP_") or name.lower().endswith("_proxy")
    }
    return {"PATH": os.defpath, **variables}


def _key(requirements: Path) -> str:
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    return f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}-{digest}"


def _reason(said: str) -> str:
    """Return the line in which pip says what is wrong."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["pip says nothing"]
    first = next((at for at, line in enumerate(lines) if line.startswith("ERROR: ")), len(lines) - 1)
    return public_reason(" ".join(lines[first:]).removeprefix("ERROR: "))
