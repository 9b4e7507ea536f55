"""What data planes and batchers that watch receive."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from headrace.router.v1 import control_pb2, route_pb2

from headrace_router.buckets import salt_of
from headrace_router.control.decisions.demand import Wanted
from headrace_router.control.decisions.fallback_steps import Backup
from headrace_router.control.decisions.stored_answers import StoredAnswers
from headrace_router.control.messages import lookups
from headrace_router.control.messages.answers import condition_to_proto, origin_to_proto, timestamp
from headrace_router.control.storage.store import Entry


def table_to_proto(
    entry: Entry, resolved: Mapping[str, bytes], without: Collection[str] = ()
) -> control_pb2.RouteTable:
    """Return the table of an entry.

    resolved: encoded versions by digest; all that the table names are there. without: steps that do not fit them.
    """
    generation = entry.generation
    assert generation is not None
    table = generation.table
    positions = {variant.name: position for position, variant in enumerate(table.variants)}
    proto = control_pb2.RouteTable(
        model=entry.model,
        generation=entry.number,
        salt=salt_of(entry.salt, table.layer),
        unit=route_pb2.Route.Unit.Name(table.unit),
        registry_epoch=generation.epoch,
        variants=[control_pb2.ResolvedVariant(name=v.name, digest=v.digest, pool=v.pool) for v in table.variants],
        ranges=[control_pb2.BucketRange(end=one.end, variant=positions[one.variant]) for one in table.ranges],
        rules=[
            control_pb2.ResolvedRule(
                name=rule.name,
                conditions=[condition_to_proto(one) for one in rule.conditions],
                variant=positions[rule.variant],
            )
            for rule in table.rules
        ],
    )
    for digest in table.digests:
        proto.versions.append(control_pb2.ResolvedVersion.FromString(resolved[digest]))
        proto.stored_answers.append(_kept_to_proto(digest, generation.kept.get(digest, StoredAnswers())))
    if table.max_wait_us is not None:
        proto.max_wait.FromMicroseconds(table.max_wait_us)
    if table.lookup is not None:
        proto.lookup.CopyFrom(lookups.lookup_to_proto(table.lookup))
    if table.hedging is not None:
        proto.hedging.CopyFrom(lookups.hedging_to_proto(table.hedging))
    if table.shadowing is not None:
        proto.shadowing.variant = positions[table.shadowing.variant]
        proto.shadowing.share = table.shadowing.share
        proto.shadowing.keeps_answers = table.shadowing.keeps
    backups = {backup.step: backup for backup in table.backups}
    proto.fallback.extend(
        lookups.resolved_step_to_proto(step, backups.get(step.name))
        for step in table.fallback
        if step.name not in without and (step.name in backups or not isinstance(step.source, Backup))
    )
    return proto


def demand_to_proto(
    wanted: tuple[Wanted, ...], resolved: Mapping[str, bytes], incarnation: str
) -> control_pb2.WatchDemandResponse:
    """Return the whole demand on a pool."""
    response = control_pb2.WatchDemandResponse(incarnation=incarnation)
    for one in wanted:
        response.versions.add(
            version=control_pb2.ResolvedVersion.FromString(resolved[one.digest]),
            need=control_pb2.WantedVersion.Need.Value(f"NEED_{one.need.name}"),
            change=str(one.change or ""),
        )
    return response


def _kept_to_proto(digest: str, kept: StoredAnswers) -> control_pb2.StoredAnswers:
    return control_pb2.StoredAnswers(
        digest=digest,
        cache_epoch=kept.cache_epoch,
        precomputed_generation=kept.precomputed_generation,
        precomputed_expire_time=timestamp(kept.expires_at) if kept.expires_at is not None else None,
        precomputed_origin=origin_to_proto(kept.origin, digest),
    )
