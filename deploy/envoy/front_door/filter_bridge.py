"""The filter that gives gRPC predictions to the data plane in this process: `filter_bridge/filter_bridge.c`.

The data plane configures it (`headrace_router/data/transports/envoy/filter_bridge.py`). Where it is not built, no data
plane is loaded into Envoy: predictions are answered on grpc.aio.
"""

from __future__ import annotations

from pathlib import Path

from front_door.shapes import Json, typed

FILTER = "filter_bridge"
MODULE = Path(__file__).resolve().parent.parent / "filter_bridge" / "libheadrace_filter_bridge.so"


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
