"""The last-known-good tables on disk, so that a data plane serves also when it starts without a control plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError
from headrace.router.v1 import control_pb2

from headrace_router.data.tables.checked_file import CheckedFile

log = structlog.get_logger()

FILE = "tables.bin"
MAGIC = b"headrace tables 1\n"
MAX_BYTES = 256 * 1024 * 1024
_LENGTH_BYTES = 4


class LastKnownGood:
    """A checked file of the messages of a snapshot, each behind its length.

    The file names the store's incarnation in its last message, as on the wire. Reading and writing block: use a thread.
    """

    def __init__(self, folder: Path) -> None:
        self._file = CheckedFile(folder / FILE, MAGIC, MAX_BYTES)
        self.path = self._file.path

    def write(self, messages: Sequence[control_pb2.WatchTablesResponse]) -> None:
        """Replace the file by a whole snapshot, all or nothing. Raises OSError, and ValueError when too large."""
        self._file.write(b"".join(_framed(message.SerializeToString()) for message in messages))

    def forget(self) -> bool:
        """Remove the file; return whether none is there any more. Takes no room on a disk that has none."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            log.error("last-known-good tables not removed", path=str(self.path), reason=str(error))
            return False
        return True

    def read(self) -> list[control_pb2.WatchTablesResponse]:
        """Return the snapshot, or nothing when there is no file or it cannot be trusted."""
        try:
            content = self._file.read()
            return [] if content is None else parse(content)
        except (OSError, ValueError, DecodeError) as error:
            log.warning("last-known-good tables are unusable", path=str(self.path), reason=str(error))
            return []


def parse(content: memoryview) -> list[control_pb2.WatchTablesResponse]:
    """Return the messages of a file. Raises ValueError or DecodeError for anything but a whole snapshot."""
    messages, at = [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + _LENGTH_BYTES], "big")
        at += _LENGTH_BYTES
        messages.append(control_pb2.WatchTablesResponse.FromString(bytes(content[at : at + size])))
        at += size
    if not messages or not messages[-1].snapshot_complete:
        raise ValueError("it has no end")
    return messages


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(_LENGTH_BYTES, "big") + message
