"""Models, versions and routes as rows and facts that people read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import route_pb2
from headrace.tensor.v1 import tensor_pb2

from headrace_client.cli.lookup_views import hedging_text, lookup_text, parts, shadowing_text, show_fallback
from headrace_client.cli.output import Output, last, number, shown, when
from headrace_client.rules import Rule
from headrace_client.served_shares import percent

# Those of the registry's default gates, which no answer of its API lists.
DEFAULT_METRICS = ("accuracy", "latency_p99_ms")
_STAGE_STYLE = {
    registry_pb2.ModelVersion.STAGE_PRODUCTION: "green",
    registry_pb2.ModelVersion.STAGE_STAGING: "yellow",
    registry_pb2.ModelVersion.STAGE_ARCHIVED: "dim",
}


def stage(value: registry_pb2.ModelVersion.Stage) -> str:
    """Return a stage in lower case, coloured."""
    name = registry_pb2.ModelVersion.Stage.Name(value).removeprefix("STAGE_").lower()
    style = _STAGE_STYLE.get(value)
    return f"[{style}]{name}[/]" if style else name


def _marked(text: str, mark: str) -> str:
    return f"{text} [yellow]({mark})[/]" if mark else text


def metric(item: registry_pb2.Metric) -> str:
    """Return `accuracy=0.97`, with a mark when Headrace measured it."""
    measured = " (measured)" if item.source == registry_pb2.Metric.SOURCE_MEASURED else ""
    return f"{item.name}={number(item.value)}{measured}"


def gate(item: registry_pb2.PromotionGate) -> str:
    """Return a gate as it is typed."""
    kind = item.WhichOneof("bound") or "maximum"
    side, _, relation = kind.partition("_")
    value = getattr(item, kind)
    if relation == "ratio":
        bound = f"{number(value)}*production"
    elif relation == "delta":
        bound = "production" + (f"{'+' if value > 0 else ''}{number(value)}" if value else "")
    else:
        bound = number(value)
    sign = ">=" if side == "minimum" else "<="
    return f"{item.metric}{sign}{bound}{'@measured' if item.measured_only else ''}"


def gates(model: registry_pb2.Model) -> str:
    """Return the gates of a model in a line."""
    if not model.HasField("promotion_policy"):
        return "accuracy>=0.85, latency_p99_ms<=100 (default)"
    return ", ".join(gate(item) for item in model.promotion_policy.gates) or "none"


def unpromoted(model: registry_pb2.Model) -> str:
    """Return which share of the traffic versions may get that are not promoted; empty for any."""
    share = model.max_unpromoted_share if model.HasField("max_unpromoted_share") else 1.0
    return f"at most {percent(share)} of the traffic by splits and experiments" if share < 1 else ""


def without_value(model: registry_pb2.Model, version: registry_pb2.ModelVersion) -> list[str]:
    """Return the metrics that the gates ask of who registers a version of the model, and this one does not have."""
    declared = [gate.metric for gate in model.promotion_policy.gates if not gate.measured_only]
    asked = declared if model.HasField("promotion_policy") else DEFAULT_METRICS
    known = {metric.name for metric in version.metrics}
    return [name for name in dict.fromkeys(asked) if name not in known]


def tensor(spec: tensor_pb2.TensorSpec) -> str:
    """Return `image FP32[rows, 64]`."""
    shape = ", ".join(["rows", *("any" if size < 0 else str(size) for size in spec.shape)])
    notes = [note for note, applies in (("optional", spec.optional), ("may be NaN", spec.nan_allowed)) if applies]
    return f"{spec.name} {spec.datatype}\\[{shape}]" + (f" ({', '.join(notes)})" if notes else "")


def _task(task: tensor_pb2.ServingContract.Task) -> str:
    known = task != tensor_pb2.ServingContract.TASK_UNSPECIFIED
    return tensor_pb2.ServingContract.Task.Name(task).removeprefix("TASK_").lower() if known else "not known"


def _pipeline(version: registry_pb2.ModelVersion) -> str:
    steps = len(version.pipeline.steps)
    of = version.name.split("/")[1]
    return f"{steps} steps: headrace models graph {of} {last(version.name)}" if steps else ""


def _batches(version: registry_pb2.ModelVersion) -> str:
    rows, contract = version.serving.max_batch_rows, version.contract
    if rows == 1 and any(spec.batch_dimension for spec in (*contract.inputs, *contract.outputs)):
        return "none: the model file has no free first dimension, so rows are executed one at a time"
    return f"up to {rows} rows" if rows else ""


def show_model(
    output: Output,
    model: registry_pb2.Model,
    versions: list[registry_pb2.ModelVersion],
    marks: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Print a model and its versions. marks: what is to be said of versions whose stage and traffic differ."""
    aliases = ", ".join(f"{alias} → {version}" for alias, version in sorted(model.aliases.items()))
    output.facts(
        [
            ("model", last(model.name)),
            ("about", shown(model.description)),
            ("production", model.production_version or "none yet"),
            ("gates", gates(model)),
            ("not promoted", unpromoted(model)),
            ("aliases", aliases),
            ("changed", f"{when(model.update_time)} (epoch {model.epoch})"),
        ]
    )
    output.say("")
    output.table(
        ("version", "stage", "metrics", "registered", "by"),
        [
            (
                last(version.name),
                _marked(stage(version.stage), marks.get(last(version.name), "")),
                " ".join(metric(item) for item in version.metrics),
                when(version.create_time),
                shown(version.created_by),
            )
            for version in versions
        ],
    )


