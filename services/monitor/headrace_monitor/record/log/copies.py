"""Copies of the prediction log's objects in a folder, and their restoration: the backup besides the database dump.

An object never changes under its key, so a second copy only adds new objects. Copy, dump the database, copy again: the
folder then has every object that the dump names, including those merged or expired meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from headrace_monitor.record.log.objects import Objects, StoredObject

_UNFINISHED = ".part"


@dataclass(slots=True)
class CopyResult:
    """Result of a run. there: objects that existed before. gone: removed from the store before they were read."""

    copied: int = 0
    size_bytes: int = 0
    there: int = 0
    gone: int = 0


async def save(objects: Objects, folder: Path) -> CopyResult:
    """Copy every object that the folder has not into it. Raises Unavailable, and OSError when it cannot be written."""
    done = CopyResult()
    # Also of a log that is empty there is a copy.
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    async for page in objects.pages(""):
        for stored in page:
            await _save_one(objects, stored, _path_of(folder, stored.key), done)
    return done


async def restore(objects: Objects, folder: Path) -> CopyResult:
    """Copy every file of the folder into the store, where its key has no object yet. Raises Unavailable and OSError."""
    done = CopyResult()
    for path in await asyncio.to_thread(_files, folder):
        content = await asyncio.to_thread(path.read_bytes)
        if await objects.put_if_absent(path.relative_to(folder).as_posix(), content):
            done.copied, done.size_bytes = done.copied + 1, done.size_bytes + len(content)
        else:
            done.there += 1
    return done


async def _save_one(objects: Objects, stored: StoredObject, path: Path, done: CopyResult) -> None:
    if await asyncio.to_thread(_has, path, stored.size_bytes):
        done.there += 1
        return
    try:
        content = await objects.get(stored.key)
    except LookupError:
        done.gone += 1  # merged into another, or too old by now
        return
    await asyncio.to_thread(_write, path, content)
    done.copied, done.size_bytes = done.copied + 1, done.size_bytes + len(content)


def _path_of(folder: Path, key: str) -> Path:
    parts = PurePosixPath(key).parts
    # The bucket may hold foreign objects.
    if not parts or parts[0] == "/" or ".." in parts or key.endswith(("/", _UNFINISHED)):
        raise OSError(
            f"the object {key!r} is not a valid file name: remove it from the bucket, Headrace did not write it"
        )
    return folder.joinpath(*parts)


def _has(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + _UNFINISHED)
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise OSError(f"{folder} is no folder")
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != _UNFINISHED)
