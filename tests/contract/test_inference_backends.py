"""What every backend of the batcher does alike: one suite on Triton, on ONNX Runtime, and on an MLServer.

Triton and ONNX Runtime are ours: versions are loaded into them. MLServer loads its own, so that here it is told by its
own means what to have, and what is about loading is asked of the others only. A Triton behind the simulator is one
more: without faults nobody can tell it from Triton.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from headrace_runtime.backends.backend import Backend, BackendLost, LoadError, ModelCrashed, ModelError
from headrace_runtime.backends.oip import OipBackend, ServerNames
from headrace_runtime.backends.onnx import OnnxBackend
from headrace_runtime.backends.triton import TritonBackend
from headrace_runtime.backends.triton_repository import Repository
from headrace_runtime.contract import Contract, from_proto
from headrace_runtime.probe import Probe
from headrace_runtime.shapes import ShapeKey, WrongOutput
from headrace_servicekit.http2.channel import Channel
from headrace_servicekit.testing import patience
from onnx import TensorProto

from tests.kit.hostile import slow_models
from tests.kit.models import exported, onnx_models
from tests.kit.models.backends import BUDGET, Rig, oip_backend, triton_backend
from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.models.mlserver import MLServer, running_mlserver
from tests.kit.models.onnx_models import TinyModel
from tests.kit.models.simulator import running_simulator
from tests.kit.models.triton import Triton, running_triton


@pytest.fixture(scope="module")
def shared_triton(triton_command: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """One Triton for the suite: every test loads what it runs."""
    with running_triton(triton_command, tmp_path_factory.mktemp("triton")) as triton:
        yield triton


@pytest.fixture(scope="module")
def shared_mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLServer]:
    """One MLServer for the suite, which is told what to have by its own means."""
    with running_mlserver(tmp_path_factory.mktemp("mlserver")) as server:
        yield server


@pytest.fixture(scope="module")
def shared_simulator(shared_triton: Triton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """The same Triton behind one simulator for the suite; its process is waited for beside the loops of tests."""
    with asyncio.Runner() as runner, ThreadPoolExecutor(1) as beside:
        simulator = running_simulator(tmp_path_factory.mktemp("simulator"), f"--target={shared_triton.address}")
        before = beside.submit(lambda: runner.run(simulator.__aenter__())).result()
        yield replace(shared_triton, address=before.address)
        beside.submit(lambda: runner.run(simulator.__aexit__(None, None, None))).result()


@asynccontextmanager
async def rig_on(kind: str, request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Rig]:
    if kind == "mlserver":
        server: MLServer = request.getfixturevalue("shared_mlserver")
        async with oip_backend(server.address) as backend:
            yield Rig(backend, folder, server.provide)
        return
    async with contextlib.AsyncExitStack() as resources:
        opened = OnnxBackend(threads=2, budget=BUDGET)
        if kind != "onnxruntime":
            opened = triton_backend(request.getfixturevalue(f"shared_{kind}"))
        yield Rig(await resources.enter_async_context(opened), folder)


@pytest.fixture(params=["triton", "simulator", "onnxruntime", "mlserver"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_on(request.param, request, tmp_path) as rig:
        yield rig


@pytest.fixture(params=["triton", pytest.param("simulator", marks=pytest.mark.long), "onnxruntime"])
async def loading_rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """A backend that we load versions into. Through the simulator it is `long`: every `rig` loads through it."""
    async with rig_on(request.param, request, tmp_path) as rig:
        assert rig.backend.load_control
        yield rig


async def test_rows_come_back_as_the_model_computes_them(rig: Rig):
    model = onnx_models.classifier()
    files = rig.files(model)
    await rig.load(files)
    features = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    outputs = await rig.infer(files, [features], 5)
    expected = model.expected({"features": features})
    assert list(outputs) == ["label", "probabilities"]
    # One value per row has the shape of the rows alone, whatever the backend needs inside.
    shape, label = outputs["label"]
    assert shape == (5,)
    np.testing.assert_array_equal(np.frombuffer(label, "<i8"), expected["label"])
    shape, probabilities = outputs["probabilities"]
    assert shape == (5, 3)
    np.testing.assert_allclose(np.frombuffer(probabilities, "<f4").reshape(shape), expected["probabilities"], rtol=1e-5)


@pytest.mark.parametrize(
    ("element", "dtype"),
    [
        (TensorProto.BOOL, "?"),
        (TensorProto.FLOAT16, "<f2"),
        (TensorProto.DOUBLE, "<f8"),
        (TensorProto.INT32, "<i4"),
        (TensorProto.INT64, "<i8"),
    ],
)
async def test_every_datatype_passes_through_bit_by_bit(rig: Rig, element: int, dtype: str):
    files = rig.files(onnx_models.identity(4, element=element))
    await rig.load(files)
    data = np.arange(12).reshape(3, 4).astype(dtype).tobytes()
    assert await rig.infer(files, [data], 3) == {"y": ((3, 4), data)}


async def test_texts_pass_through(rig: Rig):
    files = rig.files(onnx_models.identity(2, element=TensorProto.STRING))
    await rig.load(files)
    data = encoded_texts([b"", "größer".encode(), b"x" * 300, b" "])
    assert await rig.infer(files, [data], 2) == {"y": ((2, 2), data)}


async def test_variable_dimensions_differ_from_execution_to_execution(rig: Rig):
    files = rig.files(onnx_models.variable_dimension())
    await rig.load(files)
    for size in (1, 5):
        tokens = np.ones((2, size), dtype=np.int64)
        outputs = await rig.infer(files, [tokens], 2, ShapeKey((), (size,)))
        assert outputs["doubled"] == ((2, size), (tokens * 2).tobytes())
        assert outputs["lengths"] == ((2,), np.array([size, size], dtype=np.int64).tobytes())


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        pytest.param(onnx_models.table(4), [np.array([99], dtype=np.int64)], id="index beyond the table"),
        pytest.param(
            onnx_models.identity(1, element=TensorProto.STRING), [encoded_texts([b"\xff\xfe"])], id="text not in UTF-8"
        ),
    ],
)
async def test_an_execution_that_fails_says_so_and_the_next_one_works(rig: Rig, model: TinyModel, inputs):
    files = rig.files(model)
    await rig.load(files)
    with pytest.raises(ModelError):
        await rig.infer(files, inputs, 1)
    fine = encoded_texts([b"a"]) if isinstance(inputs[0], bytes) else np.array([1], dtype=np.int64)
    assert await rig.infer(files, [fine], 1)


async def test_a_file_that_is_no_model_is_refused(loading_rig: Rig):
    model = onnx_models.linear()
    with pytest.raises(LoadError, match=r"(?i)protobuf"):
        await loading_rig.backend.load(loading_rig.files(TinyModel(b"nothing", model.contract, model.expected)))


async def test_a_file_that_takes_more_memory_to_load_than_it_may_is_refused(loading_rig: Rig):
    hostile = loading_rig.files(slow_models.vast_constants(2), "vast--v1")
    with pytest.raises(LoadError, match="more memory than it may"):
        await loading_rig.load(hostile)


@pytest.mark.long
async def test_a_file_that_is_never_loaded_ends_at_the_limit_of_its_processor_time_and_the_next_one_loads(
    loading_rig: Rig,
):
    hostile = loading_rig.files(slow_models.billion_laughs(), "hostile--v1")
    started = time.monotonic()
    with pytest.raises(LoadError, match="of a processor"):
        await loading_rig.load(hostile)
    assert time.monotonic() - started < patience(10 * BUDGET.cpu_s)
    await loading_rig.backend.unload(hostile.name)
    fine = loading_rig.files(onnx_models.identity(1), "fine--v1")
    await loading_rig.load(fine)
    assert await loading_rig.infer(fine, [np.zeros((1, 1), dtype=np.float32)], 1)


async def test_an_output_that_the_model_does_not_have_is_found_at_the_latest_by_a_probe(rig: Rig):
    model = onnx_models.linear()
    contract = from_proto(model.contract)
    declared = Contract(contract.inputs, (*contract.outputs, contract.inputs[0]))
    files = rig.files(model, contract=declared)

    async def load_and_probe() -> None:
        await rig.load(files)
        await rig.infer(files, [np.zeros((1, 4), dtype=np.float32)], 1)

    with pytest.raises((LoadError, ModelError, WrongOutput), match="features"):
        await load_and_probe()


@pytest.mark.parametrize("name", exported.NAMES)
async def test_what_exporters_write_answers_as_it_does_where_it_was_made(loading_rig: Rig, name: str):
    model = exported.exported(name)
    files = loading_rig.files(model)
    await loading_rig.load(files)
    rows = 3 if name in exported.BATCHED else 1
    await Probe(loading_rig.backend, files.name, files.contract).warm_up({1, rows})
    given = exported.rows_for(files.contract, rows)
    expected = model.expected({spec.name: one.reshape(spec.shape(rows, one.shape[1:])) for spec, one in given.items()})
    answered = await loading_rig.infer(files, [exported.raw(one) for one in given.values()], rows)
    for name, (shape, data) in answered.items():
        want = expected[name]
        assert shape[0] == rows
        if want.dtype == object:
            assert data == encoded_texts([text.encode() for text in want.ravel()])
        else:
            np.testing.assert_allclose(np.frombuffer(data, want.dtype), want.ravel(), rtol=1e-5)


async def test_loading_again_replaces_and_unloading_forgets(loading_rig: Rig):
    row = np.ones((1, 4), dtype=np.float32)
    for seed in (1, 2):
        model = onnx_models.linear(seed=seed)
        files = loading_rig.files(model)
        await loading_rig.load(files)
        _, scores = (await loading_rig.infer(files, [row], 1))["scores"]
        np.testing.assert_allclose(
            np.frombuffer(scores, "<f4"), model.expected({"features": row})["scores"][0], rtol=1e-5
        )
        await loading_rig.backend.unload(files.name)
        await loading_rig.backend.unload(files.name)
        with pytest.raises(BackendLost):
            await loading_rig.infer(files, [row], 1)


async def test_versions_beside_each_other_do_not_mix(rig: Rig):
    models = {f"tiny--v{seed}": onnx_models.linear(seed=seed) for seed in range(3)}
    files = {name: rig.files(model, name) for name, model in models.items()}
    for one in files.values():
        await rig.load(one)
    row = np.ones((1, 4), dtype=np.float32)
    answers = await asyncio.gather(*(rig.infer(files[name], [row], 1) for name in list(files) * 5))
    for name, answer in zip(list(files) * 5, answers, strict=True):
        expected = models[name].expected({"features": row})["scores"][0]
        np.testing.assert_allclose(np.frombuffer(answer["scores"][1], "<f4"), expected, rtol=1e-5)


async def test_a_backend_that_is_up_says_so(rig: Rig):
    assert await rig.backend.ready() is True


@pytest.mark.parametrize("kind", ["triton", "oip"])
async def test_a_backend_that_nobody_runs_is_lost(kind: str, tmp_path: Path):
    async with Channel("127.0.0.1:1") as channel:
        backend: Backend = OipBackend(channel, names=ServerNames(), execution_timeout_s=1)
        if kind == "triton":
            backend = TritonBackend(channel, Repository(tmp_path), execution_timeout_s=1, load_timeout_s=1)
        rig = Rig(backend, tmp_path)
        files = rig.files(onnx_models.linear())
        with pytest.raises(BackendLost):
            await backend.ready()
        with pytest.raises(BackendLost):
            await backend.load(files)
        with pytest.raises(BackendLost):
            await rig.infer(files, [np.zeros((1, 4), dtype=np.float32)], 1)


async def test_a_server_that_loads_its_own_models_is_left_alone_and_told_from_when_it_has_one(
    shared_mlserver: MLServer, tmp_path: Path
):
    async with oip_backend(shared_mlserver.address) as backend:
        rig, row = Rig(backend, tmp_path), np.ones((1, 4), dtype=np.float32)
        files = rig.files(onnx_models.linear(), "brought--v1")
        assert backend.load_control is False
        with pytest.raises(LoadError, match="the server does not have it: nothing is ready as 'brought--v1'"):
            await backend.load(files)
        await shared_mlserver.provide(files.name, files.path.read_bytes())
        await backend.load(files)
        assert await rig.infer(files, [row], 1)
        await backend.unload(files.name)
        with pytest.raises(BackendLost):
            await rig.infer(files, [row], 1)
        await backend.load(files)  # it was there all the time
        assert await rig.infer(files, [row], 1)
        await shared_mlserver.withdraw(files.name)
        with pytest.raises(ModelCrashed, match="does not have it any more"):
            await rig.infer(files, [row], 1)
        assert await backend.ready()


async def test_a_model_on_the_server_that_is_not_what_was_registered_is_refused(
    shared_mlserver: MLServer, tmp_path: Path
):
    async with oip_backend(shared_mlserver.address) as backend:
        rig, model = Rig(backend, tmp_path, shared_mlserver.provide), onnx_models.linear()
        other = from_proto(onnx_models.identity(4, element=TensorProto.DOUBLE).contract)
        for contract, reason in ((other, "has no input 'x'"), (from_proto(model.contract), "")):
            files = rig.files(model, "other--v1", contract=contract)
            if reason:
                with pytest.raises(LoadError, match=reason):
                    await rig.load(files)
            else:
                await rig.load(files)


async def test_versions_are_found_under_the_names_that_the_server_has_for_them(
    shared_mlserver: MLServer, tmp_path: Path
):
    names = ServerNames("the-{model}-{version}", "")
    async with oip_backend(shared_mlserver.address, names) as backend:
        rig = Rig(backend, tmp_path)
        files = rig.files(onnx_models.linear(), "fraud--v7")
        await shared_mlserver.provide("the-fraud-v7", files.path.read_bytes())
        await backend.load(files)
        assert await rig.infer(files, [np.ones((1, 4), dtype=np.float32)], 1)
