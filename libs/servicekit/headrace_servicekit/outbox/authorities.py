"""Whose certificates a webhook may show: the system's authorities, and those of one more file."""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

log = structlog.get_logger()

Stamp = tuple[int, int]


class Authorities:
    """Follows the file: authorities that are renewed on disk count from the next connection on."""

    def __init__(self, file: Path | None) -> None:
        """Raises OSError, or ValueError with what is wrong, for a file that cannot be used."""
        self._file = file
        self._stamp = _stamp(file)
        self._context = _context(file)

    def context(self) -> ssl.SSLContext:
        """Return what a connection is checked by. A file that cannot be used leaves the one before."""
        try:
            if (stamp := _stamp(self._file)) != self._stamp:
                self._context = _context(self._file)
                self._stamp = stamp
        except (OSError, ValueError) as error:
            log.warning("authorities of webhooks are not taken", file=str(self._file), problem=str(error))
        return self._context


def _context(file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if file is not None:
        text = file.read_text(encoding="ascii")
        try:
            context.load_verify_locations(cadata=text)
        except ssl.SSLError as error:  # an OSError too, whose text names no file
            raise ValueError(f"{file} holds no certificates in PEM") from error
    return context


def _stamp(file: Path | None) -> Stamp | None:
    if file is None:
        return None
    seen = file.stat()
    return seen.st_mtime_ns, seen.st_ino
