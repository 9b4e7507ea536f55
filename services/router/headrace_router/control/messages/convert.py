"""From messages to the control plane's own types: what cannot be read is refused by field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2, route_pb2
from headrace_servicekit.errors import FieldViolation, InvalidArgument, PermissionDenied, refuse
from headrace_servicekit.identity import Identity

from headrace_router.control.decisions.assignment import Subject
from headrace_router.control.decisions.names import Serves, is_manager, is_name
from headrace_router.control.decisions.resolve import PipelineMember, Registered
from headrace_router.control.decisions.routes import DEFAULT_POOL, Route, Unit, Variant, violations
from headrace_router.control.decisions.states import Writer
from headrace_router.control.messages import lookups
from headrace_router.control.storage.store import StoredVersion
from headrace_router.rules import Rule, condition_of

MAX_REASON_CHARS = 1000
MAX_REQUEST_ID_CHARS = 128
MAX_ID_CHARS = 253
MAX_EXAMPLES = 1000
LONGEST_LEASE = timedelta(hours=1)

DEFAULT_MAX_BATCH_ROWS = 32
DEFAULT_PREFERRED_BATCH_ROWS = (8, 16, 32)
DEFAULT_MAX_WAIT_NS = 5_000_000
DEFAULT_INSTANCES = 1

_ONNX, _FUSED = registry_pb2.Artifact.TYPE_ONNX, "model.onnx"

_UNITS = frozenset(int(unit) for unit in Unit)

_ROUTE_NAME = re.compile(r"routes/([^/]+)")


def model_of_route(name: str, field: str = "name") -> str:
    """Return the model of `routes/{model}`. Raises InvalidArgument naming the field."""
    found = _ROUTE_NAME.fullmatch(name)
    if found is None or not is_name(found.group(1)):
        raise invalid(field, f"'{name}' is not routes/{{model}} with a model of lower-case words joined by hyphens")
    return found.group(1)


def text(value: str, field: str, longest: int) -> str:
    """Return a text that can be stored and is not too long. Raises InvalidArgument naming the field."""
    if len(value) > longest:
        raise invalid(field, f"{len(value)} characters; at most {longest} are allowed")
    if "\0" in value:
        raise invalid(field, "has a NUL character, which cannot be stored")
    return value


def identifier(value: str, field: str) -> str:
    """Return an id that a process chose for itself. Raises InvalidArgument naming the field."""
    if not value:
        raise invalid(field, "must not be empty")
    return text(value, field, MAX_ID_CHARS)


def route_from_proto(proto: route_pb2.Route) -> Route:
    """Return a declared route. Raises InvalidArgument with everything that is wrong with it, by field."""
    model = model_of_route(proto.name, "route.name")
    wrong: list[FieldViolation] = []
    unit = Unit.ANY
    if proto.unit in _UNITS:
        unit = Unit(proto.unit)
    else:
        wrong.append(FieldViolation("route.unit", f"{proto.unit} is not a unit"))
    for position, variant in enumerate(proto.variants):
        if variant.WhichOneof("serves") is None:
            needs = "needs one of version, follow_production and follow_alias"
            wrong.append(FieldViolation(f"route.variants[{position}]", needs))
        elif variant.WhichOneof("serves") == "follow_production" and not variant.follow_production:
            wrong.append(FieldViolation(f"route.variants[{position}].follow_production", "can only be true"))
    route = Route(
        model,
        tuple(_variant_from_proto(one) for one in proto.variants),
        unit,
        proto.max_wait.ToMicroseconds() if proto.HasField("max_wait") else None,
        rules=tuple(_rules_from_proto(proto.rules, wrong)),
        lookup=lookups.lookup_of(proto, wrong),
        fallback=tuple(lookups.fallback_of(proto, wrong)),
        hedging=lookups.hedging_of(proto),
        shadowing=lookups.shadowing_of(proto),
        layer=proto.layer,
    )
    # What is said of an item is not said of its list again: "no conditions" where one cannot be read.
    reported = {one.field for one in wrong} | {one.field.rpartition("[")[0] for one in wrong}
    wrong += [one for one in violations(route) if one.field not in reported]
    refuse(wrong, reason="ROUTE_INVALID")
    return route


def registered_from_proto(message: registry_pb2.WatchModelsResponse) -> Registered:
    """Return what the registry says of one model."""
    model = message.model
    name = _last(model.name)
    return Registered(
        model=name,
        incarnation=message.incarnation,
        epoch=model.epoch,
        production=model.production_version,
        aliases=dict(model.aliases),
        # What was collected has no files any more: nothing can serve it, and its stored answers are removed.
        versions={_last(one.name): one.digest for one in message.versions if not one.HasField("collect_time")},
        members={
            one.digest: _members(name, one)
            for one in message.versions
            if one.HasField("pipeline") and not one.pipeline.fuse and not one.HasField("collect_time")
        },
        earlier=tuple(model.rollback_versions),
        max_unpromoted_share=model.max_unpromoted_share if model.HasField("max_unpromoted_share") else None,
    )


def _members(model: str, version: registry_pb2.ModelVersion) -> tuple[PipelineMember, ...]:
    """Return what the steps of a pipeline run, and in which pools; each once."""
    refs = {one.digest: (_model_of(one), _last(one.name)) for one in version.members}
    pools = dict.fromkeys((step.digest, step.pool) for step in version.pipeline.steps)
    named = [(digest, pool, *refs[digest]) for digest, pool in pools if digest in refs]
    return tuple(PipelineMember("" if of == model else of, id_, digest, pool) for digest, pool, of, id_ in named)


def stored_versions(message: registry_pb2.WatchModelsResponse) -> list[StoredVersion]:
    """Return the versions of a model as data planes and batchers get them."""
    # Members come with their pipeline: its own graphs are no versions of a model, and word of other models may be late.
    versions = [
        one for version in message.versions for one in (version, *(() if version.pipeline.fuse else version.members))
    ]
    return [_stored(one) for one in versions]


def _stored(version: registry_pb2.ModelVersion) -> StoredVersion:
    resolved = resolved_version(version)
    encoded, revision = resolved.SerializeToString(), resolved.serving_revision
    return StoredVersion(version.digest, _model_of(version), _last(version.name), encoded, revision)


def resolved_version(version: registry_pb2.ModelVersion) -> control_pb2.ResolvedVersion:
    """Return one version with every default of its serving settings filled in."""
    # A fused pipeline is run like any model: by its one file.
    stepwise, fused = version.HasField("pipeline") and not version.pipeline.fuse, version.pipeline.fuse
    resolved = control_pb2.ResolvedVersion(
        model=_model_of(version),
        version=_last(version.name),
        digest=version.digest,
        contract=version.contract,
        signature_hash=version.signature_hash,
        serving=version.serving,
        artifacts=[one for one in version.artifacts if not fused or one.type != _ONNX or one.name == _FUSED],
        format=version.format,
        pipeline=version.pipeline if stepwise else None,
        members=[resolved_version(one) for one in version.members] if stepwise else (),
        serving_revision=version.serving_revision or 1,
    )
    serving = resolved.serving
    serving.max_batch_rows = serving.max_batch_rows or DEFAULT_MAX_BATCH_ROWS
    if not serving.preferred_batch_rows:
        rows = serving.max_batch_rows
        serving.preferred_batch_rows.extend(size for size in DEFAULT_PREFERRED_BATCH_ROWS if size <= rows)
    if not serving.HasField("max_wait"):
        serving.max_wait.FromNanoseconds(DEFAULT_MAX_WAIT_NS)
    serving.instances = serving.instances or DEFAULT_INSTANCES
    return resolved


def writer_from_proto(request: route_pb2.UpdateRouteRequest, caller: Identity) -> Writer:
    """Return who declares a route, and why. Raises InvalidArgument naming the field, and PermissionDenied."""
    manager = manager_of(request.manager)
    if manager and not caller.internal:
        raise PermissionDenied(
            f"only a service writes for {manager}: leave `manager` out, and set `force` to take the route",
            reason="MANAGER_NOT_YOURS",
        )
    if request.release and not manager:
        raise invalid("release", "only a manager lets a route go: name it in `manager`")
    return Writer(caller.client, text(request.reason, "reason", MAX_REASON_CHARS), manager, force=request.force)


def manager_of(manager: str) -> str:
    """Return on whose behalf a route is written, empty for a person. Raises InvalidArgument."""
    if manager and not is_manager(manager):
        raise invalid("manager", f"'{manager}' is neither rollouts/{{id}} nor experiments/{{id}}")
    return manager


def subjects_from_proto(examples: Sequence[Any]) -> list[Subject]:
    """Return the examples of a dry run. Raises InvalidArgument when there are too many."""
    if len(examples) > MAX_EXAMPLES:
        raise invalid("examples", f"{len(examples)} examples; at most {MAX_EXAMPLES} are allowed")
    return [subject_from_proto(example) for example in examples]


def subject_from_proto(message: Any) -> Subject:
    """Return what assignment looks at in an AssignUnitRequest or an example of a dry run."""
    return Subject(message.user_id, message.entity_id, dict(message.attributes))


def name(text_given: str, field: str) -> str:
    """Return the id of a model or version. Raises InvalidArgument naming the field."""
    if not is_name(text_given):
        raise invalid(field, f"'{text_given}' must be lower-case words joined by single hyphens")
    return text_given


def ttl(duration: Duration) -> timedelta:
    """Return how long a lease is to last. Raises InvalidArgument."""
    lasting_s = duration.seconds + duration.nanos / 1e9
    if not 0 <= lasting_s <= LONGEST_LEASE.total_seconds():
        raise invalid("ttl", f"must be between 0 s and {LONGEST_LEASE.total_seconds():g} s")
    return timedelta(seconds=lasting_s)


def pool_of(pool: str) -> str:
    """Return a pool's name; empty means the default one. Raises InvalidArgument."""
    if pool and not is_name(pool):
        raise invalid("pool", f"'{pool}' must be lower-case words joined by single hyphens")
    return pool or DEFAULT_POOL


