"""One version, with all that is known of it, and what its promotion would be asked now."""

from __future__ import annotations

from collections.abc import Awaitable
from shlex import quote

from headrace.registry.v1 import registry_pb2
from starlette.responses import Response

from headrace_console.pages.gates import gate_text
from headrace_console.pages.visits import READ_S, Visit, signed_in

_MEASUREMENTS = 20


@signed_in
async def version(visit: Visit) -> Response:
    """Show a version."""
    name, version_id, client = visit.argument("model"), visit.argument("version"), visit.client
    found = await client.get_version(name, version_id, timeout=READ_S)
    serves = found.stage == registry_pb2.ModelVersion.STAGE_PRODUCTION
    readings: dict[str, tuple[str, Awaitable[object]]] = {
        "measurements": ("registry", client.list_measurements(name, version_id, limit=_MEASUREMENTS, timeout=READ_S)),
        "holds": ("registry", client.list_holds(name, timeout=READ_S)),
    }
    if not serves:  # a review locks the model: it waits for its writes, and they for it
        readings["review"] = ("registry", client.review_promotion(name, version_id, timeout=READ_S))
    parts = await visit.parts(**readings)
    return visit.page(
        "version.html",
        f"{name} {version_id}",
        f"headrace models review {quote(name)} {quote(version_id)}",
        model=name,
        version=found,
        serves=serves,
        gate_text=gate_text,
        **parts,
    )
