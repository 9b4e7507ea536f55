"""Clients of the Open Inference Protocol as their makers ship them, against the front door of the whole stack."""

from __future__ import annotations

import gc
import queue
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from headrace_client import Client
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.kit.models import onnx_models
from tests.kit.router.inference_requests import parameters_of
from tests.kit.stack.served_models import LINEAR, MODELS, PAIR, ROW, WORDS, Served, serve

PERF_ANALYZER = Path(sys.executable).with_name("perf_analyzer")
SCORES = MODELS[LINEAR].expected({"features": ROW})["scores"]
EVERY = "inference-every"
WIDE = "inference-wide"
# By the names of the model's inputs; BF16 is the protocol's only other datatype, and numpy has none.
DTYPES: dict[str, Any] = {
    "bool": np.bool_, "int8": np.int8, "int16": np.int16, "int32": np.int32, "int64": np.int64, "uint8": np.uint8,
    "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64, "fp16": np.float16, "fp32": np.float32,
    "fp64": np.float64, "bytes": np.object_,
}  # fmt: skip


@pytest.fixture
def token(served: Served) -> dict[str, str]:
    # Of each test its own: the HTTP client adds headers of a request to the dictionary that it is given.
    return {"authorization": f"Bearer {served.stack.token('triton', scopes=['predict'])}"}


@pytest.fixture(scope="module")
def by_grpc(served: Served) -> Iterator[Any]:
    with triton_grpc.InferenceServerClient(served.stack.address) as client:
        yield client


@pytest.fixture(scope="module")
def by_http(served: Served) -> Iterator[Any]:
    with triton_http.InferenceServerClient(served.stack.address, concurrency=4) as client:
        yield client
    gc.collect()  # what it left open is seen here and not in another test


@pytest.fixture(scope="module")
def every(served: Served) -> dict[str, np.ndarray]:
    """A model that gives back what it is given, in every datatype, and what to give it."""
    with Client(served.stack.address, token=served.stack.token) as client:
        serve(client, EVERY, {"1": onnx_models.every_element()})
    return {name: np.array([extremes(dtype), extremes(dtype)[::-1]], dtype) for name, dtype in DTYPES.items()}


def extremes(dtype: Any) -> tuple[Any, Any]:
    kind = np.dtype(dtype).kind
    if kind == "O":
        return "grün", ""
    if kind == "b":
        return False, True
    info: Any = np.finfo(dtype) if kind == "f" else np.iinfo(dtype)
    return info.min, info.max


def of_grpc(name: str, array: np.ndarray) -> Any:
    given = triton_grpc.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
    given.set_data_from_numpy(array)
    return given


def of_http(name: str, array: np.ndarray, *, binary: bool = True) -> Any:
    given = triton_http.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
    given.set_data_from_numpy(array, binary_data=binary)
    return given


