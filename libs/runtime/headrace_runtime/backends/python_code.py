"""Versions that are Python code as a backend: each in processes of its own, which can do little else than answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from headrace_runtime.backends.backend import LoadError, ModelCrashed, ModelError, ModelFiles, ProcessCrashed
from headrace_runtime.backends.onnx_session import DTYPES
from headrace_runtime.backends.python_parts import WorkerParts
from headrace_runtime.backends.python_process import CONFINEMENTS, CodeLimits, Worker, WorkerEnded
from headrace_runtime.backends.reasons import execution_error, public_reason
from headrace_runtime.backends.triton_repository import Repository
from headrace_runtime.contract import BYTES, Contract
from headrace_runtime.environments import Environments
from headrace_runtime.formats import REQUIREMENTS
from headrace_runtime.shapes import Layout, OutputTensor

log = structlog.get_logger()

_pb: Any = model_config_pb2  # generated without type stubs


@dataclass(slots=True)
class _Loaded:
    """A version: its processes and the environment that they import from.

    free: idle processes; None wakes waiters after the processes were ended. executing: running executions; one whose
    caller left finishes and returns its process. ended: whether all were ended, because one of them ended or hung.
    """

    contract: Contract
    environment: Path | None
    workers: list[Worker] = field(default_factory=list)
    free: asyncio.Queue[Worker | None] = field(default_factory=asyncio.Queue)
    executing: set[asyncio.Future[Any]] = field(default_factory=set)
    ended: bool = False

    def end(self) -> None:
        self.ended = True
        for worker in self.workers:
            worker.kill()
        self.free.put_nowait(None)

    async def idle(self) -> None:
        """Return when everything that was asked of it has an answer, or has none in time."""
        if self.executing:
            await asyncio.wait(self.executing)

    async def gone(self) -> list[Worker]:
        """End it; return the processes that did not end."""
        self.end()
        gone = await asyncio.shield(asyncio.gather(*(worker.gone() for worker in self.workers)))
        await self.idle()
        return [worker for worker, is_gone in zip(self.workers, gone, strict=True) if not is_gone]

    async def take(self) -> Worker:
        """Return a process once one is free. Raises WorkerEnded."""
        worker = await self.free.get()
        if worker is None:
            self.free.put_nowait(None)
            raise WorkerEnded("it was killed")
        return worker


class PythonBackend:
    """Runs `TritonPythonModel` of each version, one request a batch, in as many processes as it has instances.

    root: folder for the files of versions, which is emptied. limits: of each process. timeout_s: an execution that
    takes longer ends its process; of one that answers in parts, between two of them.
    """

    load_control = True

    def __init__(self, root: Path, environments: Environments, *, limits: CodeLimits, timeout_s: float) -> None:
        self._repository = Repository(root / "versions")
        self._environments, self._limits, self._timeout_s = environments, limits, timeout_s
        self._loaded: dict[str, _Loaded] = {}
        # Processes that were killed and did not end, by the version whose code they run.
        self._left: dict[str, list[Worker]] = {}

    async def __aenter__(self) -> PythonBackend:
        await asyncio.to_thread(self._repository.clear)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for name in list(self._loaded):
            await self.unload(name)

    async def load(self, files: ModelFiles) -> None:
        if files.device == "GPU":
            raise LoadError("the version wants a GPU, and Python versions run on CPUs here")
        for spec in (*files.contract.inputs, *files.contract.outputs):
            if spec.datatype not in DTYPES and spec.datatype != BYTES:
                raise LoadError(f"tensor '{spec.name}' is {spec.datatype}, which Python versions cannot have")
        await self._leave_nothing_of(files.name)
        requirements = files.others.get(REQUIREMENTS)
        environment = None if requirements is None else await self._environments.of(requirements)
        await asyncio.to_thread(self._repository.write, files)
        loaded = _Loaded(files.contract, environment)
        try:
            for _ in range(files.instances):
                await self._add_worker(files, loaded)
        except BaseException:
            await self._end(files.name, loaded)
            raise
        before, self._loaded[files.name] = self._loaded.get(files.name), loaded
        if before is not None:
            try:
                await before.idle()  # who was there before is answered as before
            finally:
                await self._end(files.name, before)
            if files.name in self._left:
                await self.unload(files.name)
                await self._leave_nothing_of(files.name)
        await self._environments.tidy([one.environment for one in self._loaded.values() if one.environment is not None])

    async def unload(self, name: str) -> None:
        loaded = self._loaded.pop(name, None)
        if loaded is not None:
            await self._end(name, loaded)
        await asyncio.to_thread(self._repository.remove, name)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        loaded = self._loaded.get(name)
        if loaded is None:
            raise ModelCrashed(f"'{name}' is not loaded")
        execution = asyncio.create_task(self._execute(name, loaded, layout, rows, inputs))
        loaded.executing.add(execution)
        execution.add_done_callback(loaded.executing.discard)
        execution.add_done_callback(_retrieve)
        return await asyncio.shield(execution)

    async def stream(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]
    ) -> AsyncGenerator[list[OutputTensor], None]:
        loaded = self._loaded.get(name)
        if loaded is None:
            raise ModelCrashed(f"'{name}' is not loaded")
        going_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        loaded.executing.add(going_on)
        try:
            parts = WorkerParts(await loaded.take())
            try:
                await parts.worker.send({**_header(loaded.contract, layout, rows, inputs), "parts": True}, inputs)
                while (part := await self._next(parts)) is not None:
                    if "error" in part[0]:
                        raise execution_error(str(part[0]["error"]))
                    yield _outputs(loaded.contract, *part)
            finally:
                self._give_back(loaded, parts)
        except TimeoutError:
            loaded.end()
            raise ProcessCrashed(f"no part came within {self._timeout_s:g} s") from None
        except WorkerEnded as error:
            # Those of others end with the first one, which is no doing of theirs.
            crash = ModelCrashed if loaded.ended else ProcessCrashed
            loaded.end()
            raise crash(f"the process of '{name}' ended: {error}") from None
        finally:
            loaded.executing.discard(going_on)
            going_on.set_result(None)

    async def ready(self) -> bool:
        return True

    def end_model(self, name: str) -> bool:
        """End at once what executes a version; return whether there is anything."""
        loaded = self._loaded.get(name)
        if loaded is not None:
            loaded.end()
        return loaded is not None

    @property
    def processes(self) -> Mapping[str, int]:
        """Return how many processes there are: those that run versions, and those that were killed and did not end."""
        running = sum(worker.running for loaded in self._loaded.values() for worker in loaded.workers)
        left = sum(worker.running for workers in self._left.values() for worker in workers)
        return {"running": running, "left": left}

    async def _end(self, name: str, loaded: _Loaded) -> None:
        """End what runs a version, and keep in mind what did not end."""
        if left := await loaded.gone():
            self._left.setdefault(name, []).extend(left)
            log.error("process not ended", model=name, pids=[worker.pid for worker in left])

    async def _leave_nothing_of(self, name: str) -> None:
        """See to it that no process of before is there, but those that answer. Raises LoadError."""
        before = self._loaded.get(name)
        if before is not None and before.ended:
            del self._loaded[name]
            await self._end(name, before)
        left = [worker for worker in self._left.pop(name, ()) if worker.running]
        if left:
            self._left[name] = left
            pids = ", ".join(str(worker.pid) for worker in left)
            raise LoadError(
                f"its process {pids} was killed and has not ended: it is not started again while that is there; "
                "find what blocks it in the kernel, or restart the batcher's machine"
            )

    async def _add_worker(self, files: ModelFiles, loaded: _Loaded) -> None:
        folder = self._repository.root / files.name / "1"
        path = [] if loaded.environment is None else [loaded.environment]
        try:
            worker = await Worker.start(folder, path, _arguments(files, folder.parent), self._limits)
        except OSError as error:
            raise LoadError(f"no process for it could be started: {error.strerror}") from None
        loaded.workers.append(worker)
        try:
            said = await worker.ready()
        except WorkerEnded as error:
            raise LoadError(f"the process that loads its code ended: {error}") from None
        if "failed" in said:
            raise LoadError(f"its code does not load: {public_reason(str(said['failed']))}")
        if len(loaded.workers) == 1:
            granted = said.get("granted") or ()
            lacks = [one for one in CONFINEMENTS if one not in granted]
            log.info("code loaded", model=files.name, granted=granted, lacks=lacks)
        loaded.free.put_nowait(worker)

    async def _next(self, parts: WorkerParts) -> tuple[Mapping[str, Any], bytes] | None:
        async with asyncio.timeout(self._timeout_s):
            return await parts.next()

    def _give_back(self, loaded: _Loaded, parts: WorkerParts) -> None:
        """Return a process to the pool after an execution whose caller left."""
        if parts.over:
            loaded.free.put_nowait(parts.worker)
            return
        ending = asyncio.create_task(self._withdraw(loaded, parts), name="withdraw a request")
        loaded.executing.add(ending)
        ending.add_done_callback(loaded.executing.discard)

    async def _withdraw(self, loaded: _Loaded, parts: WorkerParts) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await parts.withdraw()
        except (TimeoutError, WorkerEnded):
            loaded.end()
        else:
            loaded.free.put_nowait(parts.worker)

    async def _execute(
        self, name: str, loaded: _Loaded, layout: Layout, rows: int, inputs: Sequence[bytes]
    ) -> list[OutputTensor]:
        try:
            async with asyncio.timeout(self._timeout_s):
                worker = await loaded.take()
                answer, body = await worker.ask(_header(loaded.contract, layout, rows, inputs), inputs)
        except TimeoutError:
            loaded.end()
            raise ModelCrashed(f"an execution took longer than {self._timeout_s:g} s") from None
        except WorkerEnded as error:
            loaded.end()
            raise ModelCrashed(f"the process of '{name}' ended: {error}") from None
        loaded.free.put_nowait(worker)
        if "error" in answer:
            raise execution_error(str(answer["error"]))
        return _outputs(loaded.contract, answer, body)


def _header(contract: Contract, layout: Layout, rows: int, inputs: Sequence[bytes]) -> dict[str, Any]:
    """Return the header of a request to a process; the inputs' bytes follow it."""
    return {
        "inputs": [
            {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape(rows, shape), "size": len(data)}
            for spec, shape, data in zip(layout.inputs, layout.row_shapes, inputs, strict=True)
        ],
        "outputs": [spec.name for spec in contract.outputs],
    }


