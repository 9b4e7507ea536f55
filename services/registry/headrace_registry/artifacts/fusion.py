"""Making one ONNX file of all steps of a pipeline, in a process of its own. Run as a program:

python -m headrace_registry.artifacts.fusion REQUEST MAX_MEMORY_BYTES MAX_CPU_S MAX_FILE_BYTES

REQUEST is a JSON file of a `FusionRequest`. It writes `made` and prints `{}`, or prints `{"refused": …}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace_runtime.pipelines import fusion
from headrace_runtime.pipelines.flow import Signature, flow
from headrace_runtime.pipelines.graph import Pipeline
from headrace_servicekit.confined import AnswerTooLargeError, run_confined
from headrace_servicekit.confinement import confine, first_line
from headrace_servicekit.errors import Unavailable
from pydantic import TypeAdapter

MEMORY_BYTES = 1024 * 1024 * 1024
# Every file is there as bytes and as messages, and so is what is made of them.
MEMORY_PER_BYTE = 6


@dataclass(frozen=True, slots=True)
class FusionRequest:
    """members: signatures of the steps that are no combiners. files: of each step. made: where the one file goes."""

    pipeline: Pipeline
    members: Mapping[str, Signature]
    files: Mapping[str, Path]
    made: Path


REQUEST = TypeAdapter(FusionRequest)

Fuse = Callable[[FusionRequest, int], Awaitable[None]]
"""From a request and the size of all its files. Raises NotFusible."""


async def fuse_here(request: FusionRequest, _size_bytes: int) -> None:
    """Make the file in this process: for tests, whose files are their own."""
    _fuse(request)


def _fuse(request: FusionRequest) -> None:
    import onnx.checker  # the service itself never loads the parser

    found = flow(request.pipeline, request.members, "pipeline")
    files = {step: path.read_bytes() for step, path in request.files.items()}
    try:
        content = fusion.fused(request.pipeline, found, files)
        onnx.checker.check_model(content)
    except onnx.checker.ValidationError as error:
        raise fusion.NotFusible(f"what its steps make together is not a valid graph: {first_line(error)}") from None
    except ValueError as error:  # a message of more than 2 GiB
        raise fusion.NotFusible(f"its steps make no file: {first_line(error)}") from None
    request.made.write_bytes(content)


class FusionProcess:
    """Makes files in child processes with limits. max_bytes: of the file that is made."""

    def __init__(self, *, timeout_s: float, max_bytes: int) -> None:
        self._timeout_s, self._max_bytes = timeout_s, max_bytes

    async def __call__(self, request: FusionRequest, size_bytes: int) -> None:
        """Write the file. Raises NotFusible, also when the process dies of the files, and Unavailable."""
        asked = request.made.with_suffix(".request")
        asked.write_bytes(REQUEST.dump_json(request))
        limits = (MEMORY_BYTES + MEMORY_PER_BYTE * size_bytes, int(self._timeout_s) + 1, self._max_bytes)
        arguments = ("-m", __spec__.name, str(asked), *map(str, limits))
        try:
            code, output = await run_confined(arguments, timeout_s=self._timeout_s, max_answer_bytes=64 * 1024)
        except (TimeoutError, AnswerTooLargeError):
            raise fusion.NotFusible(f"its steps were not put together within {self._timeout_s:g} s") from None
        except OSError as error:
            raise Unavailable(
                "steps cannot be put together now", reason="CHECK_UNAVAILABLE", retry_after_s=1.0
            ) from error
        if code != 0 or not output:
            raise fusion.NotFusible(f"what puts its steps together stopped (exit code {code})")
        if refused := json.loads(output).get("refused"):
            raise fusion.NotFusible(refused)


def main() -> None:
    """Write the file; nothing but the answer goes to stdout."""
    path, max_memory_bytes, max_cpu_s, max_file_bytes = sys.argv[1:]
    confine(int(max_memory_bytes), int(max_cpu_s), file_bytes=int(max_file_bytes))
    try:
        _fuse(REQUEST.validate_json(Path(path).read_bytes()))
        answer = {}
    except fusion.NotFusible as error:
        answer = {"refused": str(error)}
    except MemoryError:
        answer = {"refused": "its steps need too much memory to be put together"}
    except RecursionError:
        answer = {"refused": "its steps are nested too deeply to be put together"}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
