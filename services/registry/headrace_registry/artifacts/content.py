"""Whether bytes are what their type says: an allow-list by content."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import structlog
from headrace_servicekit.confined import AnswerTooLargeError, run_confined
from headrace_servicekit.errors import InvalidArgument, Unavailable
from headrace_servicekit.fair_share import FairTurns
from headrace_servicekit.resource_names import invalid
from pydantic import TypeAdapter

from headrace_registry.artifacts import format_check, onnx_check, trial, trial_check
from headrace_registry.artifacts.refusals import RefusedError
from headrace_registry.artifacts.trial_check import REQUEST, Request
from headrace_registry.decisions.files import ArtifactType, ModelFile, Trial

log = structlog.get_logger()

MAX_JSON_BYTES = 4 * 1024 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024

# Address space. The parser's libraries take 160 MB of it, a file of 288 MB brought it to 725 MB.
CHECK_MEMORY_BYTES = 1024 * 1024 * 1024
CHECK_MEMORY_PER_BYTE = 3
# JSON of numbers as Python's values; syntax trees take more, of files that are at most 1 MiB.
CHECK_MEMORY_PER_TEXT_BYTE = 30

_PARQUET_MAGIC = b"PAR1"
# What people upload by mistake, or worse: formats that run code when they are read.
_FAMILIAR = {
    b"\x80\x02": "a Python pickle",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"PK\x03\x04": "a ZIP archive (PyTorch and Keras save these)",
    b"\x89HDF": "an HDF5 file (Keras saves these)",
    b"\x1f\x8b": "a gzip archive",
}

OnnxReader = Callable[[Path, int], Awaitable[ModelFile]]
"""From a file and its size to what it declares. Raises RefusedError."""

FormatReader = Callable[[ArtifactType, Path, int], Awaitable[None]]
"""Looks whether a file of that size is of its type. Raises RefusedError."""


async def check_here(kind: ArtifactType, file: Path, _size_bytes: int) -> None:
    """Look whether a file is of its type, in a thread of this process: for tests, which make the file themselves."""
    await asyncio.to_thread(format_check.check, kind, str(file))


class Inspection:
    """Looks into files. read_onnx, check_format: in processes of their own, `OnnxProcess` and `FormatProcess`."""

    def __init__(self, read_onnx: OnnxReader, check_format: FormatReader = check_here) -> None:
        self._read_onnx, self._check_format = read_onnx, check_format
        # The values of 4 MiB of JSON take 130 MB: one file at a time.
        self._parsing = FairTurns(1)

    async def look_into(self, kind: ArtifactType, file: Path, size_bytes: int) -> ModelFile | None:
        """Return what a model file declares, None for other types.

        Raises InvalidArgument, reason ARTIFACT_TYPE_REFUSED, when the bytes are not what the type says.
        """
        try:
            if size_bytes == 0:
                raise RefusedError("is empty")
            if kind is ArtifactType.ONNX:
                await asyncio.to_thread(_refuse_familiar, file)
                return await self._read_onnx(file, size_bytes)
            if kind in format_check.CHECKED:
                await self._check_format(kind, file, size_bytes)
                return None
            if kind is ArtifactType.PARQUET:
                await asyncio.to_thread(_check_parquet, file, size_bytes)
                return None
            if kind is ArtifactType.OPAQUE:
                return None
            async with self._parsing.turn():
                await asyncio.to_thread(_check_json, file, size_bytes)
            return None
        except RefusedError as error:
            raise type_refused(f"the file {error}") from None


def type_refused(description: str) -> InvalidArgument:
    """Return the error for bytes that are not taken."""
    return invalid("chunk", description, reason="ARTIFACT_TYPE_REFUSED")


class OnnxProcess:
    """Reads ONNX files in child processes with limits, few at a time."""

    def __init__(self, *, timeout_s: float, at_once: int = 2) -> None:
        self._timeout_s = timeout_s
        self._turns = FairTurns(at_once)

    async def __call__(self, file: Path, size_bytes: int) -> ModelFile:
        """Return what a file declares. Raises RefusedError, also when the parser dies of the file."""
        memory = CHECK_MEMORY_BYTES + CHECK_MEMORY_PER_BYTE * size_bytes
        arguments = ("-m", onnx_check.__name__, str(file), str(memory), str(int(self._timeout_s) + 1))
        async with self._turns.turn():
            code, output = await self._run(*arguments)
        lines = output.splitlines()
        if not lines:
            if code == -signal.SIGXCPU:
                raise RefusedError(f"takes more than {trial.CPU_S:g} s of a processor to load")
            log.warning("model check died", code=code)
            raise RefusedError("could not be read as an ONNX model: the parser stopped")
        answer = json.loads(lines[-1])
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        declared = _MODEL_FILE.validate_python(answer["file"])
        return declared if len(lines) > 1 else replace(declared, trial=_died(code))

    async def try_out(self, request: Request, size_bytes: int) -> Trial | None:
        """Return what became of running a model; None where this runtime cannot say."""
        memory = CHECK_MEMORY_BYTES + CHECK_MEMORY_PER_BYTE * size_bytes
        asked = next(file for file in (request.model, request.given) if file is not None).with_suffix(".request")
        asked.write_bytes(REQUEST.dump_json(request))
        arguments = ("-m", trial_check.__name__, str(asked), str(memory), str(int(self._timeout_s) + 1))
        try:
            async with self._turns.turn():
                code, output = await self._run(*arguments)
        except RefusedError as error:
            return Trial(f"it {error}")
        return _TRIAL.validate_json(output) if code == 0 and output else _died(code)

    async def _run(self, *arguments: str) -> tuple[int, bytes]:
        try:
            return await run_confined(arguments, timeout_s=self._timeout_s, max_answer_bytes=MAX_ANSWER_BYTES)
        except TimeoutError:
            raise RefusedError(f"could not be read and run as an ONNX model within {self._timeout_s:g} s") from None
        except AnswerTooLargeError:
            raise RefusedError("declares too much") from None
        except OSError as error:
            raise _unavailable() from error


class FormatProcess:
    """Looks into files of other formats than ONNX in child processes with limits, few at a time."""

    def __init__(self, *, timeout_s: float, at_once: int = 2) -> None:
        self._timeout_s = timeout_s
        self._turns = FairTurns(at_once)

    async def __call__(self, kind: ArtifactType, file: Path, size_bytes: int) -> None:
        """Raise RefusedError unless a file is of its type, also when what reads it dies of the file."""
        # What is parsed whole is text, whose values take many times as much; archives are only listed.
        parsed = min(size_bytes, format_check.MAX_TREES_BYTES) * CHECK_MEMORY_PER_TEXT_BYTE
        arguments = (kind.value, str(file), str(CHECK_MEMORY_BYTES + parsed), str(int(self._timeout_s) + 1))
        try:
            async with self._turns.turn():
                code, output = await run_confined(
                    ("-m", format_check.__name__, *arguments), timeout_s=self._timeout_s, max_answer_bytes=64 * 1024
                )
        except (TimeoutError, AnswerTooLargeError):
            raise RefusedError(f"could not be read as {kind.name} within {self._timeout_s:g} s") from None
        except OSError as error:
            raise _unavailable() from error
        if code != 0 or not output:
            log.warning("format check died", code=code, type=kind.value)
            raise RefusedError(f"could not be read as {kind.name}: what reads it stopped")
        if refused := json.loads(output).get("refused"):
            raise RefusedError(refused)


def _unavailable() -> Unavailable:
    return Unavailable("model files cannot be looked into now", reason="CHECK_UNAVAILABLE", retry_after_s=1.0)


_MODEL_FILE = TypeAdapter(ModelFile)
_TRIAL: TypeAdapter[Trial | None] = TypeAdapter(Trial | None)


def _died(code: int) -> Trial:
    """Return what became of a model whose process did not live to say it."""
    if code == -signal.SIGXCPU:
        return Trial(f"it takes more than {trial.CPU_S:g} s of a processor for one row")
    return Trial(f"the process that runs a row dies (exit code {code})")


def _refuse_familiar(file: Path) -> None:
    with file.open("rb") as opened:
        head = opened.read(4)
    for magic, what in _FAMILIAR.items():
        if head.startswith(magic):
            raise RefusedError(f"is {what}, not an ONNX model: export the model to ONNX")


def _check_parquet(file: Path, size_bytes: int) -> None:
    """A Parquet file begins and ends with its magic; before the last one is the length of its footer."""
    if size_bytes < 3 * len(_PARQUET_MAGIC):
        raise RefusedError("is too short to be Parquet")
    with file.open("rb") as opened:
        head = opened.read(len(_PARQUET_MAGIC))
        opened.seek(-8, os.SEEK_END)
        footer_bytes, tail = int.from_bytes(opened.read(4), "little"), opened.read(4)
    if head != _PARQUET_MAGIC or tail != _PARQUET_MAGIC:
        raise RefusedError("is not Parquet: it does not begin and end with PAR1")
    if not 0 < footer_bytes <= size_bytes - 3 * len(_PARQUET_MAGIC):
        raise RefusedError("is not Parquet: its footer does not fit into it")


def _check_json(file: Path, size_bytes: int) -> None:
    if size_bytes > MAX_JSON_BYTES:
        raise RefusedError(f"is {size_bytes} bytes of JSON; at most {MAX_JSON_BYTES}")

    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON, write null")

    try:
        json.loads(file.read_bytes().decode("utf-8"), parse_constant=refuse_constant)
    except UnicodeDecodeError:
        raise RefusedError("is not JSON: its bytes are not UTF-8") from None
    except ValueError as error:
        raise RefusedError(f"is not JSON: {error}") from None
    except RecursionError:
        raise RefusedError("is JSON that is nested too deeply") from None
