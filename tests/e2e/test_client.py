"""The command line and both clients on the whole stack: from a file to answers, and every refusal with its remedy."""

import json

import numpy as np
import pandas as pd
import pytest
from headrace_client import (
    AsyncClient,
    Client,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from headrace_servicekit.testing import eventually

from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.hostile.unloadable_model import unloadable
from tests.kit.models import onnx_models

ROWS = "[[0, 1, 2, 3], [3, 2, 1, 0]]"


def test_from_a_file_to_an_answer(headrace: Headrace) -> None:
    first, second = onnx_models.linear(seed=1), onnx_models.linear(seed=2)
    registered = headrace("models", "register", headrace.model, "v1", headrace.file("a.onnx", first), *GOOD)
    assert [spec["name"] for spec in registered["version"]["contract"]["inputs"]] == ["features"]
    headrace("models", "register", headrace.model, "v2", headrace.file("b.onnx", second), *GOOD, "--parent", "v1")

    promoted = headrace("models", "promote", headrace.model, "v1", "--reason", "first")
    assert promoted["serving"] is True
    answer = headrace("predict", headrace.model, "--rows", ROWS, "--timing")
    assert (answer["version"], answer["served_from"]) == ("v1", "online")
    total = answer["timing_ms"].pop("total")
    assert {"route", "cache", "queue", "compute"} < answer["timing_ms"].keys()
    assert sum(answer["timing_ms"].values()) == pytest.approx(total, abs=0.01)
    wanted = first.expected({"features": np.array(json.loads(ROWS), np.float32)})["scores"]
    np.testing.assert_allclose(answer["outputs"]["scores"], wanted, rtol=1e-5)

    moved = headrace("routes", "split", headrace.model, "stable:production=50", "challenger:v2=50")
    assert moved["moved_share"] == pytest.approx(0.5, abs=0.001)
    assigned = {user: headrace("routes", "assign", headrace.model, "--user", user) for user in ("a", "b", "c", "d")}
    for user, found in assigned.items():
        answer = headrace("predict", headrace.model, "--rows", ROWS, "--user", user)
        assert (answer["variant"], answer["version"]) == (found["variant"], found["version"])

    assert headrace("models", "promote", headrace.model, "v2")["serving"] is True
    assert headrace.predict()["version"] == "v2"
    assert headrace("models", "rollback", headrace.model, "--reason", "worse")["model"]["production_version"] == "v1"
    events = headrace("models", "history", headrace.model)["events"]
    assert "worse" in [event.get("reason") for event in events]
    (shown,) = [one for one in headrace("status")["models"] if one["model"] == headrace.model]
    assert (shown["production_version"], shown["status"]["state"]) == ("v1", "STATE_ACTIVE")


def test_gates_that_are_not_met_are_all_named_and_can_be_changed(headrace: Headrace) -> None:
    file = headrace.file("a.onnx", onnx_models.linear())
    bad = ("--metric", "accuracy=0.5", "--metric", "latency_p99_ms=500")
    headrace("models", "register", headrace.model, "v1", file, *bad)
    refused = headrace("models", "promote", headrace.model, "v1", code=4)["error"]
    assert refused["reason"] == "PROMOTION_GATE_FAILED"
    assert len(refused["violations"]) == 2
    shown = headrace.run("models", "promote", headrace.model, "v1").stderr
    assert "accuracy" in shown
    assert "latency_p99_ms" in shown
    assert "models gates" in shown

    headrace("models", "gates", headrace.model, "--set", "accuracy>=0.4", "--reason", "a toy")
    assert headrace("models", "promote", headrace.model, "v1")["serving"] is True


def test_a_version_never_changes(headrace: Headrace) -> None:
    same, other = (headrace.file(f"{seed}.onnx", onnx_models.linear(seed=seed)) for seed in (1, 2))
    headrace("models", "register", headrace.model, "v1", same, *GOOD)
    headrace("models", "register", headrace.model, "v1", same, *GOOD)
    refused = headrace("models", "register", headrace.model, "v1", other, *GOOD, code=4)["error"]
    assert refused["reason"] == "VERSION_EXISTS"


def test_a_file_that_is_no_model_is_refused(headrace: Headrace) -> None:
    path = headrace.folder / "model.onnx"
    path.write_bytes(b"not a model")
    refused = headrace("models", "register", headrace.model, "v1", str(path), code=2)["error"]
    assert refused["code"] == "INVALID_ARGUMENT"
    assert headrace("models", "show", headrace.model, code=3)["error"]["reason"] == "MODEL_NOT_FOUND"


def test_a_route_follows_an_alias(headrace: Headrace) -> None:
    headrace.two_versions(production="v1")
    headrace("models", "alias", headrace.model, "champion", "v1")
    headrace("routes", "split", headrace.model, "@champion=100")
    assert headrace.predict()["version"] == "v1"
    epoch = headrace("models", "alias", headrace.model, "champion", "v2")["model"]["epoch"]
    with Client(headrace.stack.address, token=headrace.stack.token()) as client:
        client.routes.await_epoch(headrace.model, int(epoch))
    assert headrace.predict()["version"] == "v2"


async def test_both_clients_answer_alike_and_refuse_alike(headrace: Headrace) -> None:
    file = headrace.file("a.onnx", onnx_models.linear())
    token = headrace.stack.token()
    inputs = {"features": np.ones((3, 4), np.float32)}
    with Client(headrace.stack.address, token=token) as client:
        client.versions.register(
            headrace.model, "v1", file, metrics={"accuracy": 0.9, "latency_p99_ms": 1.0}, description="both"
        )
        promoted = client.models.promote(headrace.model, "v1")
        client.routes.await_epoch(headrace.model, promoted.model.epoch)
        blocking = client.predict(headrace.model, inputs)
        with pytest.raises(InvalidArgument) as refused:
            client.predict(headrace.model, {"features": np.ones((3, 4)) * 1e300})
        assert [violation.field for violation in refused.value.violations] == ["inputs.features"]
        with pytest.raises(NotFound):
            client.predict(headrace.model, inputs, version="v9")
    async with AsyncClient(headrace.stack.url, token=lambda: token) as client:
        awaited = await client.predict(headrace.model, inputs)
        with pytest.raises(InvalidArgument):
            await client.predict(headrace.model, {"images": np.ones((3, 4), np.float32)})
    np.testing.assert_array_equal(blocking.outputs["scores"], awaited.outputs["scores"])


def test_a_name_that_is_nearly_right_is_offered(headrace: Headrace) -> None:
    headrace.two_versions(production="v1")
    typo = headrace.model[:-1]
    for words in (("models", "show", typo), ("predict", typo, "--rows", ROWS)):
        message = headrace(*words, code=3)["error"]["message"]
        assert message.endswith(f"; did you mean '{headrace.model}'?")
    message = headrace("models", "show", headrace.model, "v11", code=3)["error"]["message"]
    assert message.endswith("; did you mean 'v1'?")
    assert "did you mean" not in headrace("models", "show", "nothing-like-it", code=3)["error"]["message"]


def test_an_entity_without_rows_is_answered_where_nothing_is_computed(headrace: Headrace) -> None:
    headrace.two_versions(production="v1")
    refused = headrace("predict", headrace.model, "--entity", "item-7", code=2)["error"]
    assert f"`headrace routes lookup {headrace.model} --mode batch`" in refused["message"]


async def test_tables_are_answered_with_the_scope_predict_alone(headrace: Headrace) -> None:
    headrace.two_versions(production="v1")
    rows = [[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.5]]
    frame = pd.DataFrame(rows, columns=["a", "b", "c", "d"])
    token = headrace.stack.token(scopes=["predict"])
    streamed: list[int] = []
    with Client(headrace.stack.address, token=token) as client:
        typed = client.predict(headrace.model, {"features": np.array(rows, np.float32)}).outputs["scores"]
        for table in (frame, [{"features": row} for row in rows], {"features": rows}, np.array(rows)):
            np.testing.assert_array_equal(client.predict(headrace.model, table).outputs["scores"], typed)
        many = pd.concat([frame] * 200)
        client.predict_stream(headrace.model, many, lambda first_row, _: streamed.append(first_row))
        with pytest.raises(NotFound, match="model 'nothing-like-it' not found"):
            client.predict("nothing-like-it", frame)
        with pytest.raises(InvalidArgument, match="it takes features"):
            client.predict(headrace.model, frame.drop(columns="a"))
    assert streamed == [0, 256]
    async with AsyncClient(headrace.stack.url, token=token) as client:
        np.testing.assert_array_equal((await client.predict(headrace.model, frame)).outputs["scores"], typed)
    answered = headrace("predict", headrace.model, "--rows", json.dumps(rows), token=token)
    assert answered["outputs"]["scores"] == typed.tolist()


async def test_columns_are_taken_by_the_names_that_a_contract_has_whatever_their_order(headrace: Headrace) -> None:
    file = headrace.folder / "contract.json"
    names = ["age", "income", "height", "weight"]
    inputs = [{"name": "features", "datatype": "FP32", "shape": [4], "columns": names}]
    file.write_text(json.dumps({"inputs": inputs, "outputs": [{"name": "scores", "datatype": "FP32", "shape": [3]}]}))
    model = headrace.file("a.onnx", onnx_models.linear())
    headrace("models", "register", headrace.model, "v1", model, "--contract", str(file), *GOOD)
    headrace("models", "promote", headrace.model, "v1")
    rows = [[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.5]]
    shuffled = pd.DataFrame(rows, columns=names).reindex(columns=["weight", "age", "height", "income"])
    with Client(headrace.stack.address, token=headrace.stack.token(scopes=["predict"])) as client:
        wanted = client.predict(headrace.model, {"features": np.array(rows, np.float32)}).outputs["scores"]
        for table in (shuffled, shuffled.to_dict("records")):
            np.testing.assert_array_equal(client.predict(headrace.model, table).outputs["scores"], wanted)
        with pytest.raises(InvalidArgument, match=r"inputs.length: .*no such column; it takes age, income"):
            client.predict(headrace.model, shuffled.rename(columns={"height": "length"}))
    answered = headrace("predict", headrace.model, "--rows", json.dumps(shuffled.to_dict("records")))
    assert answered["outputs"]["scores"] == wanted.tolist()


def test_a_token_shows_only_the_models_and_scopes_that_it_lists(headrace: Headrace) -> None:
    headrace("models", "register", headrace.model, "v1", headrace.file("a.onnx", onnx_models.linear()), *GOOD)
    with Client(headrace.stack.address, token=headrace.stack.token(models=["other-*"])) as client:
        assert headrace.model not in [model.name.split("/")[1] for model in client.models.list()]
        with pytest.raises(NotFound):
            client.models.get(headrace.model)
    with Client(headrace.stack.address, token=headrace.stack.token(scopes=["predict"])) as client:
        with pytest.raises(PermissionDenied):
            client.models.get(headrace.model)
        assert client.health()["all"] == "serving"


async def test_a_denied_subject_is_refused_within_seconds_and_can_be_allowed_again(headrace: Headrace) -> None:
    subject = "client-mallory"
    with Client(headrace.stack.address, token=headrace.stack.token(subject)) as client:
        client.models.list()
        assert subject in headrace("token", "deny", subject)["denied"]

        def refused() -> bool:
            try:
                client.models.list()
            except (PermissionDenied, Unauthenticated):
                return True
            return False

        await eventually(refused, within=8)
        assert subject not in headrace("token", "allow", subject)["denied"]
        await eventually(lambda: not refused(), within=8)


def test_promoted_but_not_loaded_is_said_with_its_own_code_and_traffic_stays(headrace: Headrace) -> None:
    headrace("models", "register", headrace.model, "v1", headrace.file("v1.onnx", onnx_models.linear()), *GOOD)
    broken = str(unloadable(headrace.folder))
    refused = headrace.run("models", "register", headrace.model, "v2", broken, *GOOD)
    assert refused.exit_code == 2
    assert "the model does not run: it cannot be loaded" in refused.stderr
    headrace("models", "register", headrace.model, "v2", broken, *GOOD, "--skip-trial")
    headrace("models", "promote", headrace.model, "v1")

    done = headrace.run("models", "promote", headrace.model, "v2", "--wait", "3s")
    assert done.exit_code == 7
    assert "is in production" in done.stdout
    assert "promoted, not serving" in done.stderr
    assert headrace.predict()["version"] == "v1"
    assert "pending" in headrace.run("routes", "show", headrace.model).stdout
    assert headrace("models", "rollback", headrace.model)["serving"] is True
