"""Loading an ONNX file once in a process with limits, before it is loaded beside others. Run as a program:

python -m headrace_runtime.backends.onnx_trial FILE MAX_MEMORY_BYTES MAX_CPU_S [ROWS]

ROWS is a file of ours that says which batches to run as well (`Rows`, pickled). It prints one JSON object, {} or
{"failed": "why", "no_memory": false}. What never ends, takes all memory or crashes does so there.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import pickle
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from headrace_servicekit.confined import AnswerTooLargeError, run_confined
from headrace_servicekit.confinement import confine, end_with_parent

from headrace_runtime import examples
from headrace_runtime.backends import onnx_session
from headrace_runtime.backends.backend import LoadBudget, LoadError
from headrace_runtime.backends.reasons import no_memory_reason, public_reason, says_no_memory
from headrace_runtime.contract import Contract
from headrace_runtime.thread_priority import take_long_turns

# ONNX Runtime ignores a constant, of at most a GiB, that it cannot allocate. The process limit exceeds the budget by
# this much, so that a model over budget is measured as such.
_SPARE_BYTES = 1024**3 + 64 * 1024**2
_MAX_ANSWER_BYTES = 64 * 1024
# The caller bounds the whole attempt by cancelling it; this bounds a process that hangs.
_PATIENCE = 20.0
_LIMIT_SIGNALS = (-signal.SIGXCPU, -signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Rows:
    """Batches of a contract's example that a trial runs. sizes: rows of each."""

    contract: Contract
    sizes: tuple[int, ...]


async def try_loading(path: Path, budget: LoadBudget, rows: Rows | None = None) -> None:
    """Raise LoadError unless a process with limits can load the file, and run these rows; when this is cancelled, it
    ends."""
    memory, cpu_s = budget.memory_for(os.stat(path).st_size), math.ceil(budget.cpu_s)
    try:
        with tempfile.NamedTemporaryFile(prefix="headrace-trial-") as stored:
            arguments = ["-m", __name__, str(path), str(memory), str(cpu_s)]
            if rows is not None:
                await asyncio.to_thread(Path(stored.name).write_bytes, pickle.dumps(rows))
                arguments.append(stored.name)
            code, output = await run_confined(
                arguments, timeout_s=_PATIENCE * cpu_s, max_answer_bytes=_MAX_ANSWER_BYTES
            )
    except (TimeoutError, AnswerTooLargeError):
        raise LoadError(f"a process that loads it does not end within {_PATIENCE * cpu_s:g} s") from None
    except OSError as error:
        raise LoadError(f"no process to try loading it in could be started: {error.strerror}") from None
    if code in _LIMIT_SIGNALS:
        setting = budget.setting("LOAD_CPU_S")
        raise LoadError(f"loading it takes more than {cpu_s} s of a processor{setting} or all memory")
    if code != 0 or not output:
        raise LoadError(f"a process that loads it dies (exit code {code})")
    answer = json.loads(output)
    if "failed" in answer:
        raise LoadError(no_memory_reason(budget) if answer["no_memory"] else answer["failed"])


def _peak_bytes() -> int:
    """Return the most address space that this process had."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmPeak:"))
    return int(line.split()[1]) * 1024


def _run(path: str, rows: Rows) -> None:
    contract, session = rows.contract, onnx_session.load(path, rows.contract)
    layout = examples.layout_of(contract, contract.example)
    for size in rows.sizes:
        onnx_session.run(session, layout, size, examples.rows_of(layout, contract.example, size))


def main() -> None:
    """Print the answer; nothing else goes to stdout."""
    path, max_memory_bytes, max_cpu_s, *stored = sys.argv[1:]
    end_with_parent()
    allowed = _peak_bytes() + int(max_memory_bytes)
    confine(allowed + _SPARE_BYTES, int(max_cpu_s))
    take_long_turns()
    answer = {}
    try:
        if stored:
            _run(path, pickle.loads(Path(stored[0]).read_bytes()))
        else:
            onnx_session.open_session(path)
        if _peak_bytes() > allowed:
            raise MemoryError("std::bad_alloc")
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        said = str(error) or type(error).__name__
        answer = {"failed": public_reason(said), "no_memory": says_no_memory(said)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
