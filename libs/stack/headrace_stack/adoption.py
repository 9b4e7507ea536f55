"""Pure: what `up` does about what an earlier run left."""

from dataclasses import dataclass

from headrace_stack.ports import BASE_PORT_SETTING, Port
from headrace_stack.replicas import Replicas
from headrace_stack.settings import DATA_PLANE_SETTING, DataPlane
from headrace_stack.snapshot import Phase, ProcessId, Snapshot


@dataclass(frozen=True, slots=True)
class Running:
    """What was found: the last snapshot, whether its supervisor lives, and which of its other processes do."""

    seen: Snapshot | None
    supervisor_alive: bool
    leftovers: tuple[ProcessId, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Nothing of ours runs."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """A stack is up, or comes up: follow it."""


@dataclass(frozen=True, slots=True)
class AwaitStop:
    """A stack is being stopped: start when it is gone."""


@dataclass(frozen=True, slots=True)
class CleanUp:
    """A supervisor died and processes that it started live on: end exactly these, then start."""

    leftovers: tuple[ProcessId, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """The operator has to decide first."""

    reason: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Other parts of the product run: stop them, then start those that were asked for."""

    running: tuple[str, ...]


Decision = Start | Adopt | AwaitStop | CleanUp | Refuse | Replace


def decide(
    found: Running, base_port: int, replicas: Replicas, data_plane: DataPlane, parts: tuple[str, ...] = ()
) -> Decision:
    """Return what to do before such a stack can run in the directory looked at.

    parts: that were asked for; none where whatever runs is meant.
    """
    if found.seen is None:
        return Start()
    if not found.supervisor_alive:
        return CleanUp(found.leftovers) if found.leftovers else Start()
    if found.seen.phase in (Phase.STOPPING, Phase.STOPPED, Phase.FAILED):
        return AwaitStop()
    if found.seen.base_port != base_port:
        running = f"the stack of this checkout already runs on {BASE_PORT_SETTING}={found.seen.base_port}"
        return Refuse(f"{running}, not on {base_port}: run `make down` first, or use that port")
    if found.seen.replicas != replicas:
        running = f"the stack of this checkout already runs with {found.seen.replicas}"
        return Refuse(f"{running}, not with {replicas}: run `make down` first, or ask for the same")
    if found.seen.data_plane != data_plane:
        running = f"the stack of this checkout already runs with {DATA_PLANE_SETTING}={found.seen.data_plane}"
        return Refuse(f"{running}, not {data_plane}: run `make down` first, or ask for the same")
    return Replace(found.seen.parts) if parts and found.seen.parts != parts else Adopt()


@dataclass(frozen=True, slots=True)
class TakenPort:
    """A port that something else listens on; `owner` is None when the kernel does not tell us."""

    port: Port
    owner: str | None


def explain_taken(taken: tuple[TakenPort, ...], base_port: int, free_base: int | None) -> str:
    """Return an error that names the ports in use, the processes that use them if known, and the setting that moves the
    stack."""
    lines = []
    for item in taken:
        owner = f" by {item.owner}" if item.owner else ""
        lines.append(f"port {item.port.number} ({item.port.purpose}) is taken{owner}")
    where = f"base port {base_port}, set by {BASE_PORT_SETTING}"
    remedy = f", for example {BASE_PORT_SETTING}={free_base} make up" if free_base is not None else ""
    lines.append(f"The stack's ports count from {where}. Stop what listens there, or choose another{remedy}.")
    return "\n".join(lines)
