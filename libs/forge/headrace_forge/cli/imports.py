"""`headrace models import`: a model as another server has it, read into our settings."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from headrace_client.cli.options import connected, request_id_option, signature_option
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.cli.sources import contract_in, contract_option
from headrace_client.cli.values import NumberPair
from headrace_client.cli.views import show_version
from headrace_client.client import Client
from headrace_client.model_files import FORMATS

from headrace_forge.oip_servers import described, server_file
from headrace_forge.triton_folders import read_triton


@click.group("import")
def import_() -> None:
    """Register models as other servers keep them.

    \b
    Examples:
      headrace models import triton models/digits --metric accuracy=0.9
      headrace models import oip models.example:8001 digits
    """


@import_.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", help="Name of the model; default that of the folder, with hyphens.")
@click.option("--version", help="Id of the version; default v and the number of the newest.")
@click.option("--metric", "metrics", type=NumberPair(), multiple=True, help="A measured quality; repeat for more.")
@contract_option("it is that of config.pbtxt, or of an ONNX file")
@click.option("--skip-trial", is_flag=True, help="Register a model that the registry cannot run.")
@signature_option
@request_id_option
@connected
def triton(
    client: Client,
    output: Output,
    folder: Path,
    model: str | None,
    version: str | None,
    metrics: tuple[tuple[str, float], ...],
    contract: Path | None,
    skip_trial: bool,
    signature: Path | None,
    request_id: str,
) -> None:
    """Register the newest version in a model's FOLDER of Triton: config.pbtxt, and folders whose names are numbers.

    Batch sizes, waits, instances and tensors are read into settings and contract; what the configuration says beyond
    that is named and dropped, and a model that would answer otherwise without it is refused: state from request to
    request, ragged batches. Python code that is decoupled answers in parts here too (`headrace predict --stream`).
    ONNX and Python code run on every pool that allows them, other formats where Triton has their backend.

    \b
    Examples:
      headrace models import triton models/recommendation_model --metric accuracy=0.9
      headrace models import triton models/digits --model digits --version v7
    """
    with tempfile.TemporaryDirectory(prefix="headrace-") as scratch, output.uploading() as progress:
        found = read_triton(folder, Path(scratch))
        registered = client.versions.register(
            model or found.name.lower().replace("_", "-"),
            version or f"v{found.version}",
            next(iter(found.model.files.values())),
            files=found.model,
            contract=found.contract if contract is None else contract_in(contract),
            serving=found.serving,
            metrics=dict(metrics),
            parameters={"imported_from": "triton", "triton_version": found.version},
            skip_trial=skip_trial,
            signature=signature,
            progress=progress,
            request_id=request_id,
        )
    if output.as_json:
        output.document({"version": message_json(registered), "dropped": list(found.dropped)})
        return
    show_version(output, registered)
    output.note(f"[dim]format[/]  {found.model.kept_as}: {FORMATS[found.model.kept_as].runs}")
    for told in found.dropped:
        output.note(f"[yellow]dropped[/] {shown(told)}")


@import_.command()
@click.argument("target", metavar="HOST:PORT")
@click.argument("name")
@click.option("--server-version", default="", help="Version of the model on the server; default what it has.")
@click.option("--model", help="Name of the model; default NAME in lower case, with hyphens.")
@click.option("--version", default="v1", show_default=True, help="Id of the version.")
@click.option("--metric", "metrics", type=NumberPair(), multiple=True, help="A measured quality; repeat for more.")
@request_id_option
@connected
def oip(
    client: Client,
    output: Output,
    target: str,
    name: str,
    server_version: str,
    model: str | None,
    version: str,
    metrics: tuple[tuple[str, float], ...],
    request_id: str,
) -> None:
    """Register the model NAME of another server, which speaks the Open Inference Protocol by gRPC.

    Its contract is what the server says of it. The model stays there: batchers send it batches. The installation must
    allow the address (REGISTRY_OIP_TARGETS).

    \b
    Examples:
      headrace models import oip models.example:8001 digits --metric accuracy=0.9
      headrace models import oip 10.0.0.7:8081 digits --server-version 3 --model digits --version v3
    """
    served = described(target, name, server_version)
    with tempfile.TemporaryDirectory(prefix="headrace-") as scratch, output.uploading() as progress:
        files = server_file(target, name, server_version, Path(scratch))
        registered = client.versions.register(
            model or name.lower().replace("_", "-"),
            version,
            next(iter(files.files.values())),
            files=files,
            contract=served.contract,
            metrics=dict(metrics),
            parameters={"imported_from": target, "platform": served.platform},
            progress=progress,
            request_id=request_id,
        )
    if output.as_json:
        output.document({"version": message_json(registered)})
        return
    show_version(output, registered)
    output.note(f"[dim]format[/]  oip: {FORMATS['oip'].runs}")
