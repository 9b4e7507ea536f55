"""`headrace models register`: upload the files, then register the version that names them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2

from headrace_client.cli.failures import as_markup
from headrace_client.cli.options import (
    accept_difference_option,
    connected,
    model_argument,
    request_id_option,
    signature_option,
    version_argument,
)
from headrace_client.cli.output import Output, message_json
from headrace_client.cli.sources import (
    Conversion,
    contract_in,
    contract_option,
    conversion_options,
    source_of,
    with_tensors,
)
from headrace_client.cli.values import Duration, FilePair, NumberPair, Pair
from headrace_client.cli.views import show_version, without_value
from headrace_client.client import Client
from headrace_client.errors import HeadraceError
from headrace_client.operations.registration import Lineage, Serving
from headrace_client.remedies import without_metrics

_TASKS = {
    "classification": tensor_pb2.ServingContract.TASK_CLASSIFICATION,
    "regression": tensor_pb2.ServingContract.TASK_REGRESSION,
    "ranking": tensor_pb2.ServingContract.TASK_RANKING,
}


@click.command()
@model_argument
@version_argument
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--metric", "metrics", type=NumberPair(), multiple=True, help="A measured quality; repeat for more.")
@click.option("--parameter", "parameters", type=Pair(), multiple=True, help="A hyperparameter or other fact.")
@click.option(
    "--artifact", "artifacts", type=FilePair(), multiple=True, help="A further file (.json, .parquet; .py of code)."
)
@contract_option("names, datatypes and shapes come from the model file")
@click.option(
    "--allow-nan",
    metavar="INPUT",
    multiple=True,
    help="An input that may hold NaN; repeat. Those with null in the artifact validation.json may, too.",
)
@click.option("--prediction", default="", help="Output that is the prediction; default the first.")
@click.option("--task", type=click.Choice(list(_TASKS)), help="What the prediction means; default what outputs say.")
@click.option("--label", "labels", multiple=True, help="Name of a class, in the order of the scores; repeat.")
@click.option("--description", default="", help="What is special about this version, in a sentence.")
@click.option("--parent", default="", help="Lineage: version that it was trained from.")
@click.option("--run", default="", help="Lineage: training run.")
@click.option("--dataset", default="", help="Lineage: data set and its revision.")
@click.option("--code-revision", default="", help="Lineage: revision of the training code.")
@click.option("--max-batch-rows", type=click.IntRange(1), help="Most rows in one execution; default 32.")
@click.option("--preferred-batch-rows", type=click.IntRange(1), multiple=True, help="Batch size to prefer; repeat.")
@click.option("--max-wait", type=Duration(), help="Longest wait for batch-mates while busy; default 5ms.")
@click.option("--instances", type=click.IntRange(1), help="Copies of the model in one backend; default 1.")
@click.option("--device", type=click.Choice(["cpu", "gpu"]), help="Where it runs; default where the pool runs.")
@click.option(
    "--skip-trial", is_flag=True, help="Register a model that the registry cannot run: the pool has another runtime."
)
@accept_difference_option
@signature_option
@conversion_options
@request_id_option
@connected
def register(
    client: Client,
    output: Output,
    model: str,
    version: str,
    file: Path,
    metrics: tuple[tuple[str, float], ...],
    parameters: tuple[tuple[str, str], ...],
    artifacts: tuple[tuple[str, Path], ...],
    contract: Path | None,
    allow_nan: tuple[str, ...],
    prediction: str,
    task: str | None,
    labels: tuple[str, ...],
    description: str,
    parent: str,
    run: str,
    dataset: str,
    code_revision: str,
    max_batch_rows: int | None,
    preferred_batch_rows: tuple[int, ...],
    max_wait: timedelta | None,
    instances: int | None,
    device: str | None,
    skip_trial: bool,
    accept_difference: bool,
    signature: Path | None,
    conversion: Conversion,
    request_id: str,
) -> None:
    """Register VERSION of MODEL from a FILE: ONNX, a pipeline (.yaml) with its graphs beside it, or of XGBoost (.json,
    .ubj), LightGBM (.txt), CatBoost (.cbm, .json) or scikit-learn (.skops), or a pickle of any of these, of
    torch.export (.pt2), TorchScript or a SavedModel, which are converted first; or from a folder of MLflow, which is
    one of these. The model is created when it does not exist.

    With --contract TorchScript and a SavedModel are registered as they are, as AOTInductor (.pt2), a TensorRT plan and
    Python code (model.py, or its folder) always are: pools that have their runtime run them.

    A conversion runs in a process of its own, with the packages of the active virtual environment. Its answers are
    compared with the framework's on the artifact validation.json (JSON, CSV, Parquet), or on random rows, and on edge
    cases. With --as-code nothing is converted, and the framework serves it.

    Versions never change. Registering the same content again succeeds and changes nothing. The registry loads the model
    and runs a row through it: of zeros, or of the artifact validation.json where the model fails on zeros. Where that
    file has expected outputs, the model's answers are compared with them.

    \b
    Examples:
      headrace models register digits v1 model.onnx --metric accuracy=0.95 --metric latency_p99_ms=1.5
      headrace models register digits v2 model.onnx --parent v1 --task classification \\
          --prediction label --artifact validation.json=rows.json --max-batch-rows 64 --max-wait 2ms
      headrace models register churn v1 model.onnx --allow-nan income --artifact validation.json=rows.json
      headrace models register ensemble v1 pipeline.yaml --metric accuracy=0.97 --metric latency_p99_ms=4
      headrace models register tumour v1 model.ubj --metric accuracy=0.95
      headrace models register churn v2 model.pkl --trust --artifact validation.json=rows.json
      headrace models register churn v3 mlruns/churn --trust
      headrace models register digits v3 digits.pt2 --trust
      headrace models register digits v4 scripted.pt --trust --artifact validation.json=rows.json
      headrace models register handler v1 handler/ --contract contract.json
      headrace models register handler v2 handler/ --contract contract.json --signature model.sig
    """
    with (
        source_of(output, file, dict(artifacts), conversion, stated=contract is not None) as source,
        output.uploading() as progress,
    ):
        registered = client.versions.register(
            model,
            version,
            source.file,
            contract=with_tensors(_contract(contract, prediction, task, labels), source),
            allow_nan=allow_nan,
            metrics=dict(metrics),
            parameters={**source.parameters, **dict(parameters)},
            artifacts=source.artifacts,
            lineage=Lineage(parent_version=parent, run=run or source.run, dataset=dataset, code_revision=code_revision),
            serving=Serving(max_batch_rows, preferred_batch_rows, max_wait, instances, device),
            description=description,
            skip_trial=skip_trial,
            accept_difference=accept_difference,
            signature=signature,
            kept_as=source.kept_as,
            progress=progress,
            request_id=request_id,
        )
    if output.as_json:
        output.document({"version": message_json(registered)})
        return
    show_version(output, registered)
    if registered.contract.task == tensor_pb2.ServingContract.TASK_UNSPECIFIED:
        output.note(
            "[yellow]no task[/]: the outputs do not tell. Monitoring reads the prediction as a quantity and measures "
            "MAE and RMSE; for a score or a class register another version with --task classification"
        )
    if missing := _missing(client, model, registered):
        output.note(f"[yellow]promotion will be refused[/]: {as_markup(without_metrics(model, version, missing))}")
    else:
        output.note(f"[dim]next: headrace models promote {model} {version}[/]")


def _missing(client: Client, model: str, registered: registry_pb2.ModelVersion) -> list[str]:
    """Return which metrics the gates will miss; none when the model cannot be read, for the version is registered."""
    try:
        return without_value(client.models.get(model), registered)
    except HeadraceError:
        return []


def _contract(
    path: Path | None, prediction: str, task: str | None, labels: tuple[str, ...]
) -> tensor_pb2.ServingContract:
    contract = tensor_pb2.ServingContract() if path is None else contract_in(path)
    if prediction:
        contract.prediction = prediction
    if task is not None:
        contract.task = _TASKS[task]
    if labels:
        del contract.labels[:]
        contract.labels.extend(labels)
    return contract
