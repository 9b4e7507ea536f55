"""The prediction log put together."""

from __future__ import annotations

from dataclasses import dataclass

from headrace_servicekit.client import channel
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.s3 import Place
from headrace_servicekit.tls import Tls

from headrace_monitor.log.contracts import Contracts
from headrace_monitor.log.objects import Objects
from headrace_monitor.log.reader import Reader
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage.schema import Database

REGISTRY = "headrace.registry.v1.RegistryService"


@dataclass(frozen=True, slots=True)
class PredictionLog:
    """What other parts of the monitor need of the log."""

    objects: Objects
    contracts: Contracts
    reader: Reader


async def open_log(runtime: Runtime[MonitorSettings], database: Database) -> PredictionLog:
    """Open what the log stands on. Neither S3 nor the registry has to be up."""
    settings = runtime.settings
    objects = await runtime.enter(Objects(place_of(settings)))
    # Counters and what is derived already go on without it.
    runtime.check("s3", objects.check, required=False)
    registry = await runtime.enter(
        channel(settings.registry_target, tls=Tls.of(settings), idempotent=[f"{REGISTRY}/GetModelVersion"])
    )
    return PredictionLog(objects, Contracts(registry, runtime.clock), Reader(database, objects))


def place_of(settings: MonitorSettings) -> Place:
    """Return where the log is kept."""
    return Place(
        *(settings.s3_endpoint, settings.s3_bucket, settings.s3_region, settings.s3_credentials_file),
        credentials_setting="MONITOR_S3_CREDENTIALS_FILE",
    )
