"""Where a stack lives and how it is started: HEADRACE_* variables, and those of services in `headrace.env`."""

import enum
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import find_libpython
import psutil

from headrace_stack import description, parts, replicas
from headrace_stack.description import Topology
from headrace_stack.ports import BASE_PORT_SETTING, Ports
from headrace_stack.replicas import ONE_OF_EACH, Replicas

STATE_DIRECTORY_SETTING = "HEADRACE_STATE_DIR"
DEFAULT_BASE_PORT = 8080
# In the checkout, read by `make up` and the others; the environment goes before it.
FILE = "headrace.env"
DATA_PLANE_SETTING = "HEADRACE_DATA_PLANE"
PARTS_SETTING = "HEADRACE_PARTS"


class DataPlane(enum.StrEnum):
    """Where predictions are answered: in the front door's own process, or by services of their own behind it.

    A service is an Envoy with only the data plane in it, or (GRPC) plain grpc.aio and uvicorn.
    """

    FRONT_DOOR = "front-door"
    SERVICE = "service"
    GRPC = "grpc"


class SettingsError(ValueError):
    """A setting cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """One stack: the checkout it runs, the directory that holds everything it writes, its ports, how many of each.

    `durable` is off only in tests: PostgreSQL then skips fsync. `ends_unwell` is off only in tests that freeze parts
    for longer than the supervisor would let them be. `parts` are those that run, all of them where none is named.
    """

    checkout: Path
    home: Path
    ports: Ports
    durable: bool = True
    ends_unwell: bool = True
    replicas: Replicas = ONE_OF_EACH
    data_plane: DataPlane = DataPlane.FRONT_DOOR
    parts: tuple[str, ...] = ()

    @property
    def services(self) -> Topology:
        """What runs here of what the checkout describes."""
        return parts.installed(description.of(self.checkout), self.parts)

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def identity(self) -> Path:
        return self.home / "identity"

    @property
    def snapshot(self) -> Path:
        return self.run / "status.json"

    @property
    def control_socket(self) -> Path:
        """Where the supervisor takes requests."""
        return self.home / "state" / "control.sock"

    @property
    def endpoints(self) -> Path:
        """Which replicas of each service there are, for the front door."""
        return self.run / "endpoints"

    @property
    def pools(self) -> Path:
        """Which batchers of each pool there are, for data planes."""
        return self.run / "pools"

    @property
    def python_environment(self) -> dict[str, str]:
        """Variables for the Python of our own processes; they override the caller's environment.

        Compiled modules are cached: compiling them takes half of each start. The cache is outside the source tree, for
        callers that want none there.

        ONNX Runtime lower-cases texts by the locale en_US.UTF-8, which few machines have: `deploy/locale` gives its
        name to C.UTF-8, whose letters are the same.
        """
        locale = self.checkout / "deploy" / "locale"
        return {
            **({"LOCPATH": str(locale)} if (locale / "en_US.utf8").exists() else {}),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self.checkout / ".headrace" / "bytecode"),
        }

    def state(self, name: str) -> Path:
        """The data directory of one component."""
        return self.home / "state" / name

    def create_directories(self) -> None:
        """Make the directories, readable by their owner only."""
        for directory in (self.home, self.logs, self.run, self.identity, self.home / "state"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)


def checkout_of_this_file() -> Path:
    """The checkout that this package was installed from (it is always installed editable)."""
    return Path(__file__).resolve().parents[3]


def of_file(path: Path) -> dict[str, str]:
    """Return the variables of a file such as `headrace.env`, lines of NAME=VALUE; none where it is not there.

    Raises SettingsError naming the line.
    """
    found = {}
    lines = path.read_text().splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        name, equals, value = line.strip().partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not equals or not name.isidentifier():
            raise SettingsError(f"{path.name}, line {number}: {line.strip()[:60]!r} is not NAME=VALUE")
        found[name] = value.strip().strip("\"'")
    return found


def read(environment: Mapping[str, str] = os.environ) -> StackSettings:
    """Read the settings. Raises SettingsError naming the variable."""
    checkout = checkout_of_this_file()
    raw = environment.get(BASE_PORT_SETTING) or str(DEFAULT_BASE_PORT)
    if not raw.isdecimal():
        raise SettingsError(f"{BASE_PORT_SETTING}={raw!r} is not a port number")
    try:
        ports = Ports(int(raw))
        counts = replicas.read(environment, _memory_bytes())
        wanted = _parts(checkout, environment.get(PARTS_SETTING))
    except ValueError as error:
        raise SettingsError(str(error)) from error
    home = Path(environment.get(STATE_DIRECTORY_SETTING, checkout / ".headrace")).absolute()
    return StackSettings(
        checkout=checkout, home=home, ports=ports, replicas=counts, data_plane=_data_plane(environment), parts=wanted
    )


def _parts(checkout: Path, raw: str | None) -> tuple[str, ...]:
    try:
        return parts.chosen(raw, description.of(checkout)) if raw else ()
    except parts.PartsError as error:
        raise SettingsError(f"{PARTS_SETTING}={raw}: {error}") from None


FILTER_BRIDGE = Path("deploy", "envoy", "filter_bridge", "libheadrace_filter_bridge.so")
_SLOWER = "so predictions are answered by a slower service on grpc.aio"


def _memory_bytes() -> int:
    """Return the memory that the machine has, or the container that this runs in. The same at every start."""
    total = psutil.virtual_memory().total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total


def not_loadable() -> str:
    """Return why Envoy cannot have the data plane in its process, and what to do; empty where it can."""
    found = (Path(path) for path in find_libpython.candidate_paths())
    if not any(path.name.startswith("libpython") and path.exists() for path in found):
        return (
            f"this Python has no shared libpython that Envoy could load, {_SLOWER}: use a Python that has one "
            "(Debian: libpython3.11)"
        )
    if not (checkout_of_this_file() / FILTER_BRIDGE).is_file():
        return f"Envoy's filter for gRPC predictions is not built, {_SLOWER}: `make setup` says why ({FILTER_BRIDGE})"
    return ""


def _data_plane(environment: Mapping[str, str]) -> DataPlane:
    raw = environment.get(DATA_PLANE_SETTING)
    if not raw:
        return DataPlane.GRPC if not_loadable() else DataPlane.FRONT_DOOR
    try:
        chosen = DataPlane(raw)
    except ValueError:
        known = " or ".join(one.value for one in DataPlane)
        raise SettingsError(f"{DATA_PLANE_SETTING}={raw!r} must be {known}") from None
    missing = not_loadable()
    if not missing or chosen is DataPlane.GRPC:
        return chosen
    if chosen is DataPlane.FRONT_DOOR:
        raise SettingsError(f"{DATA_PLANE_SETTING}={raw}: {missing}")
    return DataPlane.GRPC
