"""Python versions that answer in parts, in real processes: what is sent, who waits, and what ends them."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from headrace_runtime import shapes
from headrace_runtime.backends.backend import LoadError, ModelCrashed, ModelError, ModelFiles, ProcessCrashed
from headrace_runtime.backends.python_code import PythonBackend
from headrace_runtime.backends.python_process import CodeLimits
from headrace_runtime.contract import Contract, TensorSpec
from headrace_runtime.environments import Environments
from headrace_runtime.formats import Format
from headrace_runtime.probe import Probe
from headrace_servicekit.testing import eventually, patience

CONTRACT = Contract((TensorSpec("n", "INT32", ()),), (TensorSpec("i", "INT32", ()),), decoupled=True)
PARTS_OF_64_KIB = Contract(CONTRACT.inputs, (TensorSpec("i", "UINT8", (-1,)),), decoupled=True)

GENERATOR = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        assert pb_utils.using_decoupled_model_transaction_policy(args["model_config"])

    def execute(self, requests):
        n = int(pb_utils.get_input_tensor_by_name(requests[0], "n").as_numpy()[0])
        for i in range(n):
            yield pb_utils.InferenceResponse([pb_utils.Tensor("i", np.array([i], np.int32))])
        if n == 13:
            raise ValueError("thirteen brings no luck")
"""
# As Triton's own examples of decoupled models are written: a thread sends, and `execute` returns at once.
SENDER = """
import threading
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.inflight, self.lock = 0, threading.Lock()

    def execute(self, requests):
        for request in requests:
            n = int(pb_utils.get_input_tensor_by_name(request, "n").as_numpy()[0])
            thread = threading.Thread(target=self.respond, args=(request.get_response_sender(), n), daemon=True)
            thread.start()
        return None

    def respond(self, sender, n):
        for i in range(n):
            tensor = pb_utils.Tensor("i", np.array([i], np.int32))
            sender.send(pb_utils.InferenceResponse(output_tensors=[tensor]))
        if n == 13:
            error = pb_utils.TritonError("thirteen brings no luck", pb_utils.TritonError.INVALID_ARG)
            sender.send(pb_utils.InferenceResponse(error=error), pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        elif n != 7:
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


class Rig:
    """A backend, and files for it."""

    def __init__(self, backend: PythonBackend, folder: Path) -> None:
        self.backend, self.folder = backend, folder

    async def load(self, source: str, contract: Contract = CONTRACT, instances: int = 1) -> None:
        path = self.folder / "m.py"
        path.write_text(textwrap.dedent(source))
        files = ModelFiles("m", path, contract, 16, instances, kept_as=Format.PYTHON, model_file="model.py")
        await self.backend.load(files)

    def stream(self, n: int, contract: Contract = CONTRACT):
        layout = shapes.layout_of(contract, shapes.FIXED)
        return self.backend.stream("m", layout, 1, [np.array([n], "<i4").tobytes()])

    async def take(self, n: int, got: list[int]) -> None:
        async with aclosing(self.stream(n)) as parts:
            async for (outputs,) in parts:
                got.append(int(np.frombuffer(outputs.data, "<i4")[0]))

    async def all(self, n: int) -> list[int]:
        await self.take(n, got := [])
        return got


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    environments = Environments(tmp_path / "environments", index=str(tmp_path))
    limits = CodeLimits(memory_bytes=256 * 1024**2, load_cpu_s=1.0)
    async with PythonBackend(tmp_path / "code", environments, limits=limits, timeout_s=patience(2.0)) as backend:
        yield Rig(backend, tmp_path)


@pytest.mark.parametrize("source", [GENERATOR, SENDER], ids=["a generator", "a response sender"])
async def test_a_version_answers_with_any_number_of_parts_and_an_error_comes_after_those_before_it(rig, source):
    await rig.load(source)
    assert await rig.all(5) == [0, 1, 2, 3, 4]
    assert await rig.all(0) == []
    got: list[int] = []
    with pytest.raises(ModelError, match="thirteen brings no luck"):
        await rig.take(13, got)
    assert got == list(range(13))
    assert await rig.all(2) == [0, 1]


async def test_code_that_never_sends_its_last_response_fails_and_the_process_goes_on(rig):
    await rig.load(SENDER)
    with pytest.raises(ModelError, match="final flag"):
        await rig.all(7)
    assert await rig.all(1) == [0]


async def test_a_version_waits_for_who_takes_its_parts(rig, tmp_path):
    sent = """
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        sent = 0
        def execute(self, requests):
            n = int(requests[0].inputs()[0].as_numpy()[0])
            if n < 0:
                yield pb_utils.InferenceResponse([pb_utils.Tensor("i", np.zeros((1, self.sent), np.uint8))])
                return
            for self.sent in range(1, n + 1):
                yield pb_utils.InferenceResponse([pb_utils.Tensor("i", np.zeros((1, 65536), np.uint8))])
    """
    await rig.load(sent, PARTS_OF_64_KIB, instances=1)
    async with aclosing(rig.stream(1000, PARTS_OF_64_KIB)) as parts:
        await anext(parts)
        await asyncio.sleep(0.3)  # time in which it would send all of them
    async with aclosing(rig.stream(-1, PARTS_OF_64_KIB)) as parts:
        made = len((await anext(parts))[0].data)
    assert made < 20, "it went on without a reader"


async def test_whoever_leaves_withdraws_the_request_and_the_process_takes_the_next_one(rig):
    await rig.load(GENERATOR)
    for _ in range(3):
        async with aclosing(rig.stream(2_000_000_000)) as parts:
            await anext(parts)
    async with asyncio.timeout(patience(2)):
        assert await rig.all(3) == [0, 1, 2]


async def test_a_cancelled_caller_ends_code_that_looks_whether_anybody_waits(rig):
    looks = """
    import time
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def execute(self, requests):
            sender = requests[0].get_response_sender()
            tensor = pb_utils.Tensor("i", np.array([0], np.int32))
            sender.send(pb_utils.InferenceResponse([tensor]))
            while int(requests[0].inputs()[0].as_numpy()[0]) and not requests[0].is_cancelled():
                time.sleep(0.01)
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    """
    await rig.load(looks)
    taking = asyncio.create_task(rig.all(1))
    await asyncio.sleep(0.1)
    taking.cancel()
    async with asyncio.timeout(patience(1.5)):
        assert await rig.all(0) == [0]


@pytest.mark.long
async def test_silence_between_two_parts_and_a_process_that_dies_are_crashes_of_the_version(rig):
    stuck = """
    import os, time
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def execute(self, requests):
            yield pb_utils.InferenceResponse([pb_utils.Tensor("i", np.array([0], np.int32))])
            if int(requests[0].inputs()[0].as_numpy()[0]):
                os._exit(3)
            time.sleep(60)
    """
    await rig.load(stuck)
    with pytest.raises(ProcessCrashed, match="exit code 3"):
        await rig.all(1)
    await rig.load(stuck)
    with pytest.raises(ProcessCrashed, match="no part came within"):
        await rig.all(0)


async def test_only_the_request_whose_process_died_is_to_blame_and_not_those_that_end_with_it(rig):
    await rig.load(
        """
        import os
        import numpy as np
        import triton_python_backend_utils as pb_utils

        class TritonPythonModel:
            def execute(self, requests):
                n = int(pb_utils.get_input_tensor_by_name(requests[0], "n").as_numpy()[0])
                while True:
                    yield pb_utils.InferenceResponse([pb_utils.Tensor("i", np.array([n], np.int32))])
                    if n:
                        os._exit(3)
        """,
        instances=2,
    )
    async with aclosing(rig.stream(0)) as neighbour:
        await anext(neighbour)
        with pytest.raises(ProcessCrashed):
            await rig.all(1)
        with pytest.raises(ModelCrashed) as ended:
            async for _ in neighbour:
                pass
    assert not isinstance(ended.value, ProcessCrashed)
    with pytest.raises(ModelCrashed) as late:  # before it is loaded again
        await rig.all(0)
    assert not isinstance(late.value, ProcessCrashed)


async def test_a_probe_takes_the_first_part_and_an_empty_answer_is_one(rig):
    await rig.load(GENERATOR)
    probe = Probe(rig.backend, "m", CONTRACT)
    assert await probe.run(1) >= 0  # zeros: no parts at all
    await rig.load(GENERATOR.replace("as_numpy()[0])", "as_numpy()[0]) + 1_000_000"))
    assert await probe.run(1) >= 0
    await eventually(lambda: not rig.backend._loaded["m"].executing)


async def test_a_version_that_answers_once_has_no_sender(rig):
    await rig.load(SENDER, Contract(CONTRACT.inputs, CONTRACT.outputs))
    layout = shapes.layout_of(CONTRACT, shapes.FIXED)
    with pytest.raises(ModelError, match="does not say that it is decoupled"):
        await rig.backend.infer("m", layout, 1, [np.array([1], "<i4").tobytes()])


async def test_only_python_and_oip_versions_may_answer_in_parts():
    from headrace_runtime.backends.backend import check_answers_once

    with pytest.raises(LoadError, match="python and oip"):
        check_answers_once(CONTRACT)
