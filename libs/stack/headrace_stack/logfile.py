"""Log files of bounded size.

Components write to their files themselves (opened for appending), so that a busy log costs the supervisor nothing.
Rotation therefore copies and truncates: lines written between the two are lost, about a millisecond per rotation.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LogLimits:
    """A file is rotated beyond `size_bytes`; `kept` old ones stay as NAME.1 (newest) … NAME.N."""

    size_bytes: int = 16 * 1024 * 1024
    kept: int = 2


def rotate(files: Iterable[Path], limits: LogLimits) -> tuple[Path, ...]:
    """Rotate every file that outgrew its limit and return those; one for whose copy there is no room waits for it."""
    rotated = []
    for path in files:
        if not path.exists() or path.stat().st_size <= limits.size_bytes:
            continue
        copy = path.with_name(f".{path.name}.copy")
        try:
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
        except OSError:
            copy.unlink(missing_ok=True)
            continue
        for number in range(limits.kept, 1, -1):
            older = path.with_name(f"{path.name}.{number - 1}")
            if older.exists():
                os.replace(older, path.with_name(f"{path.name}.{number}"))
        os.replace(copy, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
        rotated.append(path)
    return tuple(rotated)


def size(path: Path) -> int:
    """Return the size of a file, 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def last_lines(path: Path, count: int, window_bytes: int = 16 * 1024, *, since: int = 0) -> tuple[str, ...]:
    """Return up to `count` last lines, reading at most `window_bytes` from the end; none when there is no file.

    since: the size that the file had before the lines wanted. One that is smaller now was rotated: all of it is wanted.
    """
    end = size(path)
    if end == 0:
        return ()
    with path.open("rb") as file:
        file.seek(max(since if since <= end else 0, end - window_bytes))
        return tuple(file.read().decode(errors="replace").splitlines()[-count:])
