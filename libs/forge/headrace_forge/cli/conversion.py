"""Model files that are converted before they are registered: the entry point `headrace.converters`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from headrace_client.cli.output import Output, shown
from headrace_client.cli.sources import Conversion, Source, source_of
from headrace_client.errors import InvalidArgument, invalid
from headrace_client.model_files import CODE_SUFFIX
from headrace_client.operations.missing_values import VALIDATION_FILE
from headrace_client.recognition import AS_CODE, PROGRAMS, Kind

from headrace_forge.conversion import process
from headrace_forge.conversion.process import Converted
from headrace_forge.mlflow_folders import MlflowModel, read_mlflow
from headrace_forge.mlflow_signatures import names_of_values

_INSTEAD = "--as-code serves it as it is"
# The flavour of MLflow whose file is not converted.
_AS_IT_IS = "onnx"


@contextmanager
def converted(
    output: Output,
    path: Path,
    kind: Kind | None,
    artifacts: Mapping[str, Path],
    conversion: Conversion,
    stated: bool,
) -> Iterator[Source]:
    """Give what to register of a file of a framework, or of a folder of MLflow (kind: None). Raises InvalidArgument."""
    if kind is None:
        logged = read_mlflow(path)
        with (
            _with_rows(logged, artifacts) as rows,
            source_of(output, logged.file, rows, conversion, stated=stated) as source,
        ):
            parameters = {**logged.parameters, **source.parameters}
            yield replace(_signed(source, logged), parameters=parameters, run=logged.run)
        return
    if kind in PROGRAMS and not conversion.trust:
        raise click.UsageError(f"{path} is {_program(kind)}: --trust, if you know its maker")
    if kind is Kind.SAVEDMODEL and not path.is_dir():
        raise click.UsageError(f"{path} is an archive: unpack it, and name its folder")
    if conversion.as_code:
        with _as_code(output, path, kind, artifacts, conversion) as source:
            yield source
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        given = artifacts.get(VALIDATION_FILE)
        try:
            made = process.convert(
                kind, path, Path(folder), rows=given, python=conversion.python, max_difference=conversion.max_difference
            )
        except InvalidArgument as error:
            if kind in AS_CODE and _INSTEAD not in error.message:
                raise invalid("model", f"{error.message.removeprefix('model: ')}; {_INSTEAD}") from None
            raise
        output.note(_told(path, made))
        facts = {
            "framework": made.framework,
            "converter": made.converter,
            "source_file": path.name,
            "source_sha256": made.source_sha256,
            "conversion_max_abs_diff": f"{made.difference:.6g}",
        }
        yield Source(made.onnx, {**artifacts, VALIDATION_FILE: made.validation}, facts, made.columns)


@contextmanager
def _with_rows(logged: MlflowModel, artifacts: Mapping[str, Path]) -> Iterator[Mapping[str, Path]]:
    """Yield artifacts with rows to compare with: the user's, those that were logged, or some of the signature."""
    if logged.example is not None:
        yield {VALIDATION_FILE: logged.example, **artifacts}
        return
    rows = logged.signature.rows()
    if rows is None or VALIDATION_FILE in artifacts or logged.flavour == _AS_IT_IS:
        yield artifacts
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        (file := Path(folder, VALIDATION_FILE)).write_text(json.dumps(rows))
        yield {**artifacts, VALIDATION_FILE: file}


def _signed(source: Source, logged: MlflowModel) -> Source:
    """Return a source with what the signature says of its tensors. Raises InvalidArgument where the model differs.

    What a signature says of a file that is not converted is checked by the registry, which reads it.
    """
    if logged.flavour == _AS_IT_IS:
        return replace(source, contract=logged.signature.contract())
    given = json.loads(source.artifacts[VALIDATION_FILE].read_bytes())["inputs"]
    columns = tuple(source.contract.inputs[0].columns) if source.contract is not None else source.columns
    names = names_of_values(logged.signature, given, columns)
    return source if source.contract is not None else replace(source, columns=names)


@contextmanager
def _as_code(
    output: Output, path: Path, kind: Kind, artifacts: Mapping[str, Path], conversion: Conversion
) -> Iterator[Source]:
    """Give a version of code that answers by the framework."""
    if kind not in AS_CODE:
        raise click.UsageError(f"{path} is {kind.value}, which --as-code does not serve: {', '.join(sorted(AS_CODE))}")
    sources = {name: file for name, file in artifacts.items() if name.endswith(CODE_SUFFIX)}
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        made = process.as_code(
            *(kind, path, Path(folder)),
            rows=artifacts.get(VALIDATION_FILE),
            sources=sources,
            python=conversion.python,
        )
        packages = ", ".join(made.packages)
        output.note(f"[dim]as code[/]  {shown(path.name)} of {shown(made.framework)}, with {shown(packages)}")
        facts = {"framework": made.framework, "source_file": path.name, "source_sha256": made.source_sha256}
        beside = {**artifacts, VALIDATION_FILE: made.validation}
        yield Source(made.folder, beside, facts, contract=made.contract, kept_as="python")


def _program(kind: Kind) -> str:
    if kind is Kind.PICKLE:
        return "a pickle, and reading one runs the code in it"
    also = "" if kind is Kind.EXPORTED else " (one with a --contract is registered as it is, unread)"
    return f"a program of {'TensorFlow' if kind is Kind.SAVEDMODEL else 'PyTorch'}, and converting one runs it{also}"


def _told(path: Path, converted: Converted) -> str:
    made = f"{shown(path.name)} of {shown(converted.framework)} by {shown(converted.converter)}"
    rows = f"{converted.rows} {'random ' if converted.generated else ''}rows"
    edges = f"; to {converted.edge_cases} edge cases by {converted.edge_difference:.2g}" if converted.edge_cases else ""
    return f"[dim]converted[/]  {made}; answers to {rows} differ by at most {converted.difference:.2g}{edges}"
