"""What is asked of an inference backend: Triton, in-process ONNX Runtime, or a server that others run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from headrace_runtime.contract import Contract
from headrace_runtime.formats import Format
from headrace_runtime.shapes import Layout, OutputTensor


class LoadError(Exception):
    """A version cannot be made ready; the message is shown to operators."""


class ModelError(Exception):
    """One execution failed because of its model or its inputs. The backend continues."""


class OutOfMemory(ModelError):
    """One execution failed for want of memory. Its inputs may be why, and so may be whatever else was there."""


class BackendLost(Exception):
    """The backend does not answer: it is down, or ended during the call."""


class Unanswered(BackendLost):
    """An execution took longer than any may: the model, or all of the backend, does nothing else any more."""


class ModelCrashed(BackendLost):
    """What runs one version went away. The backend and its other versions go on; this one must be loaded again."""


class ProcessCrashed(ModelCrashed):
    """A process that executed this request, and nothing else, went away or did not answer in time: the request may be
    why, and no other one is."""


@dataclass(frozen=True, slots=True)
class LoadBudget:
    """What loading one version may use: seconds of a processor, and memory beyond so many times the size of its file.

    variables: prefix of the environment variables that set this, such as `BATCHER_`, which messages then name.
    """

    cpu_s: float = 30.0
    memory_bytes: int = 2 * 1024**3
    memory_per_byte: int = 4
    variables: str = ""

    def memory_for(self, file_bytes: int) -> int:
        """Return the memory for a version whose file has that size."""
        return self.memory_bytes + self.memory_per_byte * file_bytes

    def setting(self, name: str) -> str:
        """Return ` (BATCHER_LOAD_CPU_S)` for `LOAD_CPU_S`, nothing where no variable sets it."""
        return f" ({self.variables}{name})" if self.variables else ""


USUAL_BUDGET = LoadBudget()


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One version as a backend loads it.

    name: `{model}--{version}`, unique on the backend. path: the file of the model, which must not be changed. device:
    CPU, GPU, or empty for whatever the pool has. kept_as: how the file keeps the model; model_file: its name in the
    version; others: further files that it needs, by their names.
    """

    name: str
    path: Path
    contract: Contract
    max_rows: int
    instances: int = 1
    device: str = ""
    kept_as: Format = Format.ONNX
    model_file: str = "model.onnx"
    others: Mapping[str, Path] = field(default_factory=dict)


class Backend(Protocol):
    """Loads versions and runs batches. Every call ends within its own time limit.

    load_control: whether we load versions, from their files. Otherwise the server's operator deploys them: `load`
    checks that the version is there, without a file, and `unload` leaves it.
    """

    @property
    def load_control(self) -> bool: ...

    async def load(self, files: ModelFiles) -> None:
        """Make a version answer `infer`; loading one that is loaded replaces it. Raises LoadError, BackendLost.

        Cancellation ends the running load; a process that only its supervisor can end is ended by that.
        """
        ...

    async def unload(self, name: str) -> None:
        """Forget a version and free what it holds; unknown names are ignored. Raises BackendLost."""
        ...

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        """Run one batch. inputs: in the order of the layout, all rows joined.

        Raises ModelError, BackendLost, ModelCrashed.
        """
        ...

    async def ready(self) -> bool:
        """Return whether the backend takes calls. Raises BackendLost."""
        ...


@runtime_checkable
class InParts(Protocol):
    """A backend that runs versions that answer in parts (`Contract.decoupled`)."""

    def stream(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]
    ) -> AsyncGenerator[list[OutputTensor], None]:
        """Run one request, and yield each part as it is there.

        Nothing is read ahead of who takes them, so the model waits. Closing it withdraws the request.
        Raises ModelError, BackendLost, ModelCrashed, ProcessCrashed.
        """
        ...


def stream(
    backend: Backend, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]
) -> AsyncGenerator[list[OutputTensor], None]:
    """Return the parts of one request, as `InParts.stream` does. Raises ModelCrashed where a backend answers once."""
    if not isinstance(backend, InParts):
        raise ModelCrashed(f"what runs '{name}' answers a request once")
    return backend.stream(name, layout, rows, inputs)


def check_answers_once(contract: Contract) -> None:
    """Raise LoadError for a version that answers in parts, where a backend cannot."""
    if contract.decoupled:
        raise LoadError("it answers in parts, which only versions of the formats python and oip do")
