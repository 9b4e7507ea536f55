"""`headrace models settings`: how batches of a version are formed, shown and changed while it serves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import route_pb2

from headrace_client.cli.failures import NOT_SERVING
from headrace_client.cli.options import connected, reason_option, request_id_option, timeout_option
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.cli.values import Duration, NumberPair
from headrace_client.cli.versions import named_version, version_arguments
from headrace_client.client import Client
from headrace_client.operations.registration import Serving, serving_settings

_POLL_S = 0.2
_READY = route_pb2.BatcherVersion.STATE_READY

Batchers = list[tuple[route_pb2.Batcher, route_pb2.BatcherVersion]]


@click.command()
@version_arguments
@click.option("--max-batch-rows", type=click.IntRange(1), help="Most rows in one execution.")
@click.option("--preferred-batch-rows", type=click.IntRange(1), multiple=True, help="Batch size to prefer; repeat.")
@click.option("--max-wait", type=Duration(), help="Longest wait for batch-mates while busy.")
@click.option("--instances", type=click.IntRange(1), help="Copies of the model in one backend.")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where it runs.")
@click.option("--warm/--no-warm", default=None, help="Whether it stays in memory without requests.")
@click.option(
    "--pad-to", type=click.IntRange(1), multiple=True, help="Size that dimensions which vary are padded to; repeat."
)
@click.option("--pad-with", type=NumberPair(), multiple=True, help="INPUT=VALUE of the padding; default 0; repeat.")
@click.option("--no-padding", is_flag=True, help="Let only rows of one size share a batch.")
@click.option("--dry-run", is_flag=True, help="Check, show what there would be, and change nothing.")
@click.option("--etag", default="", help="Fail if the model changed since this etag was read.")
@click.option("--no-wait", is_flag=True, help="Return when the registry has it.")
@timeout_option
@reason_option
@request_id_option
@connected
def settings(
    client: Client,
    output: Output,
    model: str,
    version: str | None,
    max_batch_rows: int | None,
    preferred_batch_rows: tuple[int, ...],
    max_wait: timedelta | None,
    instances: int | None,
    device: str | None,
    warm: bool | None,
    pad_to: tuple[int, ...],
    pad_with: tuple[tuple[str, float], ...],
    no_padding: bool,
    dry_run: bool,
    etag: str,
    no_wait: bool,
    timeout: timedelta,
    reason: str,
    request_id: str,
) -> None:
    """Show how batches of VERSION of MODEL are formed, or change it while the version serves.

    What is not given stays. The version stays the same: no new version, the same digest. Smaller batches, other
    preferred sizes and waits count at once; for larger batches, instances and devices the backend loads the model again
    beside the one that answers. Exit code 7 means changed, and not taken by every batcher that serves it yet.

    --pad-to lets rows of different sizes share a batch: for models that answer a row alike with padding behind it.

    \b
    Examples:
      headrace models settings digits@v1
      headrace models settings digits@v1 --max-batch-rows 64 --max-wait 2ms --reason "more load"
      headrace models settings digits@v1 --instances 2 --dry-run
      headrace models settings words@v1 --pad-to 32 --pad-to 128 --pad-with ids=1
    """
    model, version = named_version(model, version)
    if no_padding and (pad_to or pad_with):
        raise click.UsageError("--no-padding excludes --pad-to and --pad-with")
    padded_to = () if no_padding else pad_to or None
    declared = serving_settings(
        Serving(
            *(max_batch_rows, preferred_batch_rows, max_wait, instances, device, warm),
            pad_to=padded_to,
            pad_with=dict(pad_with),
        )
    )
    if not declared.ByteSize():
        _show(output, client.versions.get(model, version), serving_batchers(client, model, version))
        return
    done = client.versions.update_serving(
        model, version, declared, etag=etag, reason=reason, validate_only=dry_run, request_id=request_id
    ).version
    if dry_run or no_wait:
        _show(output, done, None)
        if dry_run:
            output.note("[dim]nothing changed (--dry-run)[/]")
        return
    with output.waiting(f"waiting until settings {done.serving_revision} are in force"):
        taken, serving = await_settings(client, model, version, done.serving_revision, timeout.total_seconds())
    _show(output, done, serving, taken=taken)
    if not taken:
        click.get_current_context().exit(NOT_SERVING)


def await_settings(client: Client, model: str, version: str, revision: int, timeout_s: float) -> tuple[bool, Batchers]:
    """Return whether every batcher that serves a version does so by settings of that number, or later ones, and these
    batchers, after waiting for that."""
    give_up = time.monotonic() + timeout_s
    while True:
        serving = serving_batchers(client, model, version)
        taken = all(held.serving_revision >= revision for _, held in serving)
        if taken or time.monotonic() > give_up or all(held.reason for _, held in serving):
            return taken, serving
        time.sleep(_POLL_S)


def serving_batchers(client: Client, model: str, version: str) -> Batchers:
    """Return the batchers that serve a version, with what each says of it."""
    return [
        (batcher, held)
        for batcher in client.routes.list_batchers()
        for held in batcher.versions
        if (held.model, held.version) == (model, version) and held.state == _READY and held.wanted
    ]


def _padding(padding: registry_pb2.ServingSettings.Padding) -> str:
    if not padding.sizes:
        return "none"
    values = [f"{shown(name)} with {value:g}" for name, value in sorted(padding.values.items())]
    return "; ".join([", ".join(map(str, padding.sizes)), *values])


def _show(
    output: Output,
    version: registry_pb2.ModelVersion,
    serving: Sequence[tuple[route_pb2.Batcher, route_pb2.BatcherVersion]] | None,
    *,
    taken: bool | None = None,
) -> None:
    if output.as_json:
        document: dict[str, Any] = {"version": message_json(version)}
        if serving is not None:
            document["batchers"] = [
                {"process": batcher.process, "pool": batcher.pool, "serving_revision": held.serving_revision}
                for batcher, held in serving
            ]
        if taken is not None:
            document["in_force"] = taken
        output.document(document)
        return
    settings = version.serving
    device = registry_pb2.ServingSettings.Device.Name(settings.device).removeprefix("DEVICE_").lower()
    output.facts(
        [
            ("revision", str(version.serving_revision)),
            ("max batch rows", str(settings.max_batch_rows)),
            ("preferred", ", ".join(map(str, settings.preferred_batch_rows)) or "none"),
            ("max wait", f"{settings.max_wait.ToMicroseconds() / 1000:g} ms"),
            ("instances", str(settings.instances)),
            ("device", "where the pool runs" if device == "unspecified" else device),
            ("warm", "always in memory" if settings.warm else "while it is asked for"),
            ("padded to", _padding(settings.padding)),
        ]
    )
    if not serving:
        if serving is not None:
            output.note("[dim]no batcher serves it now: it will be served so[/]")
        return
    output.say("")
    output.table(
        ("batcher", "pool", "serves by revision", "why"),
        [
            (shown(batcher.process), shown(batcher.pool), str(held.serving_revision), shown(held.reason))
            for batcher, held in serving
        ],
    )
    if taken is False:
        output.note("[yellow]not taken by every batcher yet[/]: the reason stands beside it, or it is still loading")
