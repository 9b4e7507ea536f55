"""A stack that takes code, signed: the specification's handler as code and as a graph, with the same answers."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.json_format import MessageToJson
from headrace_stack.testing import held_stack

from examples.handler import graph
from tests.kit.headrace_cli import GOOD, Headrace
from tests.kit.stack import RunningStack
from tests.kit.stores import home_for_tests

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(400)]

CODE = Path(graph.__file__).with_name("model.py")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a private key and the file of public ones, made as the documents say."""
    folder = tmp_path_factory.mktemp("keys")
    for command in (
        ("genpkey", "-algorithm", "ed25519", "-out", "code.pem"),
        ("pkey", "-in", "code.pem", "-pubout", "-out", "code-keys.pem"),
    ):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True, timeout=30)
    return folder


@pytest.fixture(scope="module")
def taking_code(keys: Path) -> Iterator[RunningStack]:
    told = {
        "REGISTRY_ALLOW_CODE": "true",
        "BATCHER_ALLOW_CODE": "true",
        "REGISTRY_CODE_KEYS_FILE": str(keys / "code-keys.pem"),
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
    assert "--sign-key" in unsigned.stderr
    signed = ("--sign-key", str(keys / "code.pem"))
    headrace("models", "register", "handler", "v1", str(CODE), *contract, *weights, *signed, *GOOD)
    headrace("models", "register", "handler", "v2", str(headrace.folder / "model.onnx"), *contract, *GOOD)

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