class TestGrpc:
    def test_a_model_is_asked_and_says_what_answered(self, by_grpc: Any, token: dict[str, str]):
        result = by_grpc.infer(LINEAR, [of_grpc("features", ROW)], request_id="r-17", headers=token)
        np.testing.assert_allclose(result.as_numpy("scores"), SCORES, rtol=1e-5)
        response = result.get_response()
        assert (response.model_name, response.model_version, response.id) == (LINEAR, "v1", "r-17")
        told = parameters_of(response)
        assert told["headrace_served_from"] in ("online", "cache")
        assert told["headrace_variant"] == "production"

    def test_outputs_are_chosen_and_a_version_is_pinned(self, by_grpc: Any, token: dict[str, str]):
        row = np.array([[1, 2, 3]], np.float32)
        wanted = [triton_grpc.InferRequestedOutput("sum")]
        result = by_grpc.infer(
            PAIR, [of_grpc("a", row), of_grpc("b", row)], model_version="v1", outputs=wanted, headers=token
        )
        np.testing.assert_array_equal(result.as_numpy("sum"), row + row)
        assert result.as_numpy("dot") is None

    def test_many_calls_are_in_flight_at_once(self, by_grpc: Any, token: dict[str, str]):
        answers: queue.Queue[Any] = queue.Queue()
        for _ in range(20):
            by_grpc.async_infer(
                LINEAR, [of_grpc("features", ROW)], lambda result, error: answers.put(error or result), headers=token
            )
        for _ in range(20):
            np.testing.assert_allclose(answers.get(timeout=20).as_numpy("scores"), SCORES, rtol=1e-5)

    def test_a_stream_answers_each_request_by_its_id_and_an_error_ends_only_its_own(
        self, by_grpc: Any, token: dict[str, str]
    ):
        answers: queue.Queue[Any] = queue.Queue()
        by_grpc.start_stream(lambda result, error: answers.put((result, error)), headers=token)
        for number in range(20):
            by_grpc.async_stream_infer(LINEAR, [of_grpc("features", ROW)], request_id=f"r-{number}")
        by_grpc.async_stream_infer("inference-none", [of_grpc("features", ROW)], request_id="r-20")
        got = [answers.get(timeout=20) for _ in range(21)]
        by_grpc.stop_stream()
        (failed,) = [error for _, error in got if error is not None]
        assert "'inference-none' not found" in str(failed)
        results = [result for result, error in got if error is None]
        assert {result.get_response().id for result in results} == {f"r-{number}" for number in range(20)}
        for result in results:
            np.testing.assert_allclose(result.as_numpy("scores"), SCORES, rtol=1e-5)

    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_messages_may_be_compressed(self, by_grpc: Any, token: dict[str, str], algorithm: str):
        result = by_grpc.infer(LINEAR, [of_grpc("features", ROW)], headers=token, compression_algorithm=algorithm)
        np.testing.assert_allclose(result.as_numpy("scores"), SCORES, rtol=1e-5)

    def test_words_pass(self, by_grpc: Any, token: dict[str, str]):
        words = np.array([["grün", ""]], np.object_)
        result = by_grpc.infer(WORDS, [of_grpc("x", words)], headers=token)
        assert [word.decode() for word in result.as_numpy("y").ravel()] == ["grün", ""]

    def test_the_server_and_models_are_described(self, by_grpc: Any, token: dict[str, str]):
        assert by_grpc.is_server_live()
        assert by_grpc.is_server_ready()
        assert by_grpc.is_model_ready(LINEAR, headers=token)
        assert by_grpc.is_model_ready(LINEAR, "v1", headers=token)
        assert not by_grpc.is_model_ready("inference-none", headers=token)
        assert by_grpc.get_server_metadata(headers=token).name == "headrace"
        metadata = by_grpc.get_model_metadata(LINEAR, headers=token)
        assert [(one.name, one.datatype, list(one.shape)) for one in metadata.inputs] == [("features", "FP32", [-1, 4])]
        config = by_grpc.get_model_config(LINEAR, headers=token).config
        assert (config.name, config.input[0].name) == (LINEAR, "features")
        assert LINEAR in {model.name for model in by_grpc.get_model_repository_index(headers=token).models}
        (stats,) = by_grpc.get_inference_statistics(LINEAR, headers=token).model_stats
        assert (stats.name, stats.version) == (LINEAR, "1")  # as a number: perf_analyzer ends at any other name

    def test_what_is_refused_says_why(self, by_grpc: Any, token: dict[str, str]):
        for ask, told in (
            (lambda: by_grpc.infer(LINEAR, [of_grpc("feature", ROW)], headers=token), "unknown input 'feature'"),
            (lambda: by_grpc.infer(LINEAR, [of_grpc("features", ROW)]), "a token is required"),
            (lambda: by_grpc.load_model(LINEAR, headers=token), "headrace models promote"),
            (lambda: by_grpc.get_system_shared_memory_status(headers=token), "raw_input_contents"),
        ):
            with pytest.raises(InferenceServerException, match=told):
                ask()