def _outputs(contract: Contract, answer: Mapping[str, Any], body: bytes) -> list[OutputTensor]:
    """Return the tensors of an answer, which may be anything. Raises ModelError."""
    specs = {spec.name: spec for spec in contract.outputs}
    found, at, view = [], 0, memoryview(body)
    try:
        for one in answer["outputs"]:
            name, size, shape = one["name"], one["size"], tuple(map(int, one["shape"]))
            if (spec := specs.get(name)) is not None:
                shape = spec.rows_first(shape)
                found.append(OutputTensor(name, one["datatype"], shape, bytes(view[at : at + size])))
            at += size
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ModelError("its answer is not what was asked") from None
    return found


def _arguments(files: ModelFiles, folder: Path) -> Mapping[str, str]:
    """Return the arguments of `initialize`, as Triton passes them."""
    config = text_format.Parse((folder / "config.pbtxt").read_text(), _pb.ModelConfig())
    return {
        "model_config": json.dumps(json_format.MessageToDict(config, preserving_proto_field_name=True)),
        "model_name": files.name,
        "model_version": "1",
        "model_repository": str(folder),
        "model_instance_name": files.name,
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
    }


def _retrieve(execution: asyncio.Task[Any]) -> None:
    """Retrieve the outcome of an execution whose caller left."""
    if not execution.cancelled():
        execution.exception()
