"""KServe's and MLServer's own clients, from their wheels in environments of their own, against the running stack."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headrace_stack.foreign_environments import build
from headrace_stack.settings import checkout_of_this_file

from tests.kit.stack.served_models import LINEAR, MODELS, ROW, Served

CHECKOUT = checkout_of_this_file()
SCORES = MODELS[LINEAR].expected({"features": ROW})["scores"].ravel()
READY = [True, True, True, False]


def run(program: str, *command: str, cwd: Path = CHECKOUT) -> str:
    """Run a program of an environment; return what it prints."""
    environment = build(CHECKOUT, program)
    done = subprocess.run(
        [str(environment / "bin" / command[0]), *command[1:]],
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def calls(served: Served, program: str) -> dict[str, Any]:
    """Return what the clients of a program get of LINEAR."""
    token = served.stack.token(program, scopes=["predict"])
    script = str(CHECKOUT / "tests" / "clients" / f"{program}_calls.py")
    return json.loads(run(program, "python", script, served.stack.address, token, LINEAR).splitlines()[-1])


@pytest.fixture(scope="module")
def kserve(served: Served) -> dict[str, Any]:
    return calls(served, "kserve")


@pytest.fixture(scope="module")
def mlserver_calls(served: Served) -> dict[str, Any]:
    return calls(served, "mlserver")


def assert_scores(answer: dict[str, Any], request_id: str | None = "r-1") -> None:
    # KServe reads no version from JSON.
    assert (answer["model"], answer["version"]) in ((LINEAR, "v1"), (LINEAR, None))
    if request_id is not None:
        assert answer["id"] == request_id
    np.testing.assert_allclose(answer["scores"], SCORES, rtol=1e-5)


@pytest.mark.long
def test_kserves_rest_client_infers_in_json_and_in_binary_and_by_its_first_protocol(kserve: dict[str, Any]):
    for how in ("json", "binary", "options"):
        assert_scores(kserve["rest"][how])
    np.testing.assert_allclose(np.ravel(kserve["rest"]["v1"]), SCORES, rtol=1e-5)
    np.testing.assert_allclose(np.ravel(kserve["rest"]["below_kserve"]), SCORES, rtol=1e-5)
    assert kserve["rest"]["below_kserve_ready"] == [True, True]
    assert "404" in kserve["rest"]["below_kserve_unknown"]
    assert "401" in kserve["rest"]["below_kserve_without_token"]
    assert kserve["rest"]["ready"] == READY
    assert "model 'no-such-model' not found" in kserve["rest"]["unknown"]


@pytest.mark.long
def test_kserves_grpc_client_infers_with_typed_and_with_raw_values(kserve: dict[str, Any]):
    for how in ("typed", "raw"):
        assert_scores(kserve["grpc"][how])
    assert kserve["grpc"]["ready"] == READY
    assert kserve["grpc"]["unknown"] == "NOT_FOUND: model 'no-such-model' not found"


def test_mlservers_types_and_codecs_are_understood_both_ways_by_rest(mlserver_calls: dict[str, Any]):
    for how in ("dump", "json"):
        assert_scores(mlserver_calls["rest"][how])
    assert_scores(mlserver_calls["rest"]["whole"], request_id=None)
    assert mlserver_calls["rest"]["inputs"] == [["features", "FP32"]]


def test_mlservers_stubs_and_converters_are_understood_both_ways_by_grpc(mlserver_calls: dict[str, Any]):
    for how in ("typed", "raw"):
        assert_scores(mlserver_calls["grpc"][how])
    assert mlserver_calls["grpc"]["ready"] == [True, True]
    assert mlserver_calls["grpc"]["inputs"] == [["features", "FP32"]]


def test_mlserver_infer_sends_a_file_of_requests(served: Served, tmp_path: Path):
    data = {"name": "features", "shape": [1, 4], "datatype": "FP32", "data": ROW.ravel().tolist()}
    given = tmp_path / "requests.jsonl"
    given.write_text("".join(json.dumps({"id": f"r-{n}", "inputs": [data]}) + "\n" for n in range(6)))
    token = served.stack.token("mlserver", scopes=["predict"])
    answers = tmp_path / "answers.jsonl"
    run(
        "mlserver", "mlserver", "infer", "-u", served.stack.address, "-m", LINEAR, "-i", str(given),
        "-o", str(answers), "-s", "3", "-w", "2", "-H", f"authorization: Bearer {token}", cwd=tmp_path,
    )  # fmt: skip
    found = [json.loads(line) for line in answers.read_text().splitlines()]
    assert sorted(one["id"] for one in found) == [f"r-{n}" for n in range(6)]
    for one in found:
        np.testing.assert_allclose(np.ravel(one["outputs"][0]["data"]), SCORES, rtol=1e-5)
