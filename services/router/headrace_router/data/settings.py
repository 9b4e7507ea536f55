"""Settings of the router's data plane: `ROUTER_DATA_*`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Self

from headrace_servicekit.settings import ServiceSettings, ValkeySettings, settings_config
from pydantic import Field, field_validator

from headrace_router.data.batchers.members import Target
from headrace_router.data.lookup.valkey.connection import Address, address_of

MAX_TTL_S = 7 * 86_400.0

_POOL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class DataSettings(ValkeySettings, ServiceSettings):
    """Settings of the data plane."""

    model_config = settings_config("ROUTER_DATA_")

    rest_port: int = Field(default=0, ge=0, le=65535, description="Port for predictions by REST; 0 takes a free one.")
    control_target: str = Field(description="`host:port` of the router's control plane.")
    pools: str = Field(
        description="Pools of batchers, `default=host:port[,host:port];cpu=host:port`; names are resolved again and "
        "again, so replicas may come and go behind them."
    )
    pools_file: Path | None = Field(
        default=None,
        description="File with pools in the same form, which counts in place of `pools` once it can be read; followed "
        "while running, so batchers and pools may come and go. A pool may have none: `default=`.",
    )
    state_dir: Path = Field(
        description="Folder for the last-known-good tables, which a start without control plane serves."
    )
    id: str = Field(
        default="data-0",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="Id of this data plane, such as host and ordinal; the same after a restart.",
    )
    processes: int = Field(
        default=1,
        ge=1,
        description="Data planes that share the load: each takes its share of what batchers have room for.",
    )
    max_concurrent_rpcs: int = Field(
        default=16_384,
        gt=0,
        description="Requests in progress in all `processes`, above which RESOURCE_EXHAUSTED is answered.",
    )
    stream_requests_per_second: int = Field(
        default=0,
        ge=0,
        description="Requests of one client in its streams, parts of PredictStream among them, in all `processes`, "
        "beyond which they are read more slowly; 0 does not pace them.",
    )
    default_deadline_s: float = Field(default=10.0, gt=0, description="Time that a call without deadline may take.")
    max_deadline_s: float = Field(default=60.0, gt=0, description="Time that any call may take, whatever its deadline.")
    max_rows: int = Field(default=1024, gt=0, description="Most rows in one request.")
    max_in_flight: int = Field(
        default=2048,
        gt=0,
        description="Requests in flight on one batcher from all `processes`; beyond, RESOURCE_EXHAUSTED is answered; "
        "a client alone may have eight ninths of them, so that others find room.",
    )
    max_in_flight_bytes: int = Field(
        default=256 * 1024 * 1024, gt=0, description="Bytes of inputs in flight on one batcher, bounded likewise."
    )
    retry_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Requests that may be sent a second time, as a share of all (a lost batcher).",
    )
    queue_timeout_s: float = Field(
        default=1.0,
        ge=0,
        description="Longest wait of a request for a batcher that is away for a moment, as in a restart; with 0 it is "
        "refused at once.",
    )
    resolve_every_s: float = Field(default=5.0, gt=0, description="Seconds between look-ups of the names in `pools`.")
    explain_one_in: int = Field(
        default=1000,
        ge=0,
        description="One of so many requests has its explanation stored besides those that ask for it; 0: only those.",
    )
    max_part_answers_per_client: int = Field(
        default=64,
        gt=0,
        description="Answers of versions that answer in parts that one client may have at a time, in all `processes`.",
    )
    max_part_answers_per_model: int = Field(
        default=512, gt=0, description="The same of one model, to all clients; more are refused."
    )
    access_log_one_in: int = Field(
        default=1000, ge=0, description="One of so many requests is logged; 0 logs only errors and what is traced."
    )
    access_log_errors_per_second: int = Field(
        default=10, ge=0, description="Errors that are logged in a second at most, besides those that are sampled."
    )
    trace_one_in: int = Field(
        default=1000,
        ge=0,
        description="One of so many requests that come without a trace begins one; 0 records only what callers sample. "
        "Without `otlp_endpoint` none does.",
    )
    valkey_timeout_s: float = Field(
        default=0.005, gt=0, description="Seconds that a request waits for Valkey before it continues without it."
    )
    cache_ttl_s: float = Field(
        default=60.0,
        ge=0,
        le=MAX_TTL_S,
        description="Seconds that a cached answer is fresh where the route does not say; 0 caches none.",
    )
    cache_memory_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=0,
        description="Bytes of stored answers in all `processes`; 0 keeps none in memory.",
    )
    cache_max_entry_bytes: int = Field(
        default=1024 * 1024, gt=0, description="Largest answer that is cached, in bytes."
    )

    autoscaler_target: str = Field(
        default="",
        description="`host:port` of the autoscaler, which starts pools from zero; empty: they are not started.",
    )
    monitor_target: str = Field(
        default="", description="`host:port` of the monitor; empty records and reports nothing."
    )
    record_bytes_per_s: int = Field(
        default=512 * 1024,
        gt=0,
        description="Bytes of predictions that all `processes` report in a second, those of ten at once; beyond, "
        "units are sampled.",
    )
    record_buffer_bytes: int = Field(
        default=128 * 1024 * 1024,
        gt=0,
        description="Bytes of predictions in all `processes` that the monitor has not acknowledged; beyond, the oldest "
        "are dropped and counted.",
    )
    record_flush_s: float = Field(
        default=1.0, ge=0, le=60, description="Seconds until a prediction is on its way to the monitor."
    )
    shadow_max_in_flight: int = Field(
        default=64,
        ge=0,
        description="Copies for shadows in flight, of all `processes`; beyond, they are dropped.",
    )
    shadow_max_bytes: int = Field(
        default=16 * 1024 * 1024, ge=0, description="Bytes of such copies and their answers, bounded likewise."
    )

    @field_validator("valkey_url")
    @classmethod
    def _valkey_url_can_be_read(cls, value: str) -> str:
        if value:
            address_of(value)
        return value

    @field_validator("pools")
    @classmethod
    def _pools_can_be_read(cls, value: str) -> str:
        parse_pools(value)
        return value

    def of_one_process(self) -> Self:
        """Return what holds for one of `processes`: its share of what all may have together, at least one of each."""
        shared = (
            "max_concurrent_rpcs", "max_in_flight", "max_in_flight_bytes", "cache_memory_bytes", "record_bytes_per_s",
            "record_buffer_bytes", "shadow_max_in_flight", "shadow_max_bytes", "stream_requests_per_second",
            "max_part_answers_per_client", "max_part_answers_per_model",
        )  # fmt: skip
        return self.model_copy(update={name: math.ceil(getattr(self, name) / self.processes) for name in shared})

    def valkey(self) -> Address | None:
        """Return where Valkey is, or None."""
        return address_of(self.valkey_url) if self.valkey_url else None

    def valkey_password(self) -> str:
        """Return Valkey's password, empty for none. Raises OSError."""
        return "" if self.valkey_password_file is None else self.valkey_password_file.read_text().strip()

    def pool_targets(self) -> dict[str, tuple[Target, ...]]:
        """Return the names behind each pool."""
        return parse_pools(self.pools)


def parse_pools_file(text: str) -> dict[str, tuple[Target, ...]]:
    """Return the same as `parse_pools` of a file, in which a pool may have no batcher at present. Raises ValueError."""
    return parse_pools(text, may_be_empty=True)


def parse_pools(text: str, *, may_be_empty: bool = False) -> dict[str, tuple[Target, ...]]:
    """Return the targets of each pool in `name=host:port[,host:port][;name=…]`. Raises ValueError."""
    pools: dict[str, tuple[Target, ...]] = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        name, equals, addresses = part.partition("=")
        name = name.strip()
        if not equals or _POOL.fullmatch(name) is None:
            raise ValueError(
                f"{part!r} is not `pool=host:port`, with a pool name of lower-case words joined by hyphens"
            )
        if name in pools:
            raise ValueError(f"pool {name!r} is named twice")
        some = addresses.strip() or not may_be_empty
        pools[name] = tuple(_target(one.strip()) for one in addresses.split(",")) if some else ()
    if not pools:
        raise ValueError("no pool is named")
    return pools


def _target(text: str) -> Target:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not `host:port`")
    return Target(host.strip("[]"), int(port))
