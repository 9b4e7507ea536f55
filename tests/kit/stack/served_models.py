"""Models in production on the shared stack, and the ways in which a caller asks them for predictions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_client import Client
from headrace_servicekit.error_details import http_status
from onnx import TensorProto

from tests.kit.clients.refusals import Refusal, grpc_refusal, rest_refusal
from tests.kit.front_door.edge import PREDICT, metadata
from tests.kit.models import onnx_models
from tests.kit.models.onnx_models import TinyModel
from tests.kit.stack.running import RunningStack

LINEAR, PAIR, TABLE, WORDS, TOKENS, SAME = (
    f"served-{name}" for name in ("linear", "pair", "table", "words", "tokens", "same")
)
IDLE = "served-idle"
"""A model with a version that could be promoted, and one without metrics, `bare`."""
NOT_ROUTED = "v2"
"""A version of LINEAR that its route does not name."""

MODELS: Mapping[str, TinyModel] = MappingProxyType(
    {
        LINEAR: onnx_models.linear(),
        PAIR: onnx_models.two_inputs_two_outputs(),
        TABLE: onnx_models.table(),
        WORDS: onnx_models.identity(2, element=TensorProto.STRING),
        TOKENS: onnx_models.variable_dimension(),
        SAME: onnx_models.identity(),
    }
)
GOOD_METRICS = MappingProxyType({"accuracy": 0.95, "latency_p99_ms": 2.0})
ROW = np.array([[0, 1, 2, 3]], np.float32)

_NO_LIMIT = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
# HTTP has names for these that gRPC has not.
_OWN_STATUS = MappingProxyType(
    {"REQUEST_TOO_LARGE": (413,), "HEADERS_TOO_LARGE": (431,), "REQUEST_TOO_SLOW": (408,), "METHOD_NOT_ALLOWED": (405,)}
)
_NO_RETRIES = (("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0))


@dataclass(frozen=True, slots=True)
class Served:
    """The stack with its models, and connections to its front door that one test process shares."""

    stack: RunningStack
    client: Client
    channel: grpc.Channel
    http: httpx.Client
    restarts_before: Mapping[str, int]

    def call(
        self,
        path: str,
        message: Any,
        *,
        token: str | None = "",
        timeout: float = 20.0,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Make a unary gRPC call and return the bytes of the answer; raises grpc.RpcError. token: "" mints one."""
        body = message if isinstance(message, bytes) else message.SerializeToString()
        bearer = metadata(self.stack.token() if token == "" else token, headers)
        return self.channel.unary_unary(path)(body, timeout=timeout, metadata=bearer)

    def predict(self, message: predict_pb2.PredictRequest | bytes, **how: Any) -> predict_pb2.PredictResponse:
        """Ask for a prediction by gRPC; raises grpc.RpcError."""
        return predict_pb2.PredictResponse.FromString(self.call(PREDICT, message, **how))

    def refused(self, path: str, message: Any, **how: Any) -> Refusal:
        """Make a gRPC call that must fail, and return how."""
        try:
            self.call(path, message, **how)
        except grpc.RpcError as error:
            return grpc_refusal(error)
        raise AssertionError(f"{path} was answered")

    def rest(self, method: str, path: str, *, token: str | None = "", **how: Any) -> httpx.Response:
        """Make one HTTP/1.1 request; the path is sent as it is. token: "" mints one."""
        headers = dict(how.pop("headers", {}))
        bearer = self.stack.token() if token == "" else token
        if bearer is not None:
            headers["authorization"] = f"Bearer {bearer}"
        url = self.http.base_url.copy_with(raw_path=path.encode())
        return self.http.request(method, url, headers=headers, **how)

    def rest_refused(self, method: str, path: str, **how: Any) -> Refusal:
        """Make an HTTP request that must be refused as JSON with the status that its code has, and return how."""
        response = self.rest(method, path, **how)
        assert response.status_code >= 400, response.text
        assert response.headers["content-type"] == "application/json"
        refusal = rest_refusal(response)
        assert response.status_code in (http_status(refusal.code.value[0]), *_OWN_STATUS.get(refusal.reason, ()))
        assert (refusal.retry_after_s is None) == ("retry-after" not in response.headers)
        return refusal

    def assert_alive(self) -> None:
        """Assert that a good request is answered rightly, and that nothing had to be started anew meanwhile."""
        answer = self.predict(request(LINEAR, features=ROW))
        np.testing.assert_allclose(output(answer), MODELS[LINEAR].expected({"features": ROW})["scores"], rtol=1e-5)
        assert restarts(self.stack) == self.restarts_before


