"""Measuring candidates in a process with limits, and its figures as values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import invalid
from headrace_client.tensors import NUMPY_TYPES
from headrace_client.validation_rows import Rows

from headrace_forge.conversion import sandbox
from headrace_forge.optimisation import quality
from headrace_forge.optimisation.choice import Candidate, speed_of
from headrace_forge.optimisation.quality import Answers

TIMEOUT_S = 3600.0
ORIGINAL = "original"
MODELS = (
    "graph-basic",
    "graph-extended",
    "opset",
    "fp16",
    "trees-half",
    "int8-dynamic",
    "int8-static-minmax",
    "int8-static-entropy",
)
OPTIONS = ("threads-2", "no-arena", "parallel")
# Rows that static quantisation looks at, and how few may be left to judge by.
MAX_CALIBRATION_ROWS = 256
_MIN_JUDGED_ROWS = 64
_NAME = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True)
class Plan:
    """The variant to make and its measurement. series_s, executions: end of one series, whichever is first."""

    candidates: Sequence[str] = (*MODELS, *OPTIONS)
    batch_rows: Sequence[int] = (1, 8, 32)
    rounds: int = 7
    series_s: float = 0.05
    executions: int = 100
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was measured. judged_rows: how many rows the quality is of; generated: whether they are random.
    labelled: whether their truth is known."""

    original: Candidate
    candidates: tuple[Candidate, ...]
    judged_rows: int
    generated: bool
    labelled: bool
    versions: Mapping[str, str]


def parted(rows: Rows) -> tuple[Rows, Rows]:
    """Return the rows to calibrate with and those to judge by: every fourth, and the rest where enough are left.

    What was calibrated on the rows that it is judged by looks better than it is.
    """
    count = len(rows)
    calibration = list(range(0, count, 4))[:MAX_CALIBRATION_ROWS]
    rest = sorted(set(range(count)) - set(calibration))
    if len(rest) < _MIN_JUDGED_ROWS:
        return rows.take(range(min(count, MAX_CALIBRATION_ROWS))), rows
    return rows.take(calibration), rows.take(rest)


def measure(
    model: Path,
    contract: tensor_pb2.ServingContract,
    folder: Path,
    *,
    rows: Rows | None = None,
    calibration: Rows | None = None,
    plan: Plan | None = None,
    python: str | None = None,
) -> Measured:
    """Make and measure the candidates of a model. Their files are `<name>.onnx` in the folder afterwards.

    rows: None measures on random rows. calibration: None takes it from the rows. Raises InvalidArgument.
    """
    plan = plan or Plan()
    for spec in contract.inputs:
        if spec.batch_dimension == tensor_pb2.TensorSpec.BATCH_DIMENSION_NONE:
            raise invalid("version", f"input '{spec.name}' has no dimension for rows: such a model is not measured")
    if rows is not None and calibration is None:
        calibration, rows = parted(rows)
    (folder / "model.onnx").write_bytes(model.read_bytes())
    for name, some in (("rows.json", rows), ("calibration.json", calibration)):
        if some is not None:
            (folder / name).write_text(json.dumps({"inputs": some.inputs}))
    document = {
        "candidates": [ORIGINAL, *plan.candidates],
        "batch_rows": list(plan.batch_rows),
        "rounds": plan.rounds,
        "series_s": plan.series_s,
        "executions": plan.executions,
        "threads": plan.threads,
    }
    (folder / "plan.json").write_text(json.dumps(document))
    answer = sandbox.run(
        python or sandbox.frameworks_python(),
        str(Path(__file__).with_name("worker.py")),
        (str(folder),),
        folder,
        timeout_s=TIMEOUT_S,
        undone="the model is not measured",
    )
    if "failed" in answer:
        raise invalid("model", str(answer["failed"])[:1000])
    if problem := _problem_of_original(answer):
        raise invalid("model", f"itself {problem}")
    try:
        return _measured(answer, contract, folder, rows)
    except (KeyError, TypeError, ValueError, OverflowError, OSError, EOFError, ZeroDivisionError) as error:
        raise invalid("model", f"is not measured: the process answers nonsense ({error})") from None


def _problem_of_original(answer: Mapping[str, Any]) -> str:
    found = answer.get("candidates")
    first = found[0] if isinstance(found, list) and found else None
    return str(first.get("problem") or "")[:300] if isinstance(first, dict) else ""


