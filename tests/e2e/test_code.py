"""A stack that takes code, signed: the specification's handler as code and as a graph, with the same answers."""

import asyncio
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.json_format import MessageToJson
from headrace_servicekit.testing import eventually
from headrace_stack.testing import held_stack

from examples.handler import graph
from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.models import onnx_models
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(400)]

CODE = Path(graph.__file__).with_name("model.py")
ACTS = {"well": 0, "fork": 1, "eat": 2, "sleep": 3, "tell": 4, "read": 5, "call": 6}
HOSTILE = '''
import os
import socket
import sys
import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Does what its row says; answers 1 where it was let, 0 where it was refused."""

    def execute(self, requests):
        rows = requests[0].inputs()[0].as_numpy()
        act = int(rows[0, 0])
        let = 1.0
        try:
            if act == 1:
                os.fork()
            elif act == 2:
                kept = [bytearray(64 * 2**20) for _ in range(1000)]
            elif act == 3:
                time.sleep(3600)
            elif act == 4:
                print(sorted(os.environ.items()), "abracadabra", flush=True)
                print("abracadabra", file=sys.stderr, flush=True)
            elif act == 5:
                open("/etc/passwd").read()
            elif act == 6:
                socket.create_connection(("127.0.0.1", 8080), 2)
        except OSError:
            let = 0.0
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", np.full(rows.shape, let, np.float32))])]
'''


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a private key and the policy that asks for it, made as the documents say."""
    folder = tmp_path_factory.mktemp("keys")
    for command in (
        ("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "release.pem"),
        ("ec", "-in", "release.pem", "-pubout", "-out", "release.pub"),
    ):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True, timeout=30)
    public = (folder / "release.pub").read_text()
    (folder / "policy.toml").write_text(
        f"[signers.release]\npublic_key = '''{public}'''\n[require]\ncode = ['release']\nproduction = ['release']\n"
    )
    return folder


def signed(headrace: Headrace, keys: Path, model: Path, *artifacts: str) -> tuple[str, str]:
    """Sign a version as it will be registered."""
    out = str(headrace.folder / f"{len(list(headrace.folder.glob('*.sig')))}.sig")
    headrace("models", "sign", str(model), *artifacts, "--key", str(keys / "release.pem"), "--output", out)
    return "--signature", out


@pytest.fixture(scope="module")
def taking_code(keys: Path) -> Iterator[RunningStack]:
    told = {
        "REGISTRY_ALLOW_CODE": "true",
        "BATCHER_ALLOW_CODE": "true",
        "REGISTRY_SIGNING_POLICY_FILE": str(keys / "policy.toml"),
    }
    os.environ.update(told)
    try:
        with held_stack(home_for_tests(f"code-{os.getpid()}")) as settings:
            yield RunningStack(settings)
    finally:
        for name in told:
            del os.environ[name]


@pytest.fixture
def headrace(taking_code: RunningStack, tmp_path: Path, request: pytest.FixtureRequest) -> Headrace:
    return Headrace(taking_code, tmp_path, "handler")


def test_the_handler_answers_alike_as_signed_code_and_as_a_graph(headrace: Headrace, keys: Path) -> None:
    told = graph.weights()
    (headrace.folder / "weights.json").write_text(json.dumps(told))
    (headrace.folder / "contract.json").write_text(MessageToJson(graph.contract()))
    (headrace.folder / "model.onnx").write_bytes(graph.graph(told).SerializeToString())
    contract = ("--contract", str(headrace.folder / "contract.json"))
    weights = ("--artifact", f"weights.json={headrace.folder / 'weights.json'}")

    unsigned = headrace.run("models", "register", "handler", "v1", str(CODE), *contract, *weights, *GOOD)
    assert unsigned.exit_code != 0
    assert "--signature" in unsigned.stderr
    by_key = signed(headrace, keys, CODE, *weights)
    headrace("models", "register", "handler", "v1", str(CODE), *contract, *weights, *by_key, *GOOD)
    model = headrace.folder / "model.onnx"
    by_key = signed(headrace, keys, model)
    tampered = headrace.folder / "tampered.onnx"
    tampered.write_bytes(graph.graph(graph.weights(seed=2)).SerializeToString())
    refused = headrace.run("models", "register", "handler", "v2", str(tampered), *contract, *by_key, *GOOD)
    assert "is of another 'model.onnx'" in refused.stderr
    headrace("models", "register", "handler", "v2", str(model), *contract, *by_key, *GOOD)
    headrace("models", "register", "handler", "v3", str(tampered), *contract, *GOOD)
    assert "has no signature" in headrace.run("models", "promote", "handler", "v3").stderr

    draw = np.random.default_rng(1)
    sizes = {one.name: list(one.shape) for one in graph.contract().inputs}
    rows = [{name: draw.normal(size=size).round(4).tolist() for name, size in sizes.items()} for _ in range(4)]
    found = []
    for version in ("v1", "v2"):
        headrace("models", "promote", "handler", version)
        answer = headrace("predict", "handler", "--rows", json.dumps(rows))
        assert answer["version"] == version
        found.append(answer["outputs"])
    np.testing.assert_allclose(found[0]["scores"], found[1]["scores"], rtol=1e-4)
    assert found[0]["labels"] == found[1]["labels"]


async def test_code_that_misbehaves_is_contained_and_others_keep_answering(headrace: Headrace, keys: Path) -> None:
    model, folder = "hostile", headrace.folder
    (folder / "model.py").write_text(HOSTILE)
    told = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}
    told["outputs"] = [{"name": "y", "datatype": "FP32", "shape": [1]}]
    (folder / "hostile.json").write_text(json.dumps(told))
    contract = ("--contract", str(folder / "hostile.json"))
    by_key = signed(headrace, keys, folder / "model.py")
    headrace("models", "register", model, "v1", str(folder / "model.py"), *contract, *by_key, *GOOD)
    headrace("models", "promote", model, "v1")
    neighbour = onnx_models.linear(4, 3)
    file = headrace.file("neighbour.onnx", neighbour)
    headrace("models", "register", "neighbour", "v1", file, *signed(headrace, keys, Path(file)), *GOOD)
    headrace("models", "promote", "neighbour", "v1")

    def neighbour_answers() -> bool:
        return headrace("predict", "neighbour", "--rows", "[[0, 1, 2, 3]]")["version"] == "v1"

    def ask(name: str) -> float | None:
        """Return 1.0 for what was let, 0.0 for what was refused, None where there was no answer."""
        done = headrace.run("predict", model, "--rows", json.dumps([[ACTS[name]]]), "--timeout", "8s", "--json")
        assert neighbour_answers()
        return json.loads(done.stdout)["outputs"]["y"][0][0] if done.exit_code == 0 else None

    async def act(name: str) -> float | None:
        return await asyncio.to_thread(ask, name)

    assert await act("well") == 1.0
    assert [await act(name) for name in ("fork", "read", "call")] == [0.0, 0.0, 0.0]
    assert await act("tell") == 1.0
    logs = [path for path in headrace.stack.settings.logs.rglob("*") if path.is_file()]
    assert logs
    assert [path for path in logs if b"abracadabra" in path.read_bytes()] == []
    assert await act("eat") is None
    assert await act("sleep") is None
    # Its process was ended for it; a new one answers who asks for something else.
    await eventually(lambda: asyncio.to_thread(lambda: ask("well") == 1.0), within=90, every=1)


def test_a_bomb_and_requirements_that_are_not_locked_are_refused_where_they_are_uploaded(
    headrace: Headrace, keys: Path
) -> None:
    folder, bomb = headrace.folder, headrace.folder / "model.zip"
    contract = folder / "contract.json"
    contract.write_text(MessageToJson(graph.contract()))
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("saved_model.pb", bytes(64 * 1024 * 1024))
    refused = headrace.run("models", "register", "bomb", "v1", str(bomb), "--contract", str(contract), *GOOD)
    assert "unpacks to" in refused.stderr
    code = folder / "loose"
    code.mkdir()
    (code / "model.py").write_bytes(CODE.read_bytes())
    (code / "requirements.txt").write_text("numpy\n")
    refused = headrace.run("models", "register", "loose", "v1", str(code), "--contract", str(contract), *GOOD)
    assert "line 1: 'numpy' has no exact version" in refused.stderr
