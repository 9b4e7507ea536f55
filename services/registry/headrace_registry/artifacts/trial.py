"""Loading a model and running a row through it, in the process that reads what strangers upload.

What never ends there reaches no batcher, and what cannot run is known before anybody promotes it. The row is one of
zeros and empty texts; where the model fails on it, one that was given or one of categories that the file knows.
"""

from __future__ import annotations

import base64
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace_runtime import contract as runtime
from headrace_runtime import examples, expected_outputs, shapes
from headrace_runtime.backends import onnx_session
from headrace_runtime.backends.backend import LoadError, ModelError
from headrace_runtime.backends.onnx_session import OnnxSession
from headrace_runtime.backends.reasons import says_no_memory
from headrace_runtime.expected_outputs import Difference
from headrace_runtime.shapes import WrongOutput

from headrace_registry.decisions.files import Example, Trial
from headrace_registry.decisions.models import BatchDimension, Contract, TensorSpec

# As much as a batcher gives a version, to load it and again to run it.
CPU_S = 30.0
# Of an example that is kept with a version.
MAX_EXAMPLE_BYTES = 16 * 1024
NO_MEMORY = "it takes more memory than there is to try a model with"
# A model that takes longer for one row is not asked for two.
_SLOW_S = 1.0
# For comparing answers with expected ones, and rows of one batch; the batcher compares all of them.
_COMPARE_S, _COMPARE_ROWS = 5.0, 32

_BATCH_DIMENSIONS = {
    BatchDimension.UNSPECIFIED: runtime.BatchDimension.ANY,
    BatchDimension.ONE: runtime.BatchDimension.ONE,
    BatchDimension.NONE: runtime.BatchDimension.NONE,
}


@contextmanager
def budget() -> Iterator[None]:
    """Have the kernel end this process by SIGXCPU when the block takes more than `CPU_S` of a processor."""
    before = resource.getrlimit(resource.RLIMIT_CPU)
    limit, most = int(time.process_time() + CPU_S) + 1, before[1]
    resource.setrlimit(resource.RLIMIT_CPU, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    try:
        yield
    finally:
        # The budget is the block's: a process that lives on (tests check files in their own) is not to die of it later.
        resource.setrlimit(resource.RLIMIT_CPU, before)


def load(path: str, contract: Contract) -> OnnxSession | Trial | None:
    """Load a file: the session, or why there is none; None where this runtime cannot say. Raises MemoryError."""
    runtime_contract = as_runtime(contract)
    try:
        onnx_session.check_datatypes(runtime_contract)
    except LoadError:
        return None  # a datatype that numpy has not; other runtimes have it
    with budget():
        try:
            return onnx_session.load(path, runtime_contract)
        except LoadError as error:
            if says_no_memory(str(error)):
                raise MemoryError from None
            return Trial(f"it cannot be loaded: {error}")


def run(session: OnnxSession, contract: Contract, candidates: Iterable[runtime.Example]) -> Trial:
    """Run the first of some rows that the model answers as its contract says; without one, why not."""
    runtime_contract, problem = as_runtime(contract), ""
    with budget():
        for example in candidates:
            try:
                _run(session, runtime_contract, example, (1,) if contract.row_by_row else (1, 2))
            except (ModelError, WrongOutput, shapes.WrongInput) as error:
                if says_no_memory(str(error)):
                    return Trial(NO_MEMORY)
                problem = problem or f"it fails on {'a given row' if example.inputs else 'a row of zeros'}: {error}"
            else:
                return Trial(example=_kept(example))
    return Trial(problem)


def compare(session: OnnxSession, contract: Contract, given: Path) -> str:
    """Return how a model's answers differ from those that a file expects, empty where they hold or it expects none.

    Raises UnreadableValidation.
    """
    expected = expected_outputs.read(given, as_runtime(contract))
    if expected is None:
        return ""
    found, until = Difference(), time.monotonic() + _COMPARE_S
    with budget():
        for batch in expected.batches(1 if contract.row_by_row else _COMPARE_ROWS):
            try:
                outputs = onnx_session.run(session, batch.layout, batch.rows, batch.inputs)
                found = found.and_also(batch.difference(outputs))
            except (ModelError, WrongOutput) as error:
                return f"the model does not answer row {batch.first} of {expected_outputs.ARTIFACT}: {error}"
            if time.monotonic() > until:
                break
    if found.over <= 1.0:
        return ""
    return f"{found.where}, {found.over:,.3g} times the tolerance of {expected.tolerance:g} (and as much of the value)"


def _run(session: OnnxSession, contract: runtime.Contract, example: runtime.Example, sizes: Iterable[int]) -> None:
    layout = examples.layout_of(contract, example)
    for rows in sizes:
        started = time.monotonic()
        inputs = examples.rows_of(layout, example, rows)
        shapes.check_inputs(layout, rows, inputs)
        outputs = onnx_session.run(session, layout, rows, inputs)
        for output in shapes.outputs_in_order(contract, rows, outputs):
            shapes.slice_output(output, [rows])
        if time.monotonic() - started > _SLOW_S:
            return


def as_runtime(contract: Contract) -> runtime.Contract:
    """Return a contract as what runs models has it."""
    return runtime.Contract(tuple(map(_spec, contract.inputs)), tuple(map(_spec, contract.outputs)))


def _spec(spec: TensorSpec) -> runtime.TensorSpec:
    dimension = _BATCH_DIMENSIONS[spec.batch_dimension]
    return runtime.TensorSpec(spec.name, spec.datatype, spec.shape, spec.optional, batch_dimension=dimension)


def _kept(example: runtime.Example) -> Example:
    return Example(tuple(base64.b64encode(data).decode() for data in example.inputs), example.dims)