def _measured(
    answer: Mapping[str, Any], contract: tensor_pb2.ServingContract, folder: Path, rows: Rows | None
) -> Measured:
    outputs = [str(name) for name in answer["outputs"]]
    told = {str(one["name"]): one for one in answer["candidates"]}
    times = json.loads((folder / "times.json").read_bytes())
    originals = {int(size): _answers(folder, ORIGINAL, int(size), outputs, contract) for size in answer["batch_rows"]}
    judge = _Judge(originals, contract, rows)
    made = {name: _candidate(one, times, folder, outputs, contract, judge) for name, one in told.items()}
    return Measured(
        original=made.pop(ORIGINAL),
        candidates=tuple(made.values()),
        judged_rows=int(answer["rows"]),
        generated=bool(answer["generated"]),
        labelled=rows is not None and rows.labels is not None,
        versions={str(name): str(version)[:40] for name, version in answer["versions"].items()},
    )


class _Judge:
    """Judges answers beside those of the original in batches of the same size."""

    def __init__(
        self, originals: Mapping[int, Answers], contract: tensor_pb2.ServingContract, rows: Rows | None
    ) -> None:
        self._originals = originals
        self._classifies = _classifies(contract, next(iter(originals.values())))
        self._names = tuple(contract.labels)
        self._labels = None if rows is None else rows.labels
        self._slices = {} if rows is None else quality.slices_of(_arrays(rows, contract), _named(contract))

    def of(self, candidate: Callable[[int], Answers]) -> quality.Quality:
        """Return how well a candidate answers with the size of batch that is worst for it."""
        found = [
            quality.judge(
                original,
                candidate(size),
                classifies=self._classifies,
                labels=self._labels,
                names=self._names,
                slices=self._slices,
            )
            for size, original in self._originals.items()
        ]
        return quality.worst_of(found)


def _candidate(
    one: Mapping[str, Any],
    times: Mapping[str, Mapping[str, Any]],
    folder: Path,
    outputs: Sequence[str],
    contract: tensor_pb2.ServingContract,
    judge: _Judge,
) -> Candidate:
    name, is_model = str(one["name"]), one["kind"] == "model"
    if _NAME.fullmatch(name) is None:
        raise ValueError("a name that it was not asked for")
    if one["problem"]:
        return Candidate(name, is_model, problem=str(one["problem"])[:300])
    speeds = {
        int(rows): speed_of(int(rows), _seconds(times[ORIGINAL][rows]), _seconds(taken))
        for rows, taken in times[name].items()
    }
    found = judge.of(lambda size: _answers(folder, name, size, outputs, contract))
    return Candidate(name, is_model, int(one["size_bytes"]), found, speeds)


def _seconds(rounds: Sequence[Sequence[float]]) -> list[list[float]]:
    found = [[float(one) for one in taken] for taken in rounds]
    if not all(taken and all(0 < one < math.inf for one in taken) for taken in found):
        raise ValueError("times that are none")
    return found


def _answers(
    folder: Path, name: str, size: int, outputs: Sequence[str], contract: tensor_pb2.ServingContract
) -> Answers:
    found = {
        output: np.load(folder / f"{name}.{size}.{at}.npy", allow_pickle=False) for at, output in enumerate(outputs)
    }
    return Answers(found, contract.prediction or outputs[0])


def _classifies(contract: tensor_pb2.ServingContract, original: Answers) -> bool:
    if contract.task != tensor_pb2.ServingContract.TASK_UNSPECIFIED:
        return contract.task == tensor_pb2.ServingContract.TASK_CLASSIFICATION
    return original.scores is not None


def _arrays(rows: Rows, contract: tensor_pb2.ServingContract) -> dict[str, np.ndarray]:
    """Return the rows as arrays. Those of which nothing is known are texts."""
    datatypes = {spec.name: spec.datatype for spec in contract.inputs}
    arrays = {}
    for name, values in rows.inputs.items():
        kind = NUMPY_TYPES.get(datatypes.get(name, ""))
        numbers = kind is not None and np.dtype(kind).kind in "fiu"
        found = np.array(values, np.float64 if numbers else object)
        arrays[name] = found.reshape(len(found), -1)
    return arrays


def _named(contract: tensor_pb2.ServingContract) -> dict[str, Sequence[str]]:
    return {spec.name: tuple(spec.columns) for spec in contract.inputs}
