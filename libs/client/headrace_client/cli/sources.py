"""Model files on the command line: what is registered of them, and the options of those that are converted first."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import click
from google.protobuf import json_format
from headrace.tensor.v1 import tensor_pb2

from headrace_client.cli.output import Output
from headrace_client.errors import invalid
from headrace_client.local_files import object_of, read_as
from headrace_client.model_files import FORMATS, zipped
from headrace_client.pipeline_files import is_pipeline
from headrace_client.recognition import CONVERTED_TOO, MAX_DIFFERENCE, TAKEN, Kind, recognise
from headrace_client.validation_tables import as_validation

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Source:
    """What is registered: a model or a pipeline, further files, and facts of what it was made from. kept_as: format of
    the model. contract: of code that was written for it. run: that it comes from, empty where nothing says it."""

    file: Path
    artifacts: Mapping[str, Path]
    parameters: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    contract: tensor_pb2.ServingContract | None = None
    kept_as: str = "onnx"
    run: str = ""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a file that is not one of the formats is converted.

    trust: code in it may run. python: whose packages do it, None for that of the environment. max_difference: of
    answers, of the largest one or of 1. as_code: nothing is converted, and its framework serves it.
    """

    trust: bool
    python: str | None
    max_difference: float
    as_code: bool = False


def conversion_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of what is converted first, which the command has as `conversion`."""

    @wraps(command)
    def packed(
        *arguments: Any, trust: bool, python: str | None, max_difference: float, as_code: bool, **others: Any
    ) -> Any:
        return command(*arguments, conversion=Conversion(trust, python, max_difference, as_code), **others)

    for option in (
        click.option(
            "--trust", is_flag=True, help="Read a pickle, or run a network of PyTorch or TensorFlow: either is code."
        ),
        click.option(
            "--as-code",
            is_flag=True,
            help="Serve the model by its framework, as a python version with pinned requirements, without conversion.",
        ),
        click.option(
            "--python",
            help="The Python whose packages convert; default that of the active virtual environment.",
        ),
        click.option(
            "--max-difference",
            type=click.FloatRange(0),
            default=MAX_DIFFERENCE,
            show_default=True,
            help="Largest difference of a converted model's answers, of the largest answer or of 1.",
        ),
    ):
        packed = option(packed)
    return packed


@contextmanager
def source_of(
    output: Output, path: Path, artifacts: Mapping[str, Path], conversion: Conversion, *, stated: bool = False
) -> Iterator[Source]:
    """Yield the file to register: an ONNX file or a pipeline unchanged, others converted. Raises InvalidArgument.

    stated: whether the user states the contract, so that a model is registered in its native format.
    """
    with as_validation(artifacts) as rows, _source_of(output, path, rows, conversion, stated) as source:
        yield source


@contextmanager
def _source_of(
    output: Output, path: Path, artifacts: Mapping[str, Path], conversion: Conversion, stated: bool
) -> Iterator[Source]:
    kind = _kind_of(path)
    if _is_taken(path, kind, stated):
        with _taken(path, kind, artifacts) as source:
            if source.kept_as != Kind.ONNX:
                output.note(f"[dim]format[/]  {source.kept_as}: {FORMATS[source.kept_as].runs}")
            yield source
        return
    with _converter(path)(output, path, kind, artifacts, conversion, stated) as source:
        yield source


@contextmanager
def unconverted(path: Path, artifacts: Mapping[str, Path]) -> Iterator[Source]:
    """Yield a file as it is registered without conversion, with its contract stated where it has none.

    Raises InvalidArgument for one that is converted first.
    """
    kind = _kind_of(path)
    if not _is_taken(path, kind, stated=True):
        raise invalid("FILE", f"{path} is converted when it is registered: export it to ONNX first, and name that")
    with as_validation(artifacts) as rows, _taken(path, kind, rows) as source:
        yield source


def _kind_of(path: Path) -> Kind | None:
    """Return what a model file is; None for a pipeline, and for a folder of MLflow."""
    return None if is_pipeline(path) or is_mlflow(path) else recognise(path)


def _is_taken(path: Path, kind: Kind | None, stated: bool) -> bool:
    """Return whether a file is registered as it is."""
    return is_pipeline(path) or (kind is not None and kind in TAKEN and (stated or kind not in CONVERTED_TOO))


@contextmanager
def _taken(path: Path, kind: Kind | None, artifacts: Mapping[str, Path]) -> Iterator[Source]:
    if kind is None:
        yield Source(path, artifacts)
        return
    with _as_file(path, kind) as taken:
        yield Source(taken, artifacts, kept_as=kind.value)


def is_mlflow(path: Path) -> bool:
    """Return whether a folder is a model of MLflow."""
    return path.is_dir() and (path / "MLmodel").is_file()


def _converter(path: Path) -> Callable[..., AbstractContextManager[Source]]:
    """Return what converts files, the entry point `headrace.converters`. Raises UsageError where none is installed."""
    for one in entry_points(group="headrace.converters"):
        return one.load()
    raise click.UsageError(f"{path} has to be converted first: pip install 'headrace-client[forge]'")


@contextmanager
def _as_file(path: Path, kind: Kind) -> Iterator[Path]:
    """Give what is uploaded of a model: a SavedModel that is a folder as an archive."""
    if kind is not Kind.SAVEDMODEL or not path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        yield zipped(path, Path(folder, FORMATS[kind.value].file))


def contract_option(default: str) -> Callable[[F], F]:
    """Return the option that names a file with a serving contract. default: what holds without it."""
    return click.option(
        "--contract",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"Serving contract as JSON; without it {default}.",
    )


def contract_in(path: Path) -> tensor_pb2.ServingContract:
    """Return the serving contract in a file. Raises InvalidArgument."""
    contract, remedy = tensor_pb2.ServingContract(), "`headrace models show MODEL VERSION --json` prints one"
    document = object_of(path, "contract", remedy)
    with read_as("a serving contract", path, "contract", remedy):
        json_format.ParseDict(document, contract)
    return contract


def with_tensors(contract: tensor_pb2.ServingContract, source: Source) -> tensor_pb2.ServingContract:
    """Return a contract with what a source says of tensors, unless it states inputs: those of code, or the names of the
    columns of a converted model's one input."""
    if contract.inputs:
        return contract
    if source.contract is not None:
        made = tensor_pb2.ServingContract()
        made.CopyFrom(source.contract)
        made.MergeFrom(contract)
        return made
    if source.columns:
        contract.inputs.add(name="features", columns=source.columns)
    return contract
