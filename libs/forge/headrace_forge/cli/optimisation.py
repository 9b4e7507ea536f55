"""`headrace models optimise`: smaller and faster forms of a version, measured, and the best one registered."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from headrace.registry.v1 import registry_pb2
from headrace_client.cli.options import connected, request_id_option
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.cli.versions import named_version, version_arguments
from headrace_client.client import Client
from headrace_client.errors import invalid
from headrace_client.model_files import MODEL_FILE
from headrace_client.operations.missing_values import VALIDATION_FILE
from headrace_client.operations.registration import Lineage, Serving
from headrace_client.validation_rows import rows_in

from headrace_forge.optimisation import process, report
from headrace_forge.optimisation.choice import Budgets, Candidate
from headrace_forge.optimisation.picture import picture
from headrace_forge.optimisation.process import MODELS, OPTIONS, Measured, Plan

CALIBRATION_FILE = "calibration.json"


@click.command()
@version_arguments
@click.option("--as", "name", default="", help="Name of the new version; default VERSION-CANDIDATE.")
@click.option("--max-accuracy-drop", type=click.FloatRange(0, 1), default=0.01, show_default=True)
@click.option("--min-speedup", type=click.FloatRange(0), default=1.2, show_default=True)
@click.option("--max-slice-drop", type=click.FloatRange(0, 1), help="Largest drop of accuracy in any slice.")
@click.option("--max-difference", type=click.FloatRange(0), help="Largest difference of any number in any answer.")
@click.option("--max-size-ratio", type=click.FloatRange(0), help="Largest file, as a share of the original's.")
@click.option("--max-calibration-rise", type=click.FloatRange(0, 1), help="Largest rise of the calibration error.")
@click.option(
    "--candidate", "candidates", type=click.Choice([*MODELS, *OPTIONS]), multiple=True, help="Only these; repeat."
)
@click.option("--batch-rows", type=click.IntRange(1, 4096), multiple=True, default=(1, 8, 32), show_default=True)
@click.option("--rounds", type=click.IntRange(3, 100), default=7, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Of one execution.")
@click.option(
    "--rows",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rows to judge by, as validation.json has them; default the version's.",
)
@click.option(
    "--calibration",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rows for static INT8; default the version's calibration.json, else a quarter of the rows.",
)
@click.option("--picture", "picture_file", type=click.Path(dir_okay=False, path_type=Path), help="Write an SVG here.")
@click.option("--dry-run", is_flag=True, help="Measure and choose; register nothing.")
@click.option("--python", help="The Python that has onnx and onnxruntime; default the active virtual environment's.")
@request_id_option
@connected
def optimise(
    client: Client,
    output: Output,
    model: str,
    version: str | None,
    name: str,
    max_accuracy_drop: float,
    min_speedup: float,
    max_slice_drop: float | None,
    max_difference: float | None,
    max_size_ratio: float | None,
    max_calibration_rise: float | None,
    candidates: tuple[str, ...],
    batch_rows: tuple[int, ...],
    rounds: int,
    threads: int,
    rows: Path | None,
    calibration: Path | None,
    picture_file: Path | None,
    dry_run: bool,
    python: str | None,
    request_id: str,
) -> None:
    """Make smaller and faster forms of VERSION of MODEL, measure each beside the original on this machine, and register
    the fastest one that keeps the budgets as a new version.

    The rows are those that the version was registered with (validation.json), with their true labels where it has some.
    A form that answers otherwise is recommended by labels and enough rows for the budget of accuracy, or where
    --max-difference allows as much.
    Every form is written, loaded again from its file and run. Where none is good enough nothing is registered, and the
    exit code is 0.

    \b
    Examples:
      headrace models optimise digits@v1
      headrace models optimise digits@v1 --max-slice-drop 0.05 --picture digits.svg
      headrace models optimise digits@v1 --candidate int8-dynamic --dry-run --json
    """
    model, version = named_version(model, version)
    budgets = Budgets(
        max_accuracy_drop, min_speedup, max_slice_drop, max_difference, max_size_ratio, max_calibration_rise
    )
    plan = Plan(candidates or (*MODELS, *OPTIONS), sorted(set(batch_rows)), rounds, threads=threads)
    original = client.versions.get(model, version)
    if all(artifact.name != MODEL_FILE for artifact in original.artifacts):
        raise invalid(
            "version", f"'{version}' of '{model}' is no ONNX model: there is nothing to make a faster form of"
        )
    with tempfile.TemporaryDirectory(prefix="headrace-") as made:
        files, work = Path(made, "files"), Path(made, "work")
        files.mkdir()
        work.mkdir()
        artifacts = _downloaded(client, model, original, files)
        with output.waiting(f"measuring {len(plan.candidates)} candidates in {plan.rounds} rounds"):
            measured = process.measure(
                artifacts[MODEL_FILE],
                original.contract,
                work,
                rows=_rows(rows or artifacts.get(VALIDATION_FILE)),
                calibration=_rows(calibration or artifacts.get(CALIBRATION_FILE)),
                plan=plan,
                python=python,
            )
        document = report.document(model, version, measured, budgets)
        chosen = next((one for one in measured.candidates if one.name == document["winner"]), None)
        _show(output, document, measured)
        if picture_file is not None:
            front = [one["candidate"] for one in document["quality"] if one["best_of_its_kind"]]
            every = (measured.original, *measured.candidates)
            winner = None if chosen is None else chosen.name
            picture_file.write_text(picture(f"{model} {version}", every, front, winner), encoding="utf-8")
        if chosen is None or dry_run:
            _without_registration(output, document, chosen)
            return
        registered = _register(client, output, original, name, chosen, measured, document, artifacts, work, request_id)
    if output.as_json:
        output.document({"optimisation": document, "registered": message_json(registered)})
        return
    new = registered.name.rsplit("/", 1)[-1]
    output.say(f"[green]registered[/] {model} [bold]{new}[/]: {chosen.name}, {chosen.speedup:.2f} x as fast")
    output.note(f"[dim]next: headrace models promote {model} {new}[/]")


def _downloaded(client: Client, model: str, version: registry_pb2.ModelVersion, folder: Path) -> dict[str, Path]:
    """Return the files of a version, by name: another version of it has the same ones."""
    found = {}
    for artifact in version.artifacts:
        found[artifact.name] = folder / artifact.name
        client.versions.download_artifact(model, version.name.rsplit("/", 1)[-1], artifact.name, found[artifact.name])
    return found


def _rows(path: Path | None) -> process.Rows | None:
    return None if path is None else rows_in(path)


def _register(
    client: Client,
    output: Output,
    original: registry_pb2.ModelVersion,
    name: str,
    chosen: Candidate,
    measured: Measured,
    document: Mapping[str, Any],
    artifacts: Mapping[str, Path],
    work: Path,
    request_id: str,
) -> registry_pb2.ModelVersion:
    _, model, _, version = original.name.split("/")
    tables = work / report.FILE
    tables.write_text(json.dumps(document, indent=1))
    kept = {one: path for one, path in artifacts.items() if one not in (MODEL_FILE, report.FILE)}
    reported = {one.name: one.value for one in original.metrics if one.source == registry_pb2.Metric.SOURCE_REPORTED}
    lineage = original.lineage
    with output.uploading() as progress:
        return client.versions.register(
            model,
            name or f"{version}-{chosen.name}",
            work / f"{chosen.name}.onnx",
            contract=_declared(original),
            metrics=report.metrics_of(chosen, measured, reported),
            parameters={**original.parameters, "optimised_from": version, "optimised_by": chosen.name},
            artifacts={**kept, report.FILE: tables},
            lineage=Lineage(version, lineage.run, lineage.dataset, lineage.code_revision),
            serving=_serving(original.serving),
            description=f"{chosen.name} of {version}, {chosen.speedup:.2f} x as fast",
            # How far a smaller form may be off was judged by its report.
            accept_difference=True,
            progress=progress,
            request_id=request_id,
        )


def _declared(original: registry_pb2.ModelVersion) -> Any:
    """Return the contract of the original as a caller declares it: without what the registry finds by itself."""
    contract = type(original.contract)()
    contract.CopyFrom(original.contract)
    contract.ClearField("example")
    return contract


def _serving(settings: registry_pb2.ServingSettings) -> Serving:
    devices = {registry_pb2.ServingSettings.DEVICE_CPU: "cpu", registry_pb2.ServingSettings.DEVICE_GPU: "gpu"}
    return Serving(
        settings.max_batch_rows,
        tuple(settings.preferred_batch_rows),
        settings.max_wait.ToTimedelta(),
        settings.instances,
        devices.get(settings.device),
        settings.warm,
        tuple(settings.padding.sizes) if settings.HasField("padding") else None,
        dict(settings.padding.values),
    )


def _without_registration(output: Output, document: Mapping[str, Any], chosen: Candidate | None) -> None:
    if output.as_json:
        output.document({"optimisation": document, "registered": None})
    elif chosen is None:
        output.say("[yellow]nothing registered[/]: no candidate keeps the budgets; the original stays the best")
        if missing := sorted({one for row in document["quality"] for one in row["lacks"]}):
            output.note(
                f"[dim]to recommend one that answers otherwise than the original:[/] {shown('; '.join(missing))}. "
                "Give rows with `labels` by --rows, or say how much answers may differ: --max-difference"
            )
    else:
        output.say(f"[green]best[/] {chosen.name}, {chosen.speedup:.2f} x as fast; nothing registered (--dry-run)")


def _show(output: Output, document: Mapping[str, Any], measured: Measured) -> None:
    if output.as_json:
        return
    known = "their labels" if measured.labelled else "the original's answers: the version has no labels"
    kind = "random rows" if measured.generated else "rows"
    output.note(f"[dim]judged[/]  by {measured.judged_rows} {kind}, against {known}")
    output.table(
        ("candidate", "accuracy", "calibration", "worst slice", "largest diff", "size", "speed", "verdict"),
        [_row(one, document["winner"]) for one in document["quality"]],
    )
    output.say("")
    output.table(
        ("candidate", "batch", "p50 ms", "p99 ms", "rows/s", "speed"),
        [
            (
                one["candidate"],
                str(one["batch_rows"]),
                f"{one['p50_ms']:.3f}",
                f"{one['p99_ms']:.3f}",
                f"{one['rows_per_s']:,.0f}",
                f"{one['speedup']:.2f} x",
            )
            for one in document["speed"]
        ],
    )


def _row(one: Mapping[str, Any], winner: str | None) -> tuple[str, ...]:
    if one["problem"]:
        return (one["candidate"], *["-"] * 6, shown(one["problem"]))
    worst = one["worst_slice"]
    slice_ = "-" if worst is None else f"{shown(worst['slice'])}: {worst['original']:.3f} → {worst['candidate']:.3f}"
    difference = one["largest_difference"]
    verdict = "[green]winner[/]" if one["candidate"] == winner else shown("; ".join(one["misses"])) or "kept"
    if one["kind"] == "options" and one["candidate"] != process.ORIGINAL:
        verdict = "how it is run, no file"
    return (
        one["candidate"],
        f"{one['accuracy']:.4f}",
        "-" if one["calibration_error"] is None else f"{one['calibration_error']:.3f}",
        slice_,
        f"{difference:.3g}" if difference is not None and math.isfinite(difference) else "infinite",
        f"{one['size_bytes']:,}",
        f"{one['speedup']:.2f} x",
        "" if one["candidate"] == process.ORIGINAL else verdict,
    )
