"""The filter that hands gRPC predictions over to the data plane in this process: `handover/handover.c`, when built.

Where it is not, predictions come through ASGI, which takes a third more CPU time for an answer from memory. The
filter is told everything by the data plane (`headrace_router/data/hosts/handover.py`).
"""

from __future__ import annotations

from pathlib import Path

import structlog

from front_door.envoy_settings import EnvoySettings
from front_door.shapes import Json, typed

log = structlog.get_logger()

FILTER = "handover"
MODULE = Path(__file__).resolve().parent.parent / "handover" / "libheadrace_handover.so"


def wanted(settings: EnvoySettings) -> bool:
    """Return whether the filter is to be loaded, and can be."""
    return settings.handover and MODULE.is_file()


def tell(settings: EnvoySettings) -> None:
    """Say so in the log when the filter is wanted and is not there."""
    if settings.handover and not MODULE.is_file():
        log.warning("gRPC predictions go through ASGI: the filter is not built", file=str(MODULE), do="make setup")


def http_filter() -> Json:
    """Return the filter."""
    return {
        "name": FILTER,
        "typed_config": typed(
            "extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            dynamic_module_config={"module": {"local": {"filename": str(MODULE)}}},
            filter_name=FILTER,
        ),
    }
