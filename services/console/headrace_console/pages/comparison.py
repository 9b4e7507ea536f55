"""Versions of a model side by side: metrics, contract, files, parameters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote

from headrace.registry.v1 import registry_pb2
from starlette.responses import Response

from headrace_console.figures import number
from headrace_console.pages.markup import last, short, size, word
from headrace_console.pages.visits import READ_S, Visit, signed_in

# More columns are no table that people read.
_MOST = 4
_NONE = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """A property of each version, in their order. differs: whether they are not all alike."""

    name: str
    values: Sequence[str]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@signed_in
async def comparison(visit: Visit) -> Response:
    """Show versions side by side: those that the address names, or production and the latest."""
    model, client = visit.argument("model"), visit.client
    found, listed = await asyncio.gather(
        client.models.get(model, timeout=READ_S), client.versions.list(model, timeout=READ_S)
    )
    listed.sort(key=lambda one: one.create_time.ToNanoseconds(), reverse=True)
    by_name = {last(one.name): one for one in listed}
    names = chosen(list(by_name), found.production_version, visit.request.query_params.getlist("version"))
    shown = [by_name[name] for name in names]
    return visit.page(
        "comparison.html",
        f"{model}: versions side by side",
        f"headrace models show {quote(model)}",
        model=model,
        names=names,
        versions=list(by_name),
        sections=sections_of(shown) if shown else [],
    )


def chosen(names: Sequence[str], production: str, wanted: Sequence[str]) -> list[str]:
    """Return the versions to compare: the wanted ones that exist, else the one in production and the latest other.

    names: of all versions, the latest first.

    >>> chosen(["v3", "v2", "v1"], "v1", []), chosen(["v3", "v2", "v1"], "", ["v2", "gone", "v2"])
    (['v1', 'v3'], ['v2'])
    """
    found = [name for name in dict.fromkeys(wanted) if name in names][:_MOST]
    if found:
        return found
    first = [production] if production in names else []
    return [*first, *(name for name in names if name != production)][:2]


def sections_of(versions: Sequence[registry_pb2.ModelVersion]) -> list[tuple[str, list[Row]]]:
    """Return titled rows, those without any left out."""
    total = [sum(artifact.size_bytes for artifact in one.artifacts) for one in versions]
    about = [
        Row("Stage", [word(one, "stage") or _NONE for one in versions]),
        Row("Registered by", [one.created_by or _NONE for one in versions]),
        Row("Made from", [_lineage(one) for one in versions]),
        Row("Format", [word(one, "format") or _NONE for one in versions]),
        Row("Size of all files", [size(one) for one in total]),
    ]
    parts: list[tuple[str, Callable[[registry_pb2.ModelVersion], Mapping[str, str]]]] = [
        ("Metrics", lambda one: {metric.name: number(metric.value) for metric in one.metrics}),
        ("Contract", lambda one: dict(_tensors(one))),
        ("Files", lambda one: {file.name: f"{size(file.size_bytes)}, {short(file.sha256)}" for file in one.artifacts}),
        ("Parameters", lambda one: dict(one.parameters)),
    ]
    found = [("About", about), *((title, _rows([of(one) for one in versions])) for title, of in parts)]
    return [(title, rows) for title, rows in found if rows]


def _rows(found: Sequence[Mapping[str, str]]) -> list[Row]:
    names = dict.fromkeys(name for one in found for name in one)
    return [Row(name, [one.get(name, _NONE) for one in found]) for name in names]


def _lineage(version: registry_pb2.ModelVersion) -> str:
    lineage = version.lineage
    return " ".join(filter(None, (lineage.parent_version, lineage.run, short(lineage.code_revision)))) or _NONE


def _tensors(version: registry_pb2.ModelVersion) -> Iterator[tuple[str, str]]:
    for kind, specs in (("input", version.contract.inputs), ("output", version.contract.outputs)):
        for spec in specs:
            shape = " × ".join(["rows", *("any" if one < 0 else f"{one}" for one in spec.shape)])
            yield f"{kind} {spec.name}", f"{spec.datatype} {shape}" + (", optional" if spec.optional else "")