class TestHttp:
    @pytest.mark.parametrize("compressed", [None, "gzip", "deflate"])
    @pytest.mark.parametrize("answered", [True, False, None])
    @pytest.mark.parametrize("asked", [True, False])
    def test_tensors_go_as_bytes_or_as_json_and_come_back_as_either(
        self, by_http: Any, token: dict[str, str], asked: bool, answered: bool | None, compressed: str | None
    ):
        wanted = None if answered is None else [triton_http.InferRequestedOutput("scores", binary_data=answered)]
        result = by_http.infer(
            LINEAR, [of_http("features", ROW, binary=asked)], outputs=wanted, headers=token, request_id="r-18",
            request_compression_algorithm=compressed, response_compression_algorithm=compressed,
        )  # fmt: skip
        np.testing.assert_allclose(result.as_numpy("scores"), SCORES, rtol=1e-5)
        response = result.get_response()
        assert (response["model_version"], response["id"]) == ("v1", "r-18")
        assert response["parameters"]["headrace_served_from"] in ("online", "cache")

    def test_many_requests_are_in_flight_at_once(self, by_http: Any, token: dict[str, str]):
        asked = [by_http.async_infer(LINEAR, [of_http("features", ROW)], headers=token) for _ in range(8)]
        for one in asked:
            np.testing.assert_allclose(one.get_result().as_numpy("scores"), SCORES, rtol=1e-5)

    @pytest.mark.parametrize("binary", [True, False])
    def test_words_pass(self, by_http: Any, token: dict[str, str], binary: bool):
        words = np.array([["grün", ""]], np.object_)
        result = by_http.infer(WORDS, [of_http("x", words, binary=binary)], headers=token)
        assert [word.decode() for word in result.as_numpy("y").ravel()] == ["grün", ""]

    def test_the_server_and_models_are_described(self, by_http: Any, token: dict[str, str]):
        assert by_http.is_server_live()
        assert by_http.is_server_ready()
        assert by_http.is_model_ready(LINEAR, headers=token)
        assert not by_http.is_model_ready("inference-none", headers=token)
        assert "binary_tensor_data" in by_http.get_server_metadata(headers=token)["extensions"]
        metadata = by_http.get_model_metadata(LINEAR, "v1", headers=token)
        assert metadata["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]
        assert by_http.get_model_config(LINEAR, headers=token)["max_batch_size"] > 0
        index = by_http.get_model_repository_index(headers=token)
        assert {"name": LINEAR, "version": "v1", "state": "READY", "reason": ""} in index
        by_http.infer(LINEAR, [of_http("features", ROW)], headers=token)
        (stats,) = by_http.get_inference_statistics(LINEAR, headers=token)["model_stats"]
        assert stats["inference_stats"]["success"]["count"] >= 1

    def test_what_is_refused_says_why(self, by_http: Any, token: dict[str, str]):
        for ask, told in (
            (lambda: by_http.infer(LINEAR, [of_http("feature", ROW)], headers=token), "unknown input 'feature'"),
            (lambda: by_http.infer(LINEAR, [of_http("features", ROW)]), "a token is required"),
            (lambda: by_http.get_model_metadata("inference-none", headers=token), "'inference-none' not found"),
            (lambda: by_http.load_model(LINEAR, headers=token), "headrace models promote"),
            (lambda: by_http.infer(LINEAR, [of_http("features", ROW)], sequence_id=7, headers=token), "sequence"),
        ):
            with pytest.raises(InferenceServerException, match=told):
                ask()


def test_models_that_the_token_does_not_name_are_not_there(served: Served, by_grpc: Any, by_http: Any):
    token = {"authorization": f"Bearer {served.stack.token('restricted', scopes=['predict'], models=[PAIR])}"}
    for client in (by_grpc, by_http):
        assert client.is_model_ready(PAIR, headers=dict(token))
        assert not client.is_model_ready(LINEAR, headers=dict(token))
        for ask in (client.get_model_metadata, client.get_model_config, client.get_inference_statistics):
            with pytest.raises(InferenceServerException, match=f"model '{LINEAR}' not found"):
                ask(LINEAR, headers=dict(token))
    for client, of in ((by_grpc, of_grpc), (by_http, of_http)):
        with pytest.raises(InferenceServerException, match=f"model '{LINEAR}' not found"):
            client.infer(LINEAR, [of("features", ROW)], headers=dict(token))
    assert [one["name"] for one in by_http.get_model_repository_index(headers=dict(token))] == [PAIR]


@pytest.mark.parametrize("how", ["grpc", "http", "json"])
def test_every_datatype_comes_back_bit_by_bit(
    every: dict[str, np.ndarray], by_grpc: Any, by_http: Any, token: dict[str, str], how: str
):
    if how == "grpc":
        answer = by_grpc.infer(EVERY, [of_grpc(f"x-{name}", rows) for name, rows in every.items()], headers=token)
    else:
        binary = {name: how == "http" or name == "fp16" for name in every}  # which the client sends as bytes only
        given = [of_http(f"x-{name}", rows, binary=binary[name]) for name, rows in every.items()]
        wanted = [triton_http.InferRequestedOutput(f"y-{name}", binary_data=binary[name]) for name in every]
        answer = by_http.infer(EVERY, given, outputs=wanted, headers=token)
    for name, rows in every.items():
        got = answer.as_numpy(f"y-{name}")
        if name == "bytes":
            words = [word if isinstance(word, str) else word.decode() for word in got.ravel()]
            assert words == rows.ravel().tolist()
        else:
            assert (got.dtype, got.tobytes()) == (rows.dtype, rows.tobytes()), name


def perf_analyzer(served: Served, model: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Return what perf_analyzer says of a model, once it has ended."""
    token = served.stack.token("perf", scopes=["predict"])
    return subprocess.run(
        [
            str(PERF_ANALYZER), "-m", model, "-u", served.stack.address, "-H", f"authorization: Bearer {token}",
            "--request-count", "400", "--concurrency-range", "4", *options,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def counted(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Return the server's counts that perf_analyzer shows."""
    server = done.stdout.partition("Server:")[2]
    return {name: int(count) for name, count in re.findall(r"(\w+(?: \w+)? count): (\d+)", server)}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_perf_analyzer_runs_clean(served: Served, protocol: str):
    done = perf_analyzer(served, LINEAR, "-i", protocol, "-b", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "Request count: 400" in done.stdout
    # What ends as the measurement begins or ends is counted outside of it (a score, whatever the number), and other
    # tests ask the same model.
    server = counted(done)
    assert server["Successful request count"] > 300
    # It sends the same rows again and again: all but the first of them come from the cache, which executes nothing.
    assert server["Execution count"] <= server["Inference count"] < 800


@pytest.mark.parametrize("protocol", ["grpc", pytest.param("http", marks=pytest.mark.long)])
def test_perf_analyzer_measures_the_model_when_it_asks_for_new_answers(served: Served, protocol: str):
    done = perf_analyzer(served, LINEAR, "-i", protocol, "-H", "x-headrace-max-age-ms: 0")
    assert done.stderr == ""
    assert counted(done)["Inference count"] > 300
    assert counted(done).get("Cache hit count", 0) < 100


@pytest.mark.parametrize("how", [("--async",), pytest.param((), marks=pytest.mark.long)])
def test_perf_analyzer_streams_clean(served: Served, how: tuple[str, ...]):
    done = perf_analyzer(served, LINEAR, "-i", "grpc", "--streaming", *how)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "Request count: 400" in done.stdout
    assert counted(done)["Successful request count"] > 300


@pytest.mark.parametrize("protocol", ["grpc", pytest.param("http", marks=pytest.mark.long)])
def test_perf_analyzer_says_that_its_random_values_hold_nan(served: Served, protocol: str):
    with Client(served.stack.address, token=served.stack.token) as client:
        serve(client, WIDE, {"1": onnx_models.identity(4096)})
    refused = perf_analyzer(served, WIDE, "-i", protocol)
    assert "input 'x' holds NaN" in refused.stderr
    assert perf_analyzer(served, WIDE, "-i", protocol, "--input-data", "zero").stderr == ""