def show_version(
    output: Output, version: registry_pb2.ModelVersion, executed: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> None:
    """Print everything of a version. executed: where each batcher does that, and why."""
    lineage = version.lineage
    sources = {
        "parent": lineage.parent_version,
        "run": lineage.run,
        "data": lineage.dataset,
        "code": lineage.code_revision,
    }
    output.facts(
        [
            ("version", f"{last(version.name)} of {version.name.split('/')[1]}"),
            ("about", shown(version.description)),
            ("stage", stage(version.stage)),
            ("inputs", ", ".join(tensor(spec) for spec in version.contract.inputs)),
            ("outputs", ", ".join(tensor(spec) for spec in version.contract.outputs)),
            ("answers", "in parts: ask with --stream" if version.contract.decoupled else ""),
            ("task", _task(version.contract.task)),
            ("metrics", ", ".join(metric(item) for item in version.metrics)),
            ("parameters", shown(", ".join(f"{key}={value}" for key, value in sorted(version.parameters.items())))),
            ("made from", shown(", ".join(f"{key} {value}" for key, value in sources.items() if value))),
            ("pipeline", _pipeline(version)),
            ("batches", _batches(version)),
            *(
                ("executed", shown(f"{one['where']} by {batcher}: {one['why']}"))
                for batcher, one in sorted(executed.items())
            ),
            ("digest", version.digest),
            ("registered", f"{when(version.create_time)} by {shown(version.created_by)}"),
            ("files gone", when(version.collect_time) if version.HasField("collect_time") else ""),
        ]
    )
    output.say("")
    output.table(
        ("artifact", "bytes", "sha256"),
        [(artifact.name, f"{artifact.size_bytes:,}", artifact.sha256) for artifact in version.artifacts],
    )


def serves(variant: route_pb2.Variant) -> str:
    """Return what a variant names or follows, and what that is now."""
    kind = variant.WhichOneof("serves")
    if kind == "version":
        return variant.version
    followed = "production" if kind == "follow_production" else f"@{variant.follow_alias}"
    return f"{followed} → {variant.serving_version or 'nothing'}"


def state(status: route_pb2.RouteStatus) -> str:
    """Return the state of a route in lower case, coloured."""
    name = route_pb2.RouteStatus.State.Name(status.state).removeprefix("STATE_").lower().replace("_", " ")
    style = {"active": "green", "pending": "yellow", "not serving": "red"}.get(name)
    return f"[{style}]{name}[/]" if style else name


def show_route(output: Output, route: route_pb2.Route, status: route_pb2.RouteStatus) -> None:
    """Print a route as declared and what is in force."""
    unit = route_pb2.Route.Unit.Name(route.unit).removeprefix("UNIT_").lower()
    declared = f"{when(route.update_time)} by {shown(route.updated_by)}" if route.etag else "never: follows production"
    generation = f"{status.generation} since {when(status.active_time)}" if status.generation else "none yet"
    output.facts(
        [
            ("route", last(route.name)),
            ("state", state(status)),
            ("why", shown(status.reason)),
            ("generation", generation),
            ("unit", "user, else entity, else request" if unit == "unspecified" else unit),
            ("layer", route.layer),
            ("declared", declared),
            ("managed by", route.managed_by),
            ("lookup", lookup_text(route)),
            ("hedging", hedging_text(route)),
            ("shadow", shown(shadowing_text(route))),
            ("not acknowledged", ", ".join(status.unacknowledged_data_planes)),
        ]
    )
    output.say("")
    total = sum(variant.weight for variant in route.variants) or 1.0
    output.table(
        ("variant", "serves", "share", "pool"),
        [
            (variant.name, serves(variant), f"{100 * variant.weight / total:.4g} %", variant.pool or "default")
            for variant in route.variants
        ],
    )
    show_rules(output, route)
    show_fallback(output, route)


def show_rules(output: Output, route: route_pb2.Route) -> None:
    """Print the rules of a route in their order, as they are typed; nothing when there are none."""
    if route.rules:
        output.say("")
        output.table(("rule, tried in this order", "then"), [_rule_cells(rule, route) for rule in route.rules])


def _rule_cells(proto: route_pb2.Rule, route: route_pb2.Route) -> tuple[str, str]:
    serving = {variant.name: serves(variant) for variant in route.variants}
    version = serving.get(proto.variant, "")
    return shown(str(Rule.from_proto(proto))), "" if version == proto.variant else version


def pool_state(version: route_pb2.VersionReadiness) -> str:
    """Return how far a pool is with a version: `v2 on 1/2 batchers of pool default`."""
    counted = f"{version.ready_batchers}/{version.batchers} batchers" if version.batchers else "no batcher"
    why = f": {version.failure}" if version.failure else ""
    return f"{version.version} on {counted} of pool {version.pool}{why}"


def show_status(output: Output, route: route_pb2.Route, status: route_pb2.RouteStatus) -> None:
    """Print how far what is wanted is: batchers by version and pool, data planes by name."""
    generation = f"{status.generation} since {when(status.active_time)}" if status.generation else "none yet"
    behind = status.wanted_registry_epoch != status.registry_epoch
    wanted = f", {status.wanted_registry_epoch} is wanted" if behind else ""
    output.facts(
        [
            ("route", last(route.name)),
            ("state", state(status)),
            ("why", shown(status.reason)),
            ("generation", generation),
            ("registry epoch", f"{status.registry_epoch or 'none'}{wanted}"),
            ("managed by", route.managed_by),
        ]
    )
    output.say("")
    output.table(
        ("version", "pool", "ready", "loading", "failed", "in force", "why"),
        [
            (
                one.version,
                one.pool,
                f"{one.ready_batchers}/{one.batchers}",
                str(one.loading_batchers),
                str(one.failed_batchers),
                "yes" if one.in_force else "not yet",
                shown(one.failure),
            )
            for one in status.versions
        ],
    )
    output.say("")
    output.table(
        ("data plane", "acknowledged", "connected", "last heard of"),
        [
            (
                shown(plane.name),
                "yes" if plane.acknowledged else "[yellow]no[/]",
                "yes" if plane.connected else "[yellow]no[/]",
                when(plane.seen_time),
            )
            for plane in status.data_planes
        ],
    )


def event_line(event: route_pb2.RouteEvent) -> tuple[str, str, str, str, str, str]:
    """Return a line of a route's history: time, action, outcome, client, reason, variants."""
    kinds = {
        route_pb2.RouteEvent.KIND_DECLARED: "declared",
        route_pb2.RouteEvent.KIND_FOLLOWED: "followed the registry",
    }
    outcome = route_pb2.RouteEvent.Outcome.Name(event.outcome).removeprefix("OUTCOME_").lower().replace("_", " ")
    if event.generation:
        outcome = f"generation {event.generation}"
    by = event.client or f"epoch {event.registry_epoch}"
    by += f" for {event.manager}" if event.manager else ""
    by += f", taken from {event.displaced_manager}" if event.displaced_manager else ""
    variants = ", ".join(f"{one.name}={one.weight:g} ({serves(one)})" for one in event.route.variants)
    why = event.reason + (f" ({event.outcome_reason})" if event.outcome_reason else "")
    return (
        when(event.create_time),
        kinds.get(event.kind, "?"),
        outcome,
        shown(by),
        shown(why),
        shown("; ".join([variants, *parts(event.route)])),
    )
