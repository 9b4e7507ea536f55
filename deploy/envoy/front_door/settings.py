"""FRONT_DOOR_* variables: all settings of the front door."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from headrace_servicekit.settings import settings_config
from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from front_door import offered
from front_door.envoy_settings import MIB, EnvoySettings

# Lists are written with commas, not as JSON.
Commas = Annotated[tuple[str, ...], NoDecode]

_ADDRESSES = ("router_data", "router_rest", "router_edge")


class FrontDoorSettings(EnvoySettings):
    """Listeners, upstreams, token issuers and limits of the front door."""

    model_config = settings_config("FRONT_DOOR_")

    targets: str = Field(
        default="",
        description="`service=host:port[,host:port]`, separated by semicolons: each service that "
        "`deploy/topology.toml` says offers something here; empty means all on 127.0.0.1, at their ports there. The "
        "`router-control` is also asked for health.",
    )
    parts: Commas = Field(
        default=(),
        description="Parts of the product that are installed, as `deploy/topology.toml` names them; empty means all. "
        "Calls to another one are answered UNIMPLEMENTED `PART_NOT_INSTALLED`.",
    )
    router_data: Commas = Field(default=("127.0.0.1:8086",), description="`host:port[,…]` of the data plane's gRPC.")
    data_plane: Literal["service", "here"] = Field(
        default="service",
        description="Where predictions are answered: by a `service` (`router_edge` if it is set, else `router_data` "
        "and `router_rest`), or `here`, by a data plane in this Envoy, configured by `ROUTER_DATA_*` variables.",
    )
    router_rest: Commas = Field(default=("127.0.0.1:8087",), description="`host:port[,…]` of the data plane's REST.")
    router_edge: Commas = Field(
        default=(),
        description="`host:port[,…]` of data planes in Envoys of their own (`data_plane.py`), which get predictions "
        "and check their tokens themselves.",
    )

    endpoints_file: Path | None = Field(
        default=None,
        description="File with `service=ip:port[,ip:port];…` that counts in place of all those: each service of "
        "`targets`, and `router-data`, `router-rest`, `router-edge`. It is followed while running, so replicas may "
        "come and go.",
    )

    call_timeout_max_s: float = Field(
        default=180.0, ge=0.1, description="The same for all other calls: waiting for a promotion may load a model."
    )
    upload_idle_timeout_s: float = Field(
        default=75.0,
        gt=0,
        description="An upload silent for so long is ended; longer than `REGISTRY_ONNX_CHECK_TIMEOUT_S`, in which the "
        "registry looks into a file that is complete.",
    )
    max_json_bytes: int = Field(default=1 * MIB, gt=0, description="Largest JSON body, predictions excepted.")
    cors_origins: Commas = Field(
        default=(), description="Origins whose pages may call, e.g. `https://console.example.com`; `*` for all."
    )

    upstream_tls_ca: Path | None = Field(
        default=None, description="Authorities (PEM) of the services' certificates; unset means no TLS to the services."
    )
    upstream_tls_cert: Path | None = Field(default=None, description="Certificate (PEM) that the services see.")
    upstream_tls_key: Path | None = Field(default=None, description="Private key (PEM) of `upstream_tls_cert`.")

    access_log: Path = Field(default=Path("/dev/stdout"), description="Where the access log (JSON lines) goes.")
    access_log_predictions: Literal["sampled", "all"] = Field(
        default="sampled",
        description="Which predictions have a line there: those that are traced and those that fail here, or `all`. "
        "The data plane logs them too.",
    )
    otlp_endpoint: str | None = Field(
        default=None, description="`host:port` of an OTLP/gRPC collector for traces; unset means none are made."
    )

    @field_validator(*_ADDRESSES, "cors_origins", "parts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator(*_ADDRESSES)
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _check_addresses(value)
        return value

    @field_validator("parts")
    @classmethod
    def _are_parts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = tuple(dict.fromkeys(offered.parts().values()))
        if strange := set(value) - {*known}:
            raise ValueError(f"{', '.join(sorted(strange))} is no part with a service here; known: {', '.join(known)}")
        return tuple(part for part in known if part in {offered.CORE, *value}) if value else ()

    @field_validator("targets")
    @classmethod
    def _are_services(cls, value: str) -> str:
        targets = split_targets(value)
        for name, addresses in targets.items():
            if not addresses:
                raise ValueError(f"{name} needs at least one host:port")
            _check_addresses(addresses)
        if strange := targets.keys() - offered.ports().keys():
            known = ", ".join(offered.ports())
            raise ValueError(f"{', '.join(sorted(strange))} offers nothing here; those that do are {known}")
        return value

    @model_validator(mode="after")
    def _targets_are_whole(self) -> Self:
        if self.targets and (missing := {*self.installed} - split_targets(self.targets).keys()):
            raise ValueError(f"targets needs {', '.join(f'{name}=host:port' for name in sorted(missing))} too")
        return self

    @field_validator("router_data", "router_rest")
    @classmethod
    def _are_some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("needs at least one host:port")
        return value

    @model_validator(mode="after")
    def _upstream_tls_is_whole(self) -> Self:
        if (self.upstream_tls_cert is None) != (self.upstream_tls_key is None):
            raise ValueError("upstream_tls_cert and upstream_tls_key belong together: set both or neither")
        if self.upstream_tls_cert is not None and self.upstream_tls_ca is None:
            raise ValueError(
                "upstream_tls_cert needs upstream_tls_ca: client certificates are only sent to verified servers"
            )
        return self

    @property
    def installed(self) -> tuple[str, ...]:
        """The services behind the front door that are there: those of the parts that are installed."""
        return tuple(name for name in offered.ports() if self.has(name))

    def has(self, service: str) -> bool:
        """Return whether a service that offers something here is of a part that is installed."""
        return not self.parts or offered.parts()[service] in self.parts

    @property
    def behind(self) -> Mapping[str, tuple[str, ...]]:
        """The addresses of every service behind the front door that is installed."""
        stated = split_targets(self.targets)
        return {name: stated.get(name, (f"127.0.0.1:{offered.ports()[name]}",)) for name in self.installed}


def split_targets(value: str) -> dict[str, tuple[str, ...]]:
    """Return the addresses of `service=host:port[,host:port];…` by service. Raises ValueError."""
    found: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in value.split(";"))):
        name, separator, addresses = part.partition("=")
        if not separator or not name.strip():
            raise ValueError(f"{part!r} is not service=host:port")
        found[name.strip()] = tuple(each.strip() for each in addresses.split(",") if each.strip())
    return found


def _check_addresses(addresses: tuple[str, ...]) -> None:
    for address in addresses:
        host, port = split_address(address)
        if not host or not 0 < port < 65536:
            raise ValueError(f"{address!r} is not host:port")


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`; port 0 when it has none."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0
