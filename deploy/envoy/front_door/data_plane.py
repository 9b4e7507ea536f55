"""The router's data plane inside an Envoy: the module that loads it, its configuration, and whether it can be loaded.

It answers predictions itself, and checks their tokens itself: on their routes every filter of ours that would is off.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from pathlib import Path

from front_door import access, filter_bridge, inference
from front_door.envoy_settings import EnvoySettings
from front_door.shapes import Json, header_is, typed

FILTER = "pyvoy"
FILTERS = (FILTER, filter_bridge.FILTER)
APP = "headrace_router.data.envoy_service"
DATA_PREFIX, EDGE_PREFIX = "ROUTER_DATA_", "ROUTER_EDGE_"
# Half a second of a core, whenever this machine comes to it.
IMPORT_TIMEOUT_S = 300.0

_POST = header_is(":method", exact="POST")


class NotLoadable(Exception):
    """The data plane cannot be loaded here; the message says why, and what to do."""


def matches() -> tuple[Json, ...]:
    """Return what the data plane answers: predictions in every form, and nothing else."""
    return (*grpc_matches(), *rest_matches(), stream_match())


def grpc_matches() -> tuple[Json, ...]:
    """Return the predictions of gRPC's."""
    grpc = [header_is("content-type", prefix="application/grpc"), _POST]
    return tuple({"path": path, "headers": grpc} for path in (access.PREDICT_METHOD, inference.path("ModelInfer")))


def rest_matches() -> tuple[Json, ...]:
    """Return the predictions of REST's."""
    return (
        {"path": access.PREDICT_PATH, "headers": [_POST]},
        {"safe_regex": {"regex": access.PREDICT_PATH_REGEX}, "headers": [_POST]},
        {"safe_regex": {"regex": inference.REST_INFER_REGEX}, "headers": [_POST]},
    )


def stream_match() -> Json:
    """Return the prediction of REST's that is answered in parts."""
    return {"safe_regex": {"regex": access.PREDICT_STREAM_REGEX}, "headers": [_POST]}


def http_filters() -> list[Json]:
    """Return the filters, which are off but for the routes that turn one of them on (`enabled`)."""
    return [{**one, "disabled": True} for one in (filter_bridge.http_filter(), _asgi_filter())]


def enabled(match: Json) -> str:
    """Return the name of the filter that answers what is matched."""
    return filter_bridge.FILTER if match in (*grpc_matches(), *rest_matches()) else FILTER


def _asgi_filter() -> Json:
    config = {"app": f"{APP}:app", "interface": "asgi", "root_path": "", "loop": "uvloop"}
    value = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": json.dumps(config)}
    return {
        "name": FILTER,
        "typed_config": typed(
            "extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            dynamic_module_config={"module": {"local": {"filename": str(_module())}}},
            filter_name="pyvoy",
            filter_config=value,
        ),
    }


def environment(settings: EnvoySettings, *, behind_a_front_door: bool) -> dict[str, str]:
    """Return Envoy's environment: Python's path, the data plane's token issuer, our limits. Raises NotLoadable."""
    edge_settings = {
        "ISSUER": settings.issuer,
        "AUDIENCE": settings.audience,
        "JWKS_FILE": settings.jwks_file,
        "DENY_FILE": settings.deny_file,
        "TOKEN_MAX_LIFETIME_S": settings.token_max_lifetime_s,
        "TOKEN_CLOCK_SKEW_S": settings.token_clock_skew_s,
        "POLL_S": settings.poll_s,
        "CLIENT_REQUESTS_PER_SECOND": settings.share(settings.client_requests_per_second),
        "CLIENT_LIMIT_ENFORCED": str(settings.client_limit_enforced).lower(),
        "REPEAT_ANSWERS_BYTES": settings.repeat_answers_bytes,
        "FILTER_BRIDGE": _filter_bridge(),
        "BEHIND_A_FRONT_DOOR": str(behind_a_front_door).lower(),
    }
    bounds: dict[str, object] = {
        "DEFAULT_DEADLINE_S": settings.predict_timeout_max_s,
        "MAX_DEADLINE_S": settings.predict_timeout_max_s,
        "MAX_MESSAGE_BYTES": settings.max_request_bytes,
        "PROCESSES": settings.processes,
        # Our filters see a stream once, when it begins: what comes later is its own to judge.
        "STREAM_REQUESTS_PER_SECOND": settings.client_requests_per_second if settings.client_limit_enforced else 0,
        "DENY_FILE": settings.deny_file,
    }
    return {
        **os.environ,
        # On its routes these are its own to keep: no filter of ours does.
        **{f"{DATA_PREFIX}{name}": str(value) for name, value in bounds.items() if value is not None},
        **{f"{EDGE_PREFIX}{name}": str(value) for name, value in edge_settings.items() if value is not None},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONHOME": f"{sys.prefix}{os.pathsep}{sys.exec_prefix}",
        "PYTHONUNBUFFERED": "1",
        "LD_PRELOAD": str(_libpython()),
    }


async def check() -> None:
    """Import the app in a process of its own, as Envoy will. Raises NotLoadable."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import {APP}", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(IMPORT_TIMEOUT_S):
            _, stderr = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise NotLoadable(f"importing {APP} took more than {IMPORT_TIMEOUT_S:g} s") from None
    if process.returncode != 0:
        raise NotLoadable(stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"{APP} cannot be imported")


def _filter_bridge() -> Path:
    if not filter_bridge.MODULE.is_file():
        raise NotLoadable(
            f"the filter for gRPC predictions is not built ({filter_bridge.MODULE}): run `make setup`, or use the data "
            "plane on grpc.aio, `python -m headrace_router.data`"
        )
    return filter_bridge.MODULE


def _module() -> Path:
    spec = importlib.util.find_spec("pyvoy._pyvoy")
    if spec is None or spec.origin is None:
        raise NotLoadable("no pyvoy found: install the wheel pyvoy")
    return Path(spec.origin)


def _libpython() -> Path:
    from find_libpython import candidate_paths  # pyvoy's own way to the library that its module needs

    for candidate in map(Path, candidate_paths()):
        if candidate.name.startswith("libpython") and candidate.exists():
            return candidate
    raise NotLoadable(
        "this Python has no shared libpython that Envoy could load: use one that has (Debian: libpython3.11), or the "
        "data plane on grpc.aio, `python -m headrace_router.data`"
    )
