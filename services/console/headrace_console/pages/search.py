"""The search box: models, versions, predictions by their ids."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from headrace_console.pages.predictions import is_id
from headrace_console.pages.rendering import last
from headrace_console.pages.visits import READ_S, Visit, signed_in

_MOST = 50
# Models whose versions are looked at: those whose name fits, and else the first ones.
_MOST_MODELS = 25


@signed_in
async def search(visit: Visit) -> Response:
    """Show what fits; what is a prediction's id leads to it at once."""
    wanted = visit.query.get("q", "").strip()
    if is_id(wanted):
        return visit.go_to("/console/predictions", id=wanted)
    models = await visit.part("registry", visit.client.list_models(timeout=READ_S))
    word = wanted.lower()
    fitting = [model for model in models.value or () if word in last(model.name) or word in model.description.lower()]
    # Each name once, those that fit first.
    every = dict.fromkeys(last(model.name) for model in [*fitting, *(models.value or ())])
    names = list(every)[:_MOST_MODELS] if word else []
    listed = await asyncio.gather(
        *(visit.part("registry", visit.client.list_versions(name, timeout=READ_S)) for name in names)
    )
    versions = [
        (name, version)
        for name, part in zip(names, listed, strict=True)
        for version in part.value or ()
        if word in last(version.name) or word in version.description.lower() or version.digest.startswith(word)
    ]
    return visit.page(
        "search.html", f"Search {wanted}", "headrace models list", wanted=wanted, models=models,
        fitting=fitting[:_MOST], versions=versions[:_MOST],
    )  # fmt: skip
