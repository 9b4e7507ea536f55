"""What a backend said about a model file or a request, as people outside may read it."""

from __future__ import annotations

import re

from headrace_runtime.backends.backend import LoadBudget, ModelError, OutOfMemory

MAX_CHARS = 300
# Of what is too long, this much of the beginning is kept: what was tried. The cause stands at the end.
_HEAD_CHARS = 100

# Where the Python stack begins that Triton's Python backend appends.
_STACK = re.compile(r"\n\s*\n?\s*At:\s*\n.*", re.DOTALL)
# What says who reports, not what is wrong: Triton's frame around a loading, ONNX Runtime's around a status.
_FRAMES = (
    re.compile(r"load failed for model '[^']*': version \d+ is at UNAVAILABLE state: "),
    re.compile(r"\b(?:Internal|InvalidArg(?:ument)?|Unknown): (?=\w+: )"),
    re.compile(r"\b\w+: (?=\[ONNXRuntimeError\])"),
    re.compile(r"\[ONNXRuntimeError\] : \d+ : "),
)
_PATH = re.compile(r"(?<![\w/.])(?:/[\w.+@~-]+)+/?|(?:\.\.?/)+[\w.+@~/-]*")


# Triton's only answer when it refuses a configuration; its log has the reason.
_NOT_POLLED = "failed to poll from model repository"
_NO_MEMORY = re.compile(r"std::bad_alloc|bad allocation|MemoryError")
# The same of an execution, by backends on GPUs as well: ONNX Runtime's arena, PyTorch, TensorRT and CUDA.
_EXECUTION_NO_MEMORY = re.compile(rf"{_NO_MEMORY.pattern}|Failed to allocate memory|(?i:out[ _]of[ _]memory)")


def load_reason(said: str, budget: LoadBudget) -> str:
    """Return why a version was not loaded: what `public_reason` does, and plain words for want of memory and for a
    configuration that Triton does not take."""
    if _NOT_POLLED in said:
        return "this release of Triton does not take the configuration of its format; the log of Triton says why"
    return no_memory_reason(budget) if says_no_memory(said) else public_reason(said)


def says_no_memory(said: str) -> bool:
    """Return whether a message is about want of memory."""
    return _NO_MEMORY.search(said) is not None


def execution_error(said: str) -> ModelError:
    """Return what a message says of an execution that failed."""
    kind = OutOfMemory if _EXECUTION_NO_MEMORY.search(said) else ModelError
    return kind(public_reason(said))


def no_memory_reason(budget: LoadBudget) -> str:
    """Return the plain words for want of memory."""
    return f"loading it takes more memory than it may{budget.setting('LOAD_MEMORY_BYTES')}"


def public_reason(said: str) -> str:
    """Return a message on one line, without stacks, without the directories of paths, and with its end when cut."""
    text = _STACK.sub("", said)
    for frame in _FRAMES:
        text = frame.sub("", text)
    text = " ".join(_PATH.sub(_last_part, text).split())
    if len(text) <= MAX_CHARS:
        return text
    return f"{text[:_HEAD_CHARS]} … {text[-(MAX_CHARS - _HEAD_CHARS - 3) :]}"


def _last_part(path: re.Match[str]) -> str:
    return path.group().rstrip("/").rpartition("/")[2]
