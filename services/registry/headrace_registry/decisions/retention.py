"""What nothing needs any more: versions to archive, versions to give up, bytes to remove. Decisions only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace_registry.decisions.files import ContentUse
from headrace_registry.decisions.models import ModelState, Stage, VersionRef


@dataclass(frozen=True, slots=True)
class Policy:
    """Retention of unused things.

    grace: of bytes that no version names. archive_after: of versions that stay in registered or staging. collect_after:
    of the files of archived versions. None: for ever.
    """

    grace: timedelta
    archive_after: timedelta | None = None
    collect_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Retirement:
    """Versions of one model, by id, oldest first: to archive, and those whose files are to be given up."""

    archive: tuple[str, ...] = ()
    collect: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.archive or self.collect)


def retirement(
    state: ModelState, since: Mapping[str, datetime], held: Collection[VersionRef], policy: Policy, now: datetime
) -> Retirement:
    """Return what of a model has had its time.

    since: when each version came into its stage; one that is missing stays. held: versions with a hold that has not
    expired. Never among them: what is in production, has an alias or a hold. Never given up besides: rollback targets,
    and parents of versions that are kept.
    """
    named = {*state.model.aliases.values(), *(ref.version for ref in held)}
    needed = {*state.model.rollback_targets, *(version.lineage.parent_version for version in state.versions)}

    def due(version: str, after: timedelta | None) -> bool:
        return after is not None and version in since and since[version] <= now - after

    archive, collect = [], []
    for version in sorted(state.versions, key=lambda version: version.epoch):
        name = version.ref.version
        if name in named:
            continue
        if version.stage in (Stage.REGISTERED, Stage.STAGING) and due(name, policy.archive_after):
            archive.append(name)
        elif version.stage is Stage.ARCHIVED and name not in needed and due(name, policy.collect_after):
            collect.append(name)
    return Retirement(tuple(archive), tuple(collect))


def is_expendable(use: ContentUse, policy: Policy, now: datetime) -> bool:
    """Return whether bytes that are recorded as stored may be removed: nothing has needed them during the grace."""
    if use.touch_time is None or use.collected or use.needed or use.uploading:
        return False
    return max(use.touch_time, use.given_up_time or use.touch_time) <= now - policy.grace


def is_stray(use: ContentUse, modified: datetime, begin_time: datetime, policy: Policy, now: datetime) -> bool:
    """Return whether bytes that lie in the store may be removed because nothing is recorded of them: what an upload
    left behind whose process died.

    modified: when they were written. Bytes from before this incarnation of the registry are left alone: a registry that
    was restored from a backup does not know what was registered after it, and some of that may still be served.
    """
    recorded = use.touch_time is not None and not use.collected
    return not recorded and not use.needed and not use.uploading and begin_time < modified <= now - policy.grace


def is_forgotten(use: ContentUse) -> bool:
    """Return whether bytes marked for removal still may be removed: they were not uploaded again."""
    return (use.touch_time is None or use.collected) and not use.needed and not use.uploading
