"""Every port of the stack, as an offset from one base port, and the question whether they are free."""

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

HOST = "127.0.0.1"
BASE_PORT_SETTING = "HEADRACE_BASE_PORT"
BLOCK = 40
"""Ports that one stack may use: base … base + BLOCK - 1, and as many again for each further replica of a service."""


@dataclass(frozen=True, slots=True)
class Port:
    """One listening port on loopback and what listens there."""

    number: int
    purpose: str

    @property
    def address(self) -> str:
        return f"{HOST}:{self.number}"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a stack whose front door listens on `base`."""

    base: int

    def __post_init__(self) -> None:
        if not 1024 <= self.base <= 65535 - BLOCK:
            raise ValueError(f"{BASE_PORT_SETTING} must lie in 1024..{65535 - BLOCK}, not {self.base}")

    def at(self, offset: int, purpose: str) -> Port:
        return Port(self.base + offset, purpose)

    def of_replica(self, number: int) -> "Ports":
        """The ports of a further replica of any service: the same places in a later block. 0 is the first replica."""
        return Ports(self.base + BLOCK * number)

    def addresses(self, of: Callable[["Ports"], Port], count: int) -> str:
        """`host:port,host:port`: the same port of each of `count` replicas."""
        return ",".join(of(self.of_replica(number)).address for number in range(count))

    @property
    def front_door(self) -> Port:
        return self.at(0, "front door: gRPC, REST, gRPC-Web")

    @property
    def envoy_metrics(self) -> Port:
        return self.at(1, "Envoy metrics")

    @property
    def registry(self) -> Port:
        return self.at(2, "registry gRPC")

    @property
    def registry_metrics(self) -> Port:
        return self.at(3, "registry metrics")

    @property
    def router_control(self) -> Port:
        return self.at(4, "router control plane gRPC")

    @property
    def router_control_metrics(self) -> Port:
        return self.at(5, "router control plane metrics")

    @property
    def router_data(self) -> Port:
        return self.at(6, "router data plane gRPC")

    @property
    def router_data_rest(self) -> Port:
        return self.at(7, "router data plane REST")

    @property
    def router_data_metrics(self) -> Port:
        return self.at(8, "router data plane metrics")

    @property
    def router_data_edge(self) -> Port:
        return self.at(9, "router data plane's Envoy: predictions")

    @property
    def batcher(self) -> Port:
        return self.at(10, "batcher (pool default) gRPC")

    @property
    def batcher_metrics(self) -> Port:
        return self.at(11, "batcher (pool default) metrics")

    @property
    def batcher_cpu(self) -> Port:
        return self.at(12, "batcher (pool cpu) gRPC")

    @property
    def batcher_cpu_metrics(self) -> Port:
        return self.at(13, "batcher (pool cpu) metrics")

    @property
    def triton(self) -> Port:
        return self.at(14, "Triton gRPC")

    @property
    def triton_metrics(self) -> Port:
        return self.at(15, "Triton metrics")

    @property
    def monitor(self) -> Port:
        return self.at(16, "monitor gRPC")

    @property
    def monitor_metrics(self) -> Port:
        return self.at(17, "monitor metrics")

    @property
    def router_data_envoy_metrics(self) -> Port:
        return self.at(18, "router data plane's Envoy metrics")

    @property
    def postgres(self) -> Port:
        return self.at(20, "PostgreSQL")

    @property
    def valkey(self) -> Port:
        return self.at(21, "Valkey")

    @property
    def s3(self) -> Port:
        return self.at(22, "SeaweedFS S3")

    @property
    def s3_master(self) -> Port:
        return self.at(23, "SeaweedFS master")

    @property
    def s3_master_grpc(self) -> Port:
        return self.at(24, "SeaweedFS master gRPC")

    @property
    def s3_volume(self) -> Port:
        return self.at(25, "SeaweedFS volume")

    @property
    def s3_volume_grpc(self) -> Port:
        return self.at(26, "SeaweedFS volume gRPC")

    @property
    def s3_filer(self) -> Port:
        return self.at(27, "SeaweedFS filer")

    @property
    def s3_filer_grpc(self) -> Port:
        return self.at(28, "SeaweedFS filer gRPC")

    @property
    def s3_grpc(self) -> Port:
        return self.at(29, "SeaweedFS S3 gRPC")


def taken(ports: Iterable[Port]) -> tuple[Port, ...]:
    """Return the ports that something else is listening on."""
    return tuple(port for port in ports if not _can_bind(port.number))


def free_base_port(candidates: Iterable[int], blocks: int = 1) -> int:
    """Return the first candidate from which so many blocks of ports are free; raise OSError when there is none."""
    for base in candidates:
        if all(_can_bind(base + offset) for offset in range(BLOCK * blocks)):
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
