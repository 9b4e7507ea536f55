"""States, changes and generations as JSON documents, field by field: what is stored is decided here.

A key that came later is read with a default: documents of earlier releases lack it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from datetime import datetime
from typing import Any
from uuid import UUID

from headrace_router.control.decisions.readiness import Held, Load, Occupancy, Phase
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.decisions.states import Change, Generation, Kind, Previous, RouteState, Writer
from headrace_router.control.decisions.stored_answers import (
    UNKNOWN_ORIGIN,
    AnswerState,
    Origin,
    Precomputed,
    StoredAnswers,
)
from headrace_router.control.storage.route_documents import (
    Document,
    members_from_document,
    members_to_document,
    route_from_document,
    route_to_document,
    table_from_document,
    table_to_document,
)

# What a writer must be to keep everything that a state may hold: migration 0004 refuses others. 1 knows neither kept
# answers nor lookup settings, fallbacks and hedging; 2, release 0.1.0, neither shadowing and layers nor members of
# pipelines and what computed answers; 3 no bound on versions that are not promoted. A change that adds something to a
# state adds a number.
WRITER = 4


def state_to_document(state: RouteState) -> Document:
    """Return a route's whole state."""
    registered = state.registered
    return {
        "writer": WRITER,
        "needs": _needs(state),
        "model": state.model,
        "salt": state.salt.hex(),
        "registered": {
            "incarnation": registered.incarnation,
            "epoch": registered.epoch,
            "production": registered.production,
            "aliases": dict(registered.aliases),
            "versions": dict(registered.versions),
        },
        "members": {digest: members_to_document(members) for digest, members in registered.members.items()},
        # Beside `registered`, whose keys the release before takes to be all that it knows.
        "earlier": list(registered.earlier),
        "max_unpromoted_share": registered.max_unpromoted_share,
        "route": route_to_document(state.route) if state.route else None,
        "pending": change_to_document(state.pending) if state.pending else None,
        "active": generation_to_document(state.active) if state.active else None,
        "previous": _previous_to_document(state.previous) if state.previous else None,
        "removed": state.removed,
        "kept": {digest: kept_to_document(kept) for digest, kept in state.kept.items()},
    }


def state_from_document(document: Document) -> RouteState:
    """Rebuild what state_to_document wrote."""
    model, registered = document["model"], document["registered"]
    return RouteState(
        model=model,
        salt=bytes.fromhex(document["salt"]),
        registered=Registered(
            model,
            **registered,
            members={digest: members_from_document(one) for digest, one in document.get("members", {}).items()},
            earlier=tuple(document.get("earlier", ())),
            max_unpromoted_share=document.get("max_unpromoted_share"),
        ),
        route=route_from_document(document["route"]) if document["route"] else None,
        pending=change_from_document(document["pending"]) if document["pending"] else None,
        active=generation_from_document(document["active"]) if document["active"] else None,
        previous=_previous_from_document(document["previous"]) if document["previous"] else None,
        removed=document["removed"],
        kept={digest: kept_from_document(kept) for digest, kept in document.get("kept", {}).items()},
    )


def change_to_document(change: Change) -> Document:
    """Return a change."""
    writer = change.writer or Writer("")
    return {
        "id": str(change.id),
        "kind": change.kind.value,
        "route": route_to_document(change.route),
        "table": table_to_document(change.table),
        "epoch": change.epoch,
        "begun_at": change.begun_at.isoformat(),
        "moved_share": change.moved_share,
        "client": writer.client,
        "reason": writer.reason,
        "manager": writer.manager,
        "force": writer.force,
        "displaced": change.displaced,
    }


def change_from_document(document: Document) -> Change:
    """Rebuild what change_to_document wrote."""
    kind = Kind(document["kind"])
    writer = Writer(
        document["client"], document["reason"], document.get("manager", ""), force=document.get("force", False)
    )
    return Change(
        id=UUID(document["id"]),
        kind=kind,
        route=route_from_document(document["route"]),
        table=table_from_document(document["table"]),
        epoch=document["epoch"],
        begun_at=datetime.fromisoformat(document["begun_at"]),
        moved_share=document["moved_share"],
        writer=writer if kind is Kind.WRITE else None,
        displaced=document.get("displaced", ""),
    )


def generation_to_document(generation: Generation) -> Document:
    """Return a table in force."""
    return {
        "number": generation.number,
        "table": table_to_document(generation.table),
        "epoch": generation.epoch,
        "active_at": generation.active_at.isoformat(),
        "change": str(generation.change),
        "kept": {
            digest: [kept.cache_epoch, kept.precomputed_generation, _time_to_document(kept.expires_at)]
            for digest, kept in generation.kept.items()
        },
        # Beside what the release before unpacks.
        "origins": _origins((digest, kept.origin) for digest, kept in generation.kept.items()),
    }


def generation_from_document(document: Document) -> Generation:
    """Rebuild what generation_to_document wrote."""
    origins = document.get("origins", {})
    return Generation(
        number=document["number"],
        table=table_from_document(document["table"]),
        epoch=document["epoch"],
        active_at=datetime.fromisoformat(document["active_at"]),
        change=UUID(document["change"]),
        kept={
            digest: StoredAnswers(epoch, number, _time_from_document(expires_at), Origin(*origins.get(digest, ())))
            for digest, (epoch, number, expires_at) in document.get("kept", {}).items()
        },
    )


