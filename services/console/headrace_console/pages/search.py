"""The search box: models, versions, jobs, predictions by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from shlex import quote

from headrace.registry.v1 import registry_pb2
from headrace.scorer.v1 import scorer_pb2
from starlette.responses import Response

from headrace_console.pages.markup import last, model_of, reads, word
from headrace_console.pages.predictions import is_id
from headrace_console.pages.visits import READ_S, Part, Visit, signed_in

_MOST = 50
_MOST_CHARACTERS = 200
# Models whose versions are looked at: those whose name fits, and those that changed last.
_MOST_MODELS = 25
# The latest ones; the command line has the others.
_MOST_JOBS = 200


@signed_in
async def search(visit: Visit) -> Response:
    """Show what fits; what is a prediction's id leads to it at once."""
    wanted = visit.query.get("q", "").strip()[:_MOST_CHARACTERS]
    if is_id(wanted):
        return visit.go_to("/console/predictions", id=wanted)
    fitting: Part[list[registry_pb2.Model]] = Part([])
    jobs: Part[list[scorer_pb2.ScoringJob]] = Part([])
    versions: list[tuple[str, registry_pb2.ModelVersion]] = []
    if wanted:
        client = visit.client
        fitting, recent, jobs = await asyncio.gather(
            visit.part("registry", client.models.list(contains=wanted, limit=_MOST, timeout=READ_S)),
            visit.part("registry", client.models.list(latest_first=True, limit=_MOST_MODELS, timeout=READ_S)),
            visit.part("scorer", client.jobs.list(limit=_MOST_JOBS, timeout=READ_S)),
        )
        # Each name once, those that fit first.
        every = dict.fromkeys(last(model.name) for model in [*(fitting.value or ()), *(recent.value or ())])
        versions = await _versions(visit, wanted.lower(), list(every)[:_MOST_MODELS])
    return visit.page(
        "search.html",
        f"Search {wanted}",
        f"headrace models list --contains {quote(wanted)}" if wanted else "headrace models list",
        wanted=wanted,
        models=fitting,
        versions=versions[:_MOST],
        jobs=Part(list(fitting_jobs(jobs.value or (), wanted.lower()))[:_MOST], jobs.problem),
    )


async def _versions(visit: Visit, wanted: str, names: Sequence[str]) -> list[tuple[str, registry_pb2.ModelVersion]]:
    listed = await asyncio.gather(
        *(visit.part("registry", visit.client.versions.list(name, timeout=READ_S)) for name in names)
    )
    return [
        (name, version)
        for name, part in zip(names, listed, strict=True)
        for version in part.value or ()
        if wanted in last(version.name) or wanted in version.description.lower() or version.digest.startswith(wanted)
    ]


def fitting_jobs(jobs: Sequence[scorer_pb2.ScoringJob], wanted: str) -> Iterator[scorer_pb2.ScoringJob]:
    """Yield jobs whose name, state, client or files contain `wanted`, which is lower-case."""
    for job in jobs:
        texts = (
            f"{model_of(job.name)}/{last(job.name)}",
            word(job, "state"),
            job.client,
            reads(job.spec.input),
            job.output_uri,
        )
        if any(wanted in text.lower() for text in texts):
            yield job
