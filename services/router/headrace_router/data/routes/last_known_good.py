"""The last-known-good tables on disk, so that a data plane serves also when it starts without a control plane."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError
from headrace.router.v1 import control_pb2

log = structlog.get_logger()

FILE = "tables.bin"
# First line of the file; a change of format changes it, and an older file is then void.
MAGIC = b"headrace tables 1\n"
MAX_BYTES = 256 * 1024 * 1024
_DIGEST_BYTES = 32
_LENGTH_BYTES = 4


class LastKnownGood:
    """One file: magic, SHA-256 of the rest, then the messages of a snapshot, each behind its length.

    The file names the store's incarnation in its last message, as on the wire. Reading and writing block: use a thread.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def write(self, messages: Sequence[control_pb2.WatchTablesResponse]) -> None:
        """Replace the file by a whole snapshot, all or nothing. Raises OSError, and ValueError when too large."""
        body = b"".join(_framed(message.SerializeToString()) for message in messages)
        if len(body) > MAX_BYTES:
            raise ValueError(f"{len(body)} bytes of tables are more than {MAX_BYTES}")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".new")
        with scratch.open("wb") as file:
            file.write(MAGIC + hashlib.sha256(body).digest() + body)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self.path)

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
            if self.path.stat().st_size > MAX_BYTES + 1024:
                raise ValueError("too large")
            return parse(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, DecodeError) as error:
            log.warning("last-known-good tables are unusable", path=str(self.path), reason=str(error))
            return []


def parse(content: bytes) -> list[control_pb2.WatchTablesResponse]:
    """Return the messages of a file. Raises ValueError or DecodeError for anything but a whole one."""
    start = len(MAGIC) + _DIGEST_BYTES
    if not content.startswith(MAGIC) or len(content) < start:
        raise ValueError("not a file of tables of this format")
    body = memoryview(content)[start:]
    if hashlib.sha256(body).digest() != content[len(MAGIC) : start]:
        raise ValueError("its checksum does not fit")
    messages, at = [], 0
    while at < len(body):
        size = int.from_bytes(body[at : at + _LENGTH_BYTES], "big")
        at += _LENGTH_BYTES
        messages.append(control_pb2.WatchTablesResponse.FromString(bytes(body[at : at + size])))
        at += size
    if not messages or not messages[-1].snapshot_complete:
        raise ValueError("it has no end")
    return messages


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(_LENGTH_BYTES, "big") + message