def kept_to_document(kept: AnswerState) -> Document:
    """Return the state of a version's stored answers."""
    return {
        "cache_epoch": kept.cache_epoch,
        "precomputed": _precomputed_to_document(kept.precomputed) if kept.precomputed else None,
        "earlier": [_precomputed_to_document(one) for one in kept.earlier],
        "earlier_removed": kept.earlier_removed,
        "newest": kept.newest,
        "reverted": kept.reverted,
        "origins": _origins((str(one.generation), one.origin) for one in (*kept.earlier, kept.precomputed) if one),
    }


def kept_from_document(document: Document) -> AnswerState:
    """Rebuild what kept_to_document wrote."""
    origins, counts = document.get("origins", {}), document["precomputed"]
    return AnswerState(
        cache_epoch=document["cache_epoch"],
        precomputed=_precomputed_from_document(counts, origins) if counts else None,
        earlier=tuple(_precomputed_from_document(one, origins) for one in document["earlier"]),
        earlier_removed=document["earlier_removed"],
        newest=document["newest"],
        reverted=document["reverted"],
    )


def held_to_document(held: Held) -> list[Any]:
    """Return what a batcher says of one version."""
    return [int(held.phase), held.reason, held.load_s, held.serving_revision]


def held_from_document(document: list[Any]) -> Held:
    """Rebuild what held_to_document wrote."""
    # Releases before wrote fewer.
    return Held(Phase(document[0]), *document[1:])


def occupancy_to_document(occupancy: Occupancy) -> Document:
    """Return what else a batcher says."""
    return {
        "load": _load_to_document(occupancy.load) if occupancy.load is not None else None,
        "loads": {digest: _load_to_document(load) for digest, load in occupancy.loads.items()},
        "variations": {digest: load.variation for digest, load in occupancy.loads.items()},
        "unwanted": {digest: held_to_document(held) for digest, held in occupancy.unwanted.items()},
        "draining": occupancy.draining,
        "gpu": occupancy.gpu,
        "formats": occupancy.formats,
        "computes": occupancy.computes,
    }


def occupancy_from_document(document: Document) -> Occupancy:
    """Rebuild what occupancy_to_document wrote; a control plane of the release before wrote nothing."""
    load = document.get("load")
    return Occupancy(
        load=Load(*load) if load is not None else None,
        loads={
            digest: Load(*one, variation=document.get("variations", {}).get(digest, 0.0))
            for digest, one in document.get("loads", {}).items()
        },
        unwanted={digest: held_from_document(one) for digest, one in document.get("unwanted", {}).items()},
        draining=document.get("draining", False),
        gpu=tuple(gpu) if (gpu := document.get("gpu")) is not None else None,
        formats=tuple(document.get("formats", ())),
        computes={digest: (way, why) for digest, (way, why) in document.get("computes", {}).items()},
    )


def _load_to_document(load: Load) -> list[Any]:
    """Return all but the variation, stored by itself: a control plane of the release before takes six values."""
    return list(astuple(load)[:6])


def _needs(state: RouteState) -> int:
    """Return the first writer that would drop nothing of a state."""
    routes = [state.route] if state.route is not None else []
    routes += [state.pending.route] if state.pending is not None else []
    answers = [one for kept in state.kept.values() for one in (*kept.earlier, kept.precomputed) if one is not None]
    bound = state.registered.max_unpromoted_share
    if bound is not None and bound < 1:
        return 4
    split_or_copied = any(one.shadowing or one.layer for one in routes)
    if split_or_copied or state.registered.members or any(one.origin != UNKNOWN_ORIGIN for one in answers):
        return 3
    return 2 if state.kept or any(one.lookup or one.fallback or one.hedging for one in routes) else 1


def _previous_to_document(previous: Previous) -> Document:
    return {
        "version": previous.version,
        "digest": previous.digest,
        "until_at": previous.until_at.isoformat(),
    }


def _previous_from_document(document: Document) -> Previous:
    return Previous(document["version"], document["digest"], datetime.fromisoformat(document["until_at"]))


def _precomputed_to_document(precomputed: Precomputed) -> list[Any]:
    times = (precomputed.committed_at, precomputed.expires_at)
    return [precomputed.generation, *map(_time_to_document, times)]


def _precomputed_from_document(document: list[Any], origins: Document) -> Precomputed:
    generation, committed_at, expires_at = document
    origin = Origin(*origins.get(str(generation), ()))
    return Precomputed(generation, datetime.fromisoformat(committed_at), _time_from_document(expires_at), origin)


def _origins(known: Iterable[tuple[str, Origin]]) -> Document:
    return {key: [origin.run, origin.manifest] for key, origin in known if origin != UNKNOWN_ORIGIN}


def _time_to_document(time: datetime | None) -> str | None:
    return time.isoformat() if time is not None else None


def _time_from_document(document: str | None) -> datetime | None:
    return datetime.fromisoformat(document) if document is not None else None