def _variant_from_proto(proto: route_pb2.Variant) -> Variant:
    kinds = {"version": Serves.VERSION, "follow_alias": Serves.ALIAS}
    chosen: Any = proto.WhichOneof("serves")
    serves = kinds.get(chosen, Serves.PRODUCTION)
    target = {Serves.VERSION: proto.version, Serves.ALIAS: proto.follow_alias}.get(serves, "")
    return Variant(proto.name, serves, target, proto.weight, proto.pool or DEFAULT_POOL)


def _rules_from_proto(protos: Sequence[route_pb2.Rule], wrong: list[FieldViolation]) -> Iterator[Rule]:
    """Yield rules, without the conditions that ask nothing: those are added to what is wrong."""
    for position, rule in enumerate(protos):
        conditions = []
        for number, condition in enumerate(rule.conditions):
            try:
                conditions.append(condition_of(condition))
            except ValueError:
                needs = "needs one of equals, any_of, none_of, prefix and present"
                wrong.append(FieldViolation(f"route.rules[{position}].conditions[{number}]", needs))
        yield Rule(rule.name, tuple(conditions), rule.variant)


def _model_of(version: registry_pb2.ModelVersion) -> str:
    """Return the model in `models/{model}/versions/{version}`."""
    return version.name.split("/")[1]


def _last(name: str) -> str:
    """Return the id at the end of a resource name."""
    return name.rpartition("/")[2]


def invalid(field: str, description: str) -> InvalidArgument:
    """Return the error for a field."""
    return InvalidArgument(f"{field}: {description}", violations=[FieldViolation(field, description)])
