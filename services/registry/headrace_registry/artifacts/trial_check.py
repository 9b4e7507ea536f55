"""Trying a model by a contract that a person stated, and with rows that were given. Run as a program:

python -m headrace_registry.artifacts.trial_check REQUEST MAX_MEMORY_BYTES MAX_CPU_S

REQUEST is a JSON file of a `Request`. It prints one line, `{"problem": …, "example": …}`.
"""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from headrace_runtime import expected_outputs
from headrace_runtime.expected_outputs import UnreadableValidation
from headrace_servicekit.confinement import confine
from pydantic import TypeAdapter

from headrace_registry.artifacts import trial, trial_rows
from headrace_registry.decisions.files import Trial
from headrace_registry.decisions.models import Contract


@dataclass(frozen=True, slots=True)
class Request:
    """model: an ONNX file that was read before, None of other formats. given: a file of rows, as `validation.json` is;
    one of both is there.
    """

    model: Path | None
    contract: Contract
    given: Path | None = None


REQUEST = TypeAdapter(Request)


def try_out(request: Request) -> Trial | None:
    """Return what became of running the model, None where this runtime cannot say."""
    contract = request.contract
    if request.model is None:
        return Trial(unreadable=_unreadable(contract, request.given))
    import onnx  # the service itself never loads the parser

    try:
        loaded = trial.load(str(request.model), contract)
        if loaded is None or isinstance(loaded, Trial):
            return loaded
        categories = trial_rows.categories_of(onnx.load(request.model))
    except MemoryError:
        return Trial(trial.NO_MEMORY)
    # The row that is answered is kept with the version: none of values that must never be stored.
    rows = None if any(spec.sensitive for spec in contract.inputs) else request.given
    given = () if rows is None else trial_rows.given(rows, trial.as_runtime(contract))
    tried = trial.run(loaded, contract, itertools.chain(trial_rows.made_by_itself(contract, categories), given))
    if tried.problem or request.given is None:
        return tried
    try:
        return replace(tried, difference=trial.compare(loaded, contract, request.given))
    except UnreadableValidation as error:
        return replace(tried, unreadable=str(error))


def _unreadable(contract: Contract, given: Path | None) -> str:
    """Return why expected outputs cannot be compared, empty where they can or there are none."""
    try:
        if given is not None:
            expected_outputs.read(given, trial.as_runtime(contract))
    except UnreadableValidation as error:
        return str(error)
    return ""


def main() -> None:
    """Print the answer; nothing else goes to stdout."""
    path, max_memory_bytes, max_cpu_s = sys.argv[1:]
    confine(int(max_memory_bytes), int(max_cpu_s))
    answer = try_out(REQUEST.validate_json(Path(path).read_bytes()))
    sys.stdout.write(json.dumps(None if answer is None else asdict(answer)) + "\n")


if __name__ == "__main__":
    main()
