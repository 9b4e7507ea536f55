"""From what a route declares to immutable versions, with what the registry says at one epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace_router.control.decisions.fallback_steps import backups
from headrace_router.control.decisions.names import Serves
from headrace_router.control.decisions.routes import Route


@dataclass(frozen=True, slots=True)
class PipelineMember:
    """What a step of a pipeline runs, which is loaded in the pipeline's place.

    model: empty for the pipeline's own. pool: empty for the pool of the pipeline.
    """

    model: str
    version: str
    digest: str
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Registered:
    """What the registry says of one model.

    incarnation: of the registry's store; epochs of different incarnations do not compare. epoch: number of the model's
    last change. production: id of the version in production, empty when there is none. aliases: version id by alias.
    versions: digest by version id. members: of those that are pipelines, by digest. earlier: versions that rollbacks
    lead to. max_unpromoted_share: of traffic, for versions that are not promoted; None from a registry of the release
    before, which bounds nothing.
    """

    model: str
    incarnation: str
    epoch: int
    production: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, tuple[PipelineMember, ...]] = field(default_factory=dict)
    earlier: tuple[str, ...] = ()
    max_unpromoted_share: float | None = None

    @property
    def promoted(self) -> frozenset[str]:
        """Return the versions that may get any share of the traffic."""
        return frozenset({self.production, *self.earlier} - {""})

    def newer_than(self, known: Registered) -> bool:
        """Return whether this replaces what was known: a later epoch, the word of another incarnation, or the bound of
        a registry that states one now.
        """
        if self.incarnation != known.incarnation or self.epoch > known.epoch:
            return True
        bounded = self.max_unpromoted_share is not None and self._bounds != known._bounds
        return self.epoch == known.epoch and bounded

    @property
    def _bounds(self) -> tuple[float | None, tuple[str, ...]]:
        return self.max_unpromoted_share, self.earlier


@dataclass(frozen=True, slots=True)
class ResolvedVariant:
    """A variant and the immutable version that serves it. members: of a pipeline."""

    name: str
    version: str
    digest: str
    pool: str
    members: tuple[PipelineMember, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedBackup:
    """A step that is a version in a pool. version, digest: empty for those of the request's variant. members: of a
    pipeline."""

    step: str
    version: str
    digest: str
    pool: str
    members: tuple[PipelineMember, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the references of a route name: in the order of its variants, and of its steps that are backups."""

    variants: tuple[ResolvedVariant, ...]
    backups: tuple[ResolvedBackup, ...] = ()


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A reference that names nothing. field: of the route. reason: a sentence for people."""

    field: str
    reason: str


def resolve(
    route: Route, registered: Registered, present: Iterable[ResolvedBackup] | None = None
) -> Resolution | Unresolved:
    """Return the versions that a route serves and falls back to, or the first reference that names nothing.

    present: what the route's backups were, when they do not have to name anything by now: one whose name is gone stays
    what it was, or is left out, so that no fallback ever holds up what variants follow.
    """
    variants = []
    for position, variant in enumerate(route.variants):
        version = _version_of(variant.serves, variant.target, registered)
        digest = registered.versions.get(version)
        if digest is None:
            reason = _why(variant.serves, variant.target, version, registered.model)
            return Unresolved(f"variants[{position}].{_FIELDS[variant.serves]}", reason)
        members = registered.members.get(digest, ())
        variants.append(ResolvedVariant(variant.name, version, digest, variant.pool, members))
    before = {one.step: one for one in present or ()}
    found = []
    for position, step, backup in backups(route.fallback):
        if backup.serves is None:
            found.append(ResolvedBackup(step.name, "", "", backup.pool))
            continue
        version = _version_of(backup.serves, backup.target, registered)
        digest = registered.versions.get(version)
        if digest is not None:
            members = registered.members.get(digest, ())
            found.append(ResolvedBackup(step.name, version, digest, backup.pool, members))
        elif present is None:
            reason = _why(backup.serves, backup.target, version, registered.model)
            return Unresolved(f"fallback[{position}].backup.{_FIELDS[backup.serves]}", reason)
        elif step.name in before:
            found.append(before[step.name])
    return Resolution(tuple(variants), tuple(found))


_FIELDS = {Serves.VERSION: "version", Serves.PRODUCTION: "follow_production", Serves.ALIAS: "follow_alias"}


def _version_of(serves: Serves, target: str, registered: Registered) -> str:
    match serves:
        case Serves.VERSION:
            return target
        case Serves.PRODUCTION:
            return registered.production
        case Serves.ALIAS:
            return registered.aliases.get(target, "")


def _why(serves: Serves, target: str, version: str, model: str) -> str:
    if version:
        return f"model '{model}' has no version '{version}'"
    if serves is Serves.ALIAS:
        return f"model '{model}' has no alias '{target}'"
    return f"model '{model}' has no version in production"
