"""What the supervisor tells the world about itself: one JSON file, replaced as a whole at each change."""

import asyncio
import enum
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace_stack import replicas
from headrace_stack.replicas import ONE_OF_EACH, Replicas
from headrace_stack.settings import DataPlane

_AGAIN_S = 1.0


class Phase(enum.StrEnum):
    """Where the whole stack is in its life."""

    STARTING = "STARTING"
    READY = "READY"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


class State(enum.StrEnum):
    """Where one component is in its life."""

    WAITING = "WAITING"
    STARTING = "STARTING"
    READY = "READY"
    RESTARTING = "RESTARTING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same number: `started` is seconds since the epoch."""

    pid: int
    started: float


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """`ready_after_s` is the time from the first attempt to the first readiness; None means not ready yet.

    `restarted_for` is why it was started again the last time. `last_words` are the last lines of its log from a start
    that failed.
    """

    name: str
    state: State
    ports: tuple[int, ...]
    process: ProcessId | None = None
    restarts: int = 0
    ready_after_s: float | None = None
    detail: str = ""
    restarted_for: str = ""
    last_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The stack at one moment. `reason` says why it failed; `replicas` and `parts` are what it was started with."""

    supervisor: ProcessId
    base_port: int
    phase: Phase
    components: tuple[ComponentStatus, ...]
    reason: str = ""
    replicas: Replicas = ONE_OF_EACH
    data_plane: DataPlane = DataPlane.FRONT_DOOR
    parts: tuple[str, ...] = ()


def write(path: Path, snapshot: Snapshot) -> None:
    """Replace the file; a reader sees the old or the new snapshot, never a part."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(snapshot), indent=1))
    os.replace(partial, path)


class SnapshotFile:
    """Tells the world of each snapshot; one for which the disk has no room, as soon as it has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._untold: Snapshot | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        """Write this one."""
        try:
            write(self._path, snapshot)
        except OSError:
            self._untold = snapshot
        else:
            self._untold = None

    async def again(self) -> None:
        """Write what could not be written, for ever."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            if self._untold is not None:
                self(self._untold)


def read(path: Path) -> Snapshot | None:
    """Return the last snapshot, or None when there is none or it cannot be read."""
    try:
        return of_json(json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def of_json(raw: Mapping[str, Any]) -> Snapshot:
    """Return what `dataclasses.asdict` has made of it. Raises ValueError, KeyError and TypeError."""
    return Snapshot(
        supervisor=ProcessId(**raw["supervisor"]),
        base_port=raw["base_port"],
        phase=Phase(raw["phase"]),
        components=tuple(_component(item) for item in raw["components"]),
        reason=raw["reason"],
        replicas=replicas.of_json(raw["replicas"]),
        data_plane=DataPlane(raw["data_plane"]),
        parts=tuple(raw.get("parts", ())),
    )


def _component(raw: Mapping[str, Any]) -> ComponentStatus:
    process = raw["process"]
    return ComponentStatus(
        name=raw["name"],
        state=State(raw["state"]),
        ports=tuple(raw["ports"]),
        process=None if process is None else ProcessId(**process),
        restarts=raw["restarts"],
        ready_after_s=raw["ready_after_s"],
        detail=raw["detail"],
        restarted_for=raw.get("restarted_for", ""),
        last_words=tuple(raw.get("last_words", ())),
    )
