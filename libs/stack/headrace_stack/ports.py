"""Every port of the stack: offsets from one base port for first replicas, whatever is free for further ones."""

import os
import random
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from headrace_stack import description
from headrace_stack.description import BLOCK

HOST = "127.0.0.1"
_CHECKOUT = Path(__file__).resolve().parents[3]
BASE_PORT_SETTING = "HEADRACE_BASE_PORT"

# Below the range from which the kernel takes ports for outgoing connections: one of those could have it meanwhile.
FREE = range(10_000, 20_000)
_TRIES = 1000

# Ports from 1024 on to which browsers open no page: "bad ports" of the Fetch standard (https://fetch.spec.whatwg.org/#bad-port).
_BAD_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
)


@dataclass(frozen=True, slots=True)
class Port:
    """One listening port on loopback and what listens there."""

    number: int
    purpose: str

    @property
    def address(self) -> str:
        return f"{HOST}:{self.number}"


class PortBook:
    """The ports of further replicas: any that are free. A replica's port is never reused while this object lives.

    So a call to a removed replica fails to connect and reaches no other service.
    """

    def __init__(self, is_free: Callable[[int], bool] | None = None, rng: random.Random | None = None) -> None:
        self._is_free, self._rng = is_free or _can_bind, rng or random.Random()
        self._numbers: dict[tuple[str, int], int] = {}

    def number(self, replica: str, offset: int, *, apart_from: range) -> int:
        """Return the port of a replica at an offset, the same each time. Raises OSError when none is free."""
        if (replica, offset) not in self._numbers:
            given = set(self._numbers.values())
            candidates = self._rng.sample(FREE, _TRIES)
            free = (one for one in candidates if one not in given and one not in apart_from and self._is_free(one))
            number = next(free, None)
            if number is None:
                raise OSError(f"no free port found in {FREE.start}..{FREE.stop - 1}")
            self._numbers[replica, offset] = number
        return self._numbers[replica, offset]


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a stack whose front door listens on `base`; with a `replica`, those of a further one of them."""

    base: int
    replica: str = ""
    book: PortBook = field(default_factory=lambda: PortBook(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 1024 <= self.base <= 65535 - BLOCK:
            raise ValueError(f"{BASE_PORT_SETTING} must lie in 1024..{65535 - BLOCK}, not {self.base}")

    def at(self, offset: int, purpose: str) -> Port:
        if not self.replica:
            return Port(self.base + offset, purpose)
        block = range(self.base, self.base + BLOCK)
        return Port(self.book.number(self.replica, offset, apart_from=block), purpose)

    def of(self, service: str, port: str, purpose: str) -> Port:
        """Return a port of a service that deploy/topology.toml describes."""
        return self.at(description.of(_CHECKOUT)[service].offset(port), purpose)

    def of_replica(self, number: int, pool: str = "") -> "Ports":
        """Return the ports of a replica. 0 is the first; a `pool` has none of its own below `base` + BLOCK."""
        return replace(self, replica=f"{pool}-{number}" if number or pool else "")

    def addresses(self, of: Callable[["Ports"], Port], count: int) -> str:
        """Return `host:port,host:port`: the same port of each of `count` replicas."""
        return ",".join(of(self.of_replica(number)).address for number in range(count))

    @property
    def front_door(self) -> Port:
        return self.of("front-door", "http", "front door: gRPC, REST, gRPC-Web")

    def front_door_url(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return where callers reach the front door: by https when it has a certificate."""
        scheme = "https" if environ.get("FRONT_DOOR_TLS_CERT") else "http"
        return f"{scheme}://{self.front_door.address}"

    @property
    def envoy_metrics(self) -> Port:
        return self.of("front-door", "envoy-metrics", "Envoy metrics")

    @property
    def registry(self) -> Port:
        return self.of("registry", "grpc", "registry gRPC")

    @property
    def registry_metrics(self) -> Port:
        return self.of("registry", "metrics", "registry metrics")

    @property
    def router_control(self) -> Port:
        return self.of("router-control", "grpc", "router control plane gRPC")

    @property
    def router_control_metrics(self) -> Port:
        return self.of("router-control", "metrics", "router control plane metrics")

    @property
    def router_data(self) -> Port:
        return self.of("front-door", "data", "router data plane gRPC")

    @property
    def router_data_rest(self) -> Port:
        return self.of("front-door", "data-rest", "router data plane REST")

    @property
    def router_data_metrics(self) -> Port:
        return self.of("front-door", "metrics", "router data plane metrics")

    @property
    def router_data_edge(self) -> Port:
        return self.of("front-door", "data-edge", "router data plane's Envoy: predictions")

    @property
    def batcher(self) -> Port:
        return self.of("batcher", "grpc", "batcher (pool default) gRPC")

    @property
    def batcher_metrics(self) -> Port:
        return self.of("batcher", "metrics", "batcher (pool default) metrics")

    @property
    def batcher_cpu(self) -> Port:
        return self.of("batcher-cpu", "grpc", "batcher (pool cpu) gRPC")

    @property
    def batcher_cpu_metrics(self) -> Port:
        return self.of("batcher-cpu", "metrics", "batcher (pool cpu) metrics")

    @property
    def triton_metrics(self) -> Port:
        return self.of("batcher", "triton-metrics", "Triton metrics")

    @property
    def simulator(self) -> Port:
        return self.of("batcher", "simulator", "simulator control")

    @property
    def monitor(self) -> Port:
        return self.of("monitor", "grpc", "monitor gRPC")

    @property
    def monitor_metrics(self) -> Port:
        return self.of("monitor", "metrics", "monitor metrics")

    @property
    def router_data_envoy_metrics(self) -> Port:
        return self.of("front-door", "data-envoy-metrics", "router data plane's Envoy metrics")

    @property
    def postgres(self) -> Port:
        return self.of("postgres", "postgres", "PostgreSQL")

    @property
    def valkey(self) -> Port:
        return self.of("valkey", "valkey", "Valkey")

    @property
    def s3(self) -> Port:
        return self.of("s3", "s3", "SeaweedFS S3")

    @property
    def s3_master(self) -> Port:
        return self.of("s3", "master", "SeaweedFS master")

    @property
    def s3_master_grpc(self) -> Port:
        return self.of("s3", "master-grpc", "SeaweedFS master gRPC")

    @property
    def s3_volume(self) -> Port:
        return self.of("s3", "volume", "SeaweedFS volume")

    @property
    def s3_volume_grpc(self) -> Port:
        return self.of("s3", "volume-grpc", "SeaweedFS volume gRPC")

    @property
    def s3_filer(self) -> Port:
        return self.of("s3", "filer", "SeaweedFS filer")

    @property
    def s3_filer_grpc(self) -> Port:
        return self.of("s3", "filer-grpc", "SeaweedFS filer gRPC")

    @property
    def s3_grpc(self) -> Port:
        return self.of("s3", "s3-grpc", "SeaweedFS S3 gRPC")


def taken(ports: Iterable[Port]) -> tuple[Port, ...]:
    """Return the ports that something else is listening on."""
    return tuple(port for port in ports if not _can_bind(port.number))


def is_open_to_browsers(number: int) -> bool:
    """Return whether browsers open pages on this port, as they do on most."""
    return number not in _BAD_PORTS


def free_base_port(candidates: Iterable[int]) -> int:
    """Return the first candidate from which a block of ports is free; raise OSError when there is none."""
    for base in candidates:
        if is_open_to_browsers(base) and all(_can_bind(base + offset) for offset in range(BLOCK)):
            return base
    raise OSError("no free block of ports among the candidates")


def _can_bind(number: int) -> bool:
    # SO_REUSEADDR: a port whose last connections linger in TIME_WAIT is free, one with a listener is not.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError:
            return False
        return True