@pytest.fixture(scope="session")
def served(stack: RunningStack) -> Iterator[Served]:
    """Every model of MODELS in production and ready, LINEAR with a second version, and IDLE with none that serves.

    Each test process asks for all of it; the second one finds it done.
    """
    with (
        Client(stack.address, token=stack.token) as client,
        grpc.insecure_channel(stack.address, (*_NO_LIMIT, *_NO_RETRIES)) as channel,
        httpx.Client(base_url=stack.url, timeout=30, trust_env=False) as http,
        ThreadPoolExecutor(len(MODELS)) as threads,
    ):
        done = [threads.submit(serve, client, name, {"v1": model}) for name, model in MODELS.items()]
        register(client, IDLE, "v1", onnx_models.linear(seed=3))
        register(client, IDLE, "bare", onnx_models.linear(seed=3), metrics={})
        for each in done:
            each.result()
        register(client, LINEAR, NOT_ROUTED, onnx_models.linear(seed=2))
        yield Served(stack, client, channel, http, restarts(stack))


@pytest.fixture
def unharmed(served: Served) -> Iterator[None]:
    """Whatever the test does, afterwards good requests are answered and nothing was started anew."""
    yield
    served.assert_alive()


def restarts(stack: RunningStack) -> dict[str, int]:
    """Return how often each component was started again by its supervisor."""
    return {one.name: one.restarts for one in stack.seen().components}


def serve(client: Client, name: str, versions: Mapping[str, TinyModel], **how: Any) -> None:
    """Register versions of a model, promote the first, and return when it serves."""
    for version, model in versions.items():
        register(client, name, version, model, **how)
    promoted = client.models.promote(name, next(iter(versions)))
    client.routes.await_epoch(name, promoted.model.epoch, timeout=60)


def register(client: Client, name: str, version: str, model: TinyModel, **how: Any) -> None:
    """Register a version that passes the default gates."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.content)
        client.versions.register(name, version, path, **{"metrics": GOOD_METRICS, **how})


def request(model: str, *, version: str = "", outputs: Sequence[str] = (), **inputs: np.ndarray):
    """Return a request with these inputs, rows first. It accepts no kept answer: most tests are about computed ones."""
    message = predict_pb2.PredictRequest(model=model, version=version, outputs=outputs)
    message.max_age.SetInParent()
    for name, array in inputs.items():
        add(message, name, {"f4": "FP32", "f8": "FP64", "i8": "INT64"}[array.dtype.str[1:]], array.shape, array)
    return message


def add(
    message: predict_pb2.PredictRequest, name: str, datatype: str, shape: Sequence[int], content: np.ndarray | bytes
) -> None:
    """Add an input, whether its parts fit together or not."""
    message.inputs.append(tensor_pb2.Tensor(name=name, datatype=datatype, shape=shape))
    message.raw_input_contents.append(content if isinstance(content, bytes) else content.tobytes())


def output(answer: predict_pb2.PredictResponse, index: int = 0) -> np.ndarray:
    """Return one output of an answer, rows first."""
    tensor, content = answer.outputs[index], answer.raw_output_contents[index]
    dtype = {"FP32": "<f4", "INT64": "<i8"}[tensor.datatype]
    return np.frombuffer(content, dtype).reshape(tuple(tensor.shape))


def assert_refused(refusal: Refusal, code: str, reason: str, field: str = "", named: str = "") -> None:
    """Assert a status with our ErrorInfo, a violation of `field`, and a message that names it (or `named` instead)."""
    assert (refusal.code.name, refusal.reason, refusal.domain) == (code, reason, "headrace.dev"), refusal
    assert not field or field in refusal.fields, refusal
    assert (named or field) in refusal.message, refusal
