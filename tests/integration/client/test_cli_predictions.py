"""What the command line sends and says of predictions and how they came about."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2

from tests.kit.clients.fake_cli import Run, document
from tests.kit.clients.fake_routes import TIMING_MS, FakePredictions, echo, labels


def test_predict_reads_numpy_files_by_the_contract(run: Run, predictions: FakePredictions, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((3, 4)))
    result = run("predict", "digits", "--input", "images.npy", "--user", "ada", "--json")
    assert result.exit_code == 0, result.output
    assert document(result)["outputs"] == {"label": [7, 7, 7]}
    sent = predictions.requests[0].inputs[0]
    assert (sent.name, sent.datatype, list(sent.shape)) == ("image", "FP32", [3, 4])
    assert run("predict", "digits", "--input", "image=images.npy").exit_code == 0
    assert run("predict", "digits", "--input", "picture=images.npy").exit_code == 2


def test_text_is_shown_as_text(run: Run, predictions: FakePredictions) -> None:
    predictions.answer = lambda request: predict_pb2.PredictResponse(
        model="digits", version="v1",
        outputs=[tensor_pb2.Tensor(name="word", datatype="BYTES", shape=[1, 1])],
        raw_output_contents=[b"\x06\x00\x00\x00" + "wörld".encode()],
    )  # fmt: skip
    assert "['wörld']" in run("predict", "digits", "--rows", "[[1, 2, 3, 4]]").stdout


def explained(**fields: Any) -> predict_pb2.ExplainResponse:
    told = predict_pb2.ExplainResponse(
        prediction_id="019a0000-0000-7000-8000-000000000000", request_id="r-1", model="digits", client="ada",
        generation=3, bucket=12, variant="stable", variant_version="v1", version="v1", total_us=4200, route_us=200,
        served_from=predict_pb2.PredictResponse.SERVED_FROM_ONLINE, **fields,
    )  # fmt: skip
    told.attempts.add(step="primary", version="v1", pool="default", batcher="b:1", begin_us=200, took_us=4000)
    return told


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npy", b""),
        ("x.npz", b"PK\x03\x04 cut off"),
        ("x.json", b"5"),
        ("x.json", b'{"image": [[0, 1, 2, 3]]}'),
        ("x.json", b"[" * 100_000),
        ("image=x.json", b"[[0, 1], [2]]"),
    ],
)
def test_a_file_that_holds_no_input_is_refused(
    run: Run, predictions: FakePredictions, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name.rpartition("=")[2]).write_bytes(content)
    result = run("predict", "digits", "--input", name)
    assert result.exit_code == 2
    assert "INVALID_ARGUMENT" in result.stderr
    assert predictions.requests == []


def test_an_array_is_read_whatever_its_file_is_called(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "image.npz").open("wb") as file:
        np.save(file, np.zeros((1, 4), np.float32))
    assert run("predict", "digits", "--input", "image.npz").exit_code == 0


def test_an_entity_alone_is_asked_for_without_inputs(run: Run, predictions: FakePredictions) -> None:
    predictions.answer = echo
    assert run("predict", "digits", "--entity", "item-7").exit_code == 0
    assert (predictions.requests[-1].entity_id, len(predictions.requests[-1].inputs)) == ("item-7", 0)
    assert run("predict", "digits").exit_code == 2


def test_explain_finds_an_answer_by_either_id_and_draws_it(run: Run, predictions: FakePredictions) -> None:
    prediction_id = explained().prediction_id
    predictions.explanations = {prediction_id: explained(), "r-1": explained()}
    for name in (prediction_id, "r-1"):
        shown = run("explain", name)
        assert shown.exit_code == 0
        assert "digits: answered from online in 4.20 ms" in shown.stdout
        assert "variant stable (bucket 12) → v1; generation 3 of the route" in shown.stdout
        assert "v1, b:1 of pool default" in shown.stdout
    told = document(run("explain", prediction_id, "--json"))
    assert (told["variant"], told["bucket"], told["attempts"][0]["batcher"]) == ("stable", 12, "b:1")


def test_explain_takes_a_request_id_that_looks_like_a_prediction_id(run: Run, predictions: FakePredictions) -> None:
    predictions.explanations = {"019b0000-0000-7000-8000-000000000000": explained()}
    assert run("explain", "019b0000-0000-7000-8000-000000000000").exit_code == 0


def test_an_answer_that_is_not_explained_teaches_how_to_ask(run: Run) -> None:
    result = run("explain", "unknown")
    assert result.exit_code == 3
    assert "headrace predict --explain" in result.stderr


def test_predict_shows_how_its_answer_came_about(run: Run, predictions: FakePredictions) -> None:
    predictions.explanations = {explained().prediction_id: explained()}
    rows = ("predict", "digits", "--rows", "[[0, 1, 2, 3]]", "--explain")
    shown = run(*rows)
    assert "version v1" in shown.stdout
    assert "digits: answered from online in 4.20 ms" in shown.stdout
    assert document(run(*rows, "--json"))["explanation"]["bucket"] == 12
    predictions.explanations = {}
    shown = run(*rows)
    assert shown.exit_code == 0
    assert "version v1" in shown.stdout
    assert "no explanation" in shown.stderr


def test_predict_shows_where_the_time_went(run: Run, predictions: FakePredictions) -> None:
    rows = ("predict", "digits", "--rows", "[[0, 1, 2, 3]]", "--timing")
    shown = run(*rows)
    assert "3.147 ms: receive 0.061, cache 0.402, queue 0.110, compute 1.930, transit 0.644" in shown.stdout
    assert document(run(*rows, "--json"))["timing_ms"] == TIMING_MS
    assert "timing_ms" not in document(run(*rows[:-1], "--json"))
    predictions.timing = "nonsense"
    shown = run(*rows)
    assert shown.exit_code == 0
    assert "no timing" in shown.stderr


def test_predict_says_when_an_answer_is_degraded(run: Run, predictions: FakePredictions) -> None:
    def degraded(request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        answer = labels(request)
        answer.fallback_step, answer.degraded_reason, answer.version = "calm", "NO_BACKEND", ""
        return answer

    predictions.answer = degraded
    rows = ("predict", "digits", "--rows", "[[0, 1, 2, 3]]")
    shown = run(*rows)
    assert "values that the route gives" in shown.stdout
    assert "degraded: NO_BACKEND, answered by calm" in shown.stdout
    assert document(run(*rows, "--json"))["fallback_step"] == "calm"


def test_wrong_rows_are_refused_by_name(run: Run, predictions: FakePredictions) -> None:
    result = run("predict", "digits", "--rows", '[{"picture": [0, 1, 2, 3]}]')
    assert result.exit_code == 2
    assert "rows[0].picture" in result.stderr
    assert "it takes image" in result.stderr
    assert predictions.requests == []


def test_many_rows_are_shown_in_parts(run: Run, predictions: FakePredictions) -> None:
    rows = "[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]"
    result = run("predict", "digits", "--rows", rows, "--stream", "--user", "ada")
    assert result.exit_code == 0, result.output
    assert "rows 2 to 2" in result.stdout
    assert "rows 0 to 1" in result.stdout
    assert "3 rows in 2 parts" in result.stdout
    parts = document(run("predict", "digits", "--rows", rows, "--stream", "--json"))["parts"]
    assert [(part["first_row"], part["outputs"]["label"]) for part in parts] == [(0, [7, 7]), (2, [7])]
    for option in ("--explain", "--timing"):
        assert run("predict", "digits", "--rows", rows, "--stream", option).exit_code == 2
    assert run("predict", "digits", "--entity", "item-7", "--stream").exit_code == 2
