"""Converting a model file in a process with limits, and whether the result is the same model; or making it code."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import invalid
from headrace_client.model_files import REQUIREMENTS
from headrace_client.recognition import MAX_DIFFERENCE, Kind

from headrace_forge.conversion import requirements, sandbox

TIMEOUT_S = 900.0
# Sums of values that are far apart lose digits.
EDGE_SLACK = 10.0


@dataclass(frozen=True, slots=True)
class Converted:
    """An ONNX file made of a model file.

    validation: rows, and what the framework answers to them. difference: the largest of any answer, over `rows` rows;
    scale: the largest answer. edge_difference: over `edge_cases` rows that data seldom have, of the answer or of 1.
    columns: names of the values of the one input, where the framework knows them.
    """

    onnx: Path
    validation: Path
    framework: str
    converter: str
    source_sha256: str
    rows: int
    generated: bool
    difference: float
    scale: float
    edge_cases: int
    edge_difference: float
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coded:
    """A folder of code that answers by the framework. validation: rows, and what it answers to them."""

    folder: Path
    validation: Path
    contract: tensor_pb2.ServingContract
    framework: str
    source_sha256: str
    rows: int
    packages: tuple[str, ...]


def as_code(
    kind: Kind, path: Path, folder: Path, *, rows: Path | None, sources: Mapping[str, Path], python: str | None
) -> Coded:
    """Make a folder of code of a file. sources: modules that a pickle imports. Raises InvalidArgument."""
    (folder / "sources").mkdir()
    for name, source in sources.items():
        shutil.copyfile(source, folder / "sources" / name)
    if rows is not None:
        shutil.copyfile(rows, folder / "rows.json")
    python = python or sandbox.frameworks_python()
    answer = _answer(python, (kind.value, str(path.resolve()), str(folder), "--as-code"), folder, path)
    version, contract = folder / "version", tensor_pb2.ServingContract()
    validation = folder / "validation.json"
    if version.is_symlink() or not version.is_dir() or validation.is_symlink() or not validation.is_file():
        raise invalid("model", f"{path} is not made code: the process that reads it left no files")
    try:
        json_format.ParseDict(answer["contract"], contract)
        packages = tuple(str(one) for one in answer["packages"])
        coded = Coded(
            version, validation, contract, str(answer["framework"])[:100], _sha256(path), int(answer["rows"]), packages
        )
    except (KeyError, TypeError, ValueError, json_format.ParseError) as error:
        raise invalid("model", f"is not made code: the process that reads it answers nonsense ({error})") from None
    (version / REQUIREMENTS).write_text(requirements.locked(packages, python))
    return coded


def _answer(python: str, arguments: Sequence[str], folder: Path, path: Path) -> Mapping[str, Any]:
    worker = str(Path(__file__).with_name("worker.py"))
    answer = sandbox.run(python, worker, arguments, folder, timeout_s=TIMEOUT_S, undone=f"{path} is not converted")
    if "failed" in answer:
        raise invalid("model", f"{path} {answer['failed']}")
    return answer


def convert(
    kind: Kind,
    path: Path,
    folder: Path,
    *,
    rows: Path | None = None,
    python: str | None = None,
    max_difference: float = MAX_DIFFERENCE,
) -> Converted:
    """Convert a file into a folder. rows: a file as `validation.json` is, to compare with; without one, random rows.

    Raises InvalidArgument with the reason, also where both models differ by more than `max_difference` of the largest
    answer, or of 1; ten times as much on edge cases.
    """
    if rows is not None:
        shutil.copyfile(rows, folder / "rows.json")
    python = python or sandbox.frameworks_python()
    answer = _answer(python, (kind.value, str(path.resolve()), str(folder)), folder, path)
    converted = _converted(answer, path, folder)
    hint = str(answer.get("hint", ""))[:300]
    allowed = max_difference * max(1.0, converted.scale)
    if not converted.difference <= allowed:
        raise invalid(
            "model",
            f"{path} as ONNX answers {converted.difference:.3g} apart from {converted.framework} on one of "
            f"{converted.rows} rows; at most {allowed:.3g} is taken (--max-difference){hint}",
        )
    if not converted.edge_difference <= EDGE_SLACK * max_difference:
        raise invalid(
            "model",
            f"{path} as ONNX answers {converted.edge_difference:.3g} apart from {converted.framework} to the edge case "
            f"{str(answer.get('edge'))[:300]}; at most {EDGE_SLACK * max_difference:.3g} is taken (ten times "
            f"--max-difference){hint}",
        )
    return converted


def _converted(answer: Mapping[str, Any], path: Path, folder: Path) -> Converted:
    """Return an answer as a value. A pickle may have written it: nothing of it is taken on trust."""
    sha256 = _sha256(path)
    for made in (folder / "model.onnx", folder / "validation.json"):
        if made.is_symlink() or not made.is_file():
            raise invalid("model", f"{path} is not converted: the process that reads it left no file {made.name}")
    try:
        return Converted(
            onnx=folder / "model.onnx",
            validation=folder / "validation.json",
            framework=str(answer["framework"])[:100],
            converter=str(answer["converter"])[:100],
            source_sha256=sha256,
            rows=int(answer["rows"]),
            generated=bool(answer["generated"]),
            difference=float(answer["difference"]),
            scale=float(answer["scale"]),
            edge_cases=int(answer["edge_cases"]),
            edge_difference=float(answer["edge_difference"]),
            columns=tuple(str(name) for name in answer["columns"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise invalid("model", f"is not converted: the process that reads it answers nonsense ({error})") from None


def _sha256(path: Path) -> str:
    """Return the digest of a file; of a folder that of its files, by their names, as `sha256sum` lists them."""
    if not path.is_dir():
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    files = sorted(one for one in path.rglob("*") if one.is_file())
    lines = "".join(f"{_sha256(one)}  {one.relative_to(path).as_posix()}\n" for one in files)
    return hashlib.sha256(lines.encode()).hexdigest()
