"""The command line over a real connection: tables for people, one JSON document for scripts, codes for both."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from headrace.router.v1 import predict_pb2, route_pb2
from headrace_client.cli import main
from headrace_servicekit import errors

from tests.kit.fake_registry import FakeRegistry
from tests.kit.fake_routes import TIMING_MS, FakeHealth, FakePredictions, FakeRoutes, labels
from tests.kit.front_door import FrontDoor

Run = Callable[..., Result]


@pytest.fixture
def run(door: FrontDoor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `headrace` with the words given, as somebody whose address and token are in the environment."""
    monkeypatch.setenv("HEADRACE_ADDRESS", door.address)
    monkeypatch.setenv("HEADRACE_TOKEN", "t")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"onnx")

    def headrace(*words: str) -> Result:
        result = CliRunner().invoke(main, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result

    return headrace


def document(result: Result) -> Any:
    """Return the one JSON document on stdout; nothing else may be there, nor anything on stderr."""
    assert result.stderr == ""
    return json.loads(result.stdout)


EVERY_COMMAND = [
    ("models", "list"),
    ("models", "show", "digits"),
    ("models", "show", "digits", "v1"),
    ("models", "register", "digits", "v3", "model.onnx", "--metric", "accuracy=0.9"),
    ("models", "promote", "digits", "v2", "--no-wait"),
    ("models", "promote", "digits", "v2", "--to", "staging"),
    ("models", "rollback", "digits", "--no-wait"),
    ("models", "history", "digits"),
    ("models", "alias", "digits", "champion", "v1"),
    ("models", "alias", "digits", "champion", "--delete"),
    ("models", "gates", "digits"),
    ("models", "gates", "digits", "--set", "accuracy>=0.9"),
    ("models", "as-of", "digits", "2h"),
    ("models", "measurements", "digits", "v1"),
    ("models", "hold", "digits", "v1", "--as", "audit/2031", "--for", "90d"),
    ("models", "holds", "digits"),
    ("models", "release", "digits", "v1", "--as", "audit/2031"),
    ("models", "delete", "digits", "--yes"),
    ("routes", "show"),
    ("routes", "show", "digits"),
    ("routes", "split", "digits", "v1=90", "v2=10"),
    ("routes", "assign", "digits", "--user", "ada"),
    ("routes", "assign", "digits", "--attribute", "country=DE"),
    ("routes", "rules", "show", "digits"),
    ("routes", "rules", "set", "digits", "country=DE -> v2"),
    ("routes", "rules", "clear", "digits"),
    ("routes", "dry-run", "digits", "v1=90", "v2=10", "--example", "user=ada country=DE"),
    ("routes", "dry-run", "digits", "--no-rules"),
    ("routes", "dry-run", "digits", "--fallback", "backup:v1@cpu"),
    ("routes", "lookup", "digits"),
    ("routes", "lookup", "digits", "--ttl", "60s"),
    ("routes", "fallback", "show", "digits"),
    ("routes", "fallback", "set", "digits", "backup:v1@cpu", "stale:10m"),
    ("routes", "fallback", "clear", "digits"),
    ("routes", "hedge", "digits"),
    ("routes", "hedge", "digits", "on"),
    ("routes", "status", "digits"),
    ("routes", "history", "digits"),
    ("cache", "purge", "digits"),
    ("predict", "digits", "--rows", "[[0, 1, 2, 3]]"),
    ("explain", "r-1"),
    ("status",),
    ("completion", "bash"),
]


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_every_command_prints_one_json_document(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    assert isinstance(document(result), dict)


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_every_command_says_something_to_people(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert "\x1b[" not in result.stdout, "no colours in a pipe"


@pytest.mark.parametrize(
    ("method", "error", "words", "code"),
    [
        ("GetModel", errors.NotFound("gone", reason="MODEL_NOT_FOUND"), ("models", "show", "digits"), 3),
        ("GetModel", errors.PermissionDenied("registry.read"), ("models", "show", "digits"), 6),
        ("UpdateRoute", errors.Aborted("changed", reason="ETAG_MISMATCH"), ("routes", "split", "digits", "v1=1"), 4),
        ("Predict", errors.ResourceExhausted("full"), ("predict", "digits", "--rows", "[[0, 1, 2, 3]]"), 5),
        ("Predict", errors.Internal("bug"), ("predict", "digits", "--rows", "[[0, 1, 2, 3]]"), 1),
    ],
)
def test_a_failure_is_a_block_with_a_remedy_and_a_code(
    run: Run, door: FrontDoor, method: str, error: errors.ServiceError, words: tuple[str, ...], code: int
) -> None:
    door.fail(method, error)
    result = run(*words)
    assert result.exit_code == code
    assert result.stdout == ""
    assert error.public_message in result.stderr
    assert "remedy" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_failure_with_json_is_the_document(run: Run, door: FrontDoor) -> None:
    violation = errors.FieldViolation("gates.accuracy", "0.71 is below 0.85")
    door.fail(
        "PromoteModelVersion",
        errors.PreconditionFailed("misses 1 gate", reason="PROMOTION_GATE_FAILED", violations=[violation]),
    )
    result = run("models", "promote", "digits", "v2", "--json")
    assert result.exit_code == 4
    found = document(result)["error"]
    assert (found["reason"], found["violations"][0]["field"]) == ("PROMOTION_GATE_FAILED", "gates.accuracy")


def test_a_gate_that_is_not_met_names_the_gate_and_the_remedy(run: Run, door: FrontDoor) -> None:
    violation = errors.FieldViolation("gates.accuracy", "0.71 is below 0.85")
    door.fail(
        "PromoteModelVersion",
        errors.PreconditionFailed("misses 1 gate", reason="PROMOTION_GATE_FAILED", violations=[violation]),
    )
    stderr = run("models", "promote", "digits", "v2").stderr
    assert "gates.accuracy: 0.71 is below 0.85" in stderr
    assert "models gates" in stderr


def test_holds_and_allowances_are_sent_as_typed(run: Run, registry: FakeRegistry) -> None:
    run("models", "hold", "digits", "v1", "--as", "audit/2031", "--for", "90d", "--reason", "review")
    run("models", "promote", "digits", "v2", "--no-wait", "--allow-incompatible-signature")
    run("models", "gates", "digits", "--set", "accuracy>=production-0.01", "--set", "p99<=1.2*production@measured")
    held, promoted, updated = registry.requests
    assert (held.name, held.holder, held.reason) == ("models/digits/versions/v1", "audit/2031", "review")
    assert held.ttl.ToTimedelta() == timedelta(days=90)
    assert promoted.allow_incompatible_signature
    first, second = updated.model.promotion_policy.gates
    assert (first.metric, first.minimum_delta, first.measured_only) == ("accuracy", -0.01, False)
    assert (second.metric, second.maximum_ratio, second.measured_only) == ("p99", 1.2, True)
    assert "accuracy>=production-0.01, p99<=1.2*production@measured" in run("models", "gates", "digits").stdout


def test_deleting_asks_first_and_a_script_has_to_say_yes(run: Run, registry: FakeRegistry) -> None:
    asked = run("models", "delete", "digits")
    assert asked.exit_code == 1
    assert "for good?" in asked.stderr
    assert run("models", "delete", "digits", "--json").exit_code == 2
    assert registry.requests == []
    assert run("models", "delete", "digits", "--yes", "--reason", "old").exit_code == 0
    (deleted,) = registry.requests
    assert (deleted.name, deleted.reason) == ("models/digits", "old")
    assert deleted.request_id


def test_a_past_time_is_sent_and_its_production_is_shown_with_who_and_why(run: Run, registry: FakeRegistry) -> None:
    shown = run("models", "as-of", "digits", "2026-02-03T04:05:06Z").stdout
    (asked,) = registry.requests
    assert asked.time.ToJsonString() == "2026-02-03T04:05:06Z"
    for expected in ("v1", "developer", "better", "2026-02-03"):
        assert expected in shown


def test_a_typo_in_an_option_is_a_usage_error(run: Run, door: FrontDoor) -> None:
    assert run("routes", "split", "digits", "v1").exit_code == 2
    assert run("models", "register", "digits", "v3", "absent.onnx").exit_code == 2
    assert run("routes", "assign", "digits").exit_code == 2
    assert run("models", "alias", "digits", "champion").exit_code == 2
    assert door.calls == []


def test_promote_waits_until_the_router_serves_the_epoch(run: Run, routes: FakeRoutes) -> None:
    routes.serve_epoch("digits", 2)
    result = run("models", "promote", "digits", "v2", "--reason", "better", "--json")
    assert result.exit_code == 0
    found = document(result)
    assert (found["serving"], found["model"]["production_version"]) == (True, "v2")
    assert found["status"]["state"] == "STATE_ACTIVE"


def test_promoted_but_not_serving_is_said_and_has_a_code_of_its_own(run: Run) -> None:
    result = run("models", "promote", "digits", "v2", "--wait", "100ms")
    assert result.exit_code == 7
    assert "is in production" in result.stdout
    assert "promoted, not serving: epoch 2 does not serve yet" in result.stderr

    result = run("models", "promote", "digits", "v2", "--wait", "100ms", "--json")
    assert (result.exit_code, document(result)["serving"]) == (7, False)


def test_register_sends_all_that_was_typed(run: Run, registry: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "validation.json").write_text("{}")
    (tmp_path / "contract.json").write_text('{"inputs": [{"name": "image", "datatype": "FP32", "shape": ["4"]}]}')
    result = run(
        "models", "register", "digits", "v3", "model.onnx",
        "--metric", "accuracy=0.97", "--metric", "latency_p99_ms=2", "--parameter", "hidden=64",
        "--artifact", "validation.json=validation.json", "--contract", "contract.json", "--task", "classification",
        "--label", "zero", "--label", "one", "--parent", "v2", "--dataset", "mnist@1", "--max-batch-rows", "64",
        "--max-wait", "2ms", "--device", "cpu", "--description", "wider",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    version = registry.requests[-1].version
    assert {metric.name: metric.value for metric in version.metrics} == {"accuracy": 0.97, "latency_p99_ms": 2}
    assert version.contract.inputs[0].shape == [4]
    assert list(version.contract.labels) == ["zero", "one"]
    assert (version.lineage.parent_version, version.lineage.dataset) == ("v2", "mnist@1")
    assert (version.serving.max_batch_rows, version.serving.max_wait.ToMilliseconds()) == (64, 2)
    assert dict(version.parameters) == {"hidden": "64"}


def test_a_contract_that_is_none_is_refused_before_anything_is_sent(run: Run, door: FrontDoor, tmp_path: Path) -> None:
    (tmp_path / "contract.json").write_text('{"imputs": []}')
    result = run("models", "register", "digits", "v3", "model.onnx", "--contract", "contract.json")
    assert result.exit_code == 2
    assert "imputs" in result.stderr
    assert door.calls == []


def test_predict_reads_numpy_files_by_the_contract(run: Run, predictions: FakePredictions, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((3, 4)))
    result = run("predict", "digits", "--input", "images.npy", "--user", "ada", "--json")
    assert result.exit_code == 0, result.output
    assert document(result)["outputs"] == {"label": [7, 7, 7]}
    sent = predictions.requests[0].inputs[0]
    assert (sent.name, sent.datatype, list(sent.shape)) == ("image", "FP32", [3, 4])
    assert run("predict", "digits", "--input", "image=images.npy").exit_code == 0
    assert run("predict", "digits", "--input", "picture=images.npy").exit_code == 2


def explained(**fields: Any) -> predict_pb2.ExplainResponse:
    told = predict_pb2.ExplainResponse(
        prediction_id="019a0000-0000-7000-8000-000000000000", request_id="r-1", model="digits", client="ada",
        generation=3, slot=12, variant="stable", variant_version="v1", version="v1", total_us=4200, route_us=200,
        served_from=predict_pb2.PredictResponse.SERVED_FROM_ONLINE, **fields,
    )  # fmt: skip
    told.attempts.add(rung="primary", version="v1", pool="default", batcher="b:1", begin_us=200, took_us=4000)
    return told


def test_explain_finds_an_answer_by_either_id_and_draws_it(run: Run, predictions: FakePredictions) -> None:
    prediction_id = explained().prediction_id
    predictions.explanations = {prediction_id: explained(), "r-1": explained()}
    for name in (prediction_id, "r-1"):
        shown = run("explain", name)
        assert shown.exit_code == 0
        assert "digits: answered from online in 4.20 ms" in shown.stdout
        assert "variant stable (slot 12) → v1; generation 3 of the route" in shown.stdout
        assert "v1, b:1 of pool default" in shown.stdout
    told = document(run("explain", prediction_id, "--json"))
    assert (told["variant"], told["slot"], told["attempts"][0]["batcher"]) == ("stable", 12, "b:1")


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
    assert document(run(*rows, "--json"))["explanation"]["slot"] == 12
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
        answer.rung, answer.degraded_reason, answer.version = "calm", "NO_BACKEND", ""
        return answer

    predictions.answer = degraded
    rows = ("predict", "digits", "--rows", "[[0, 1, 2, 3]]")
    shown = run(*rows)
    assert "values that the route gives" in shown.stdout
    assert "degraded: NO_BACKEND, answered by calm" in shown.stdout
    assert document(run(*rows, "--json"))["rung"] == "calm"


def test_wrong_rows_are_refused_by_name(run: Run, predictions: FakePredictions) -> None:
    result = run("predict", "digits", "--rows", '[{"picture": [0, 1, 2, 3]}]')
    assert result.exit_code == 2
    assert "rows[0].picture" in result.stderr
    assert "it takes image" in result.stderr
    assert predictions.requests == []


def test_status_names_what_is_down_and_which_data_planes_lag(run: Run, health: FakeHealth, routes: FakeRoutes) -> None:
    health.serving["headrace.registry.v1.RegistryService"] = False
    routes.status["digits"].unacknowledged_data_planes.append("host-a/0")
    result = run("status")
    assert result.exit_code == 5
    lines = {line.split("  ")[0].strip(): line for line in result.stdout.splitlines()}
    assert "not serving" in lines["registry"]
    assert "host-a/0" in lines["digits"]
    assert "batcher" not in lines, "this front door does not tell"


def test_status_without_a_token_still_shows_health(run: Run, door: FrontDoor) -> None:
    door.fail("ListModels", errors.Unauthenticated("no token"), times=2)
    result = run("status", "--json")
    assert result.exit_code == 0
    found = document(result)
    assert found["health"]["all"] == "serving"
    assert "no token" in found["problem"]


def test_a_route_is_shown_with_shares_and_what_is_in_force(run: Run, routes: FakeRoutes) -> None:
    routes.put(
        "digits",
        route_pb2.Variant(name="stable", follow_production=True, weight=90, serving_version="v1"),
        route_pb2.Variant(name="challenger", version="v2", weight=10, serving_version="v2"),
        generation=4,
    )
    shown = run("routes", "show", "digits").stdout
    assert "production → v1" in shown
    assert "90 %" in shown
    assert "10 %" in shown
    assert "active" in shown


def test_rules_are_sent_in_their_order_and_shown_as_they_are_typed(run: Run, routes: FakeRoutes) -> None:
    texts = ("testers: beta -> v2", "country=DE,AT app=ios-* !beta -> v2")
    result = run("routes", "rules", "set", "digits", *texts, "--reason", "DACH first")
    assert result.exit_code == 0, result.output
    sent = routes.updates[-1]
    assert [rule.name for rule in sent.route.rules] == ["testers", "country-de-at-app-ios-no-beta"]
    assert sent.reason == "DACH first"
    shown = run("routes", "rules", "show", "digits").stdout
    assert texts[0] in shown
    assert texts[1] in shown
    found = document(run("routes", "rules", "show", "digits", "--json"))
    assert found["rules"][0]["text"] == texts[0]
    run("routes", "rules", "clear", "digits")
    assert not routes.updates[-1].route.rules


def test_lookup_fallback_and_hedging_are_sent_one_by_one_and_shown_together(
    run: Run, routes: FakeRoutes, tmp_path: Path
) -> None:
    (tmp_path / "popular.json").write_text('{"ada": {"label": [3]}}')
    for words in (
        ("lookup", "digits", "--mode", "batch", "--key", "entity", "--ttl", "90s", "--stale-on-error", "10m"),
        ("lookup", "digits", "--max-precomputed-age", "26h", "--large-inputs"),
        ("fallback", "set", "digits", "old=backup:v1@cpu,left=20ms", "table:popular.json", 'constant:{"label":[0]}'),
        ("hedge", "digits", "--after", "20ms"),
        ("split", "digits", "v1=1"),
        ("rules", "set", "digits", "beta -> v2"),
    ):
        result = run("routes", *words, "--reason", "why not")
        assert result.exit_code == 0, result.output
    sent = routes.updates[-1].route
    assert sent.lookup == route_pb2.Lookup(
        mode=route_pb2.Lookup.MODE_BATCH,
        key=route_pb2.Lookup.KEY_ENTITY,
        ttl=timedelta(seconds=90),
        stale_on_error=timedelta(minutes=10),
        max_precomputed_age=timedelta(hours=26),
        cache_large_inputs=True,
    )
    assert [one.name for one in sent.fallback] == ["old", "table", "constant"]
    assert sent.hedging.delay.ToMilliseconds() == 20
    shown = run("routes", "show", "digits").stdout
    for text in (
        "batch, key entity, ttl 90s, stale on error 10m, precomputed at most 26h, large inputs too",
        "after 20ms",
        "old=backup:v1@cpu,left=20ms",
        "table=table:(1 entities)",
        'constant=constant:{"label":[0.0]}',
    ):
        assert text in shown
    assert "1 rules; 3 fallbacks; lookup; hedging" in run("routes", "history", "digits").stdout
    assert document(run("routes", "fallback", "show", "digits", "--json"))["fallback"][0]["text"].startswith("old=")
    assert "after 20ms" in run("routes", "hedge", "digits").stdout

    run("routes", "hedge", "digits", "off")
    run("routes", "lookup", "digits", "--reset")
    run("routes", "fallback", "clear", "digits")
    cleared = routes.updates[-1].route
    assert not cleared.HasField("lookup")
    assert not cleared.HasField("hedging")
    assert not cleared.fallback
    assert "hybrid" in run("routes", "lookup", "digits").stdout
    assert "off" in run("routes", "hedge", "digits").stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("fallback", "set", "digits", "backup"), "name a version, a pool or both"),
        (("fallback", "set", "digits", "table:none.json"), "No such file"),
        (("lookup", "digits", "--ttl", "soon"), "is no duration"),
        (("hedge", "digits", "off", "--after", "1s"), "`off` or --after"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error_that_says_why(
    run: Run, door: FrontDoor, words: tuple[str, ...], why: str
) -> None:
    result = run("routes", *words)
    assert result.exit_code == 2
    assert why in result.stderr
    assert door.calls == []


def test_a_purge_says_what_is_void_and_who_has_not_heard(run: Run, routes: FakeRoutes) -> None:
    routes.status["digits"].unacknowledged_data_planes.append("data-1")
    result = run("cache", "purge", "digits", "v2", "--reason", "wrong labels")
    assert result.exit_code == 0, result.output
    assert "version v2 of digits (cache epoch 1)" in result.stdout
    assert "data-1" in result.stderr
    assert (routes.purges[-1].version, routes.purges[-1].reason) == ("v2", "wrong labels")
    assert routes.purges[-1].request_id


def test_a_rule_that_cannot_be_read_is_a_usage_error_that_says_why(run: Run, door: FrontDoor) -> None:
    result = run("routes", "rules", "set", "digits", "country:DE -> v2")
    assert result.exit_code == 2
    assert "is no condition, such as country=DE" in result.stderr
    assert run("routes", "dry-run", "digits", "--rule", "a -> v2", "--no-rules").exit_code == 2
    assert run("routes", "dry-run", "digits", "--example", "ada").exit_code == 2
    assert door.calls == []


def test_a_managed_route_names_its_holder_and_the_way_to_take_it(run: Run, routes: FakeRoutes) -> None:
    routes.managed["digits"] = "rollouts/7"
    result = run("routes", "split", "digits", "v1=1")
    assert result.exit_code == 4
    assert "managed by rollouts/7" in result.stderr
    assert "--force" in result.stderr
    assert run("routes", "split", "digits", "v1=1", "--force").exit_code == 0
    assert routes.updates[-1].force


def test_a_dry_run_shows_shares_what_it_waits_for_and_where_examples_go(run: Run, routes: FakeRoutes) -> None:
    result = run(
        "routes", "dry-run", "digits", "v1=90", "v2=10", "--rule", "country=DE -> v2",
        "--example", "user=ada country=DE", "--example", "entity=item-1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert routes.updates == []
    (sent,) = routes.dry_runs
    assert [(one.user_id, one.entity_id, dict(one.attributes)) for one in sent.examples] == [
        ("ada", "", {"country": "DE"}),
        ("", "item-1", {}),
    ]
    for told in ("100 % → 90 %", "none → v2", "10 % of the units", "it would wait", "rollouts/7", "by rule germans"):
        assert told in result.stdout


def test_history_says_who_why_and_from_whom(run: Run) -> None:
    run("routes", "split", "digits", "v1=90", "v2=10", "--reason", "first look")
    shown = run("routes", "history", "digits").stdout
    for told in ("declared", "generation 2", "ada for rollouts/7, taken from rollouts/6", "first look", "v1=90"):
        assert told in shown


def test_status_of_a_route_names_batchers_and_data_planes(run: Run, routes: FakeRoutes) -> None:
    status = routes.status["digits"]
    status.versions.add(version="v2", pool="gpu", batchers=3, ready_batchers=1, failed_batchers=1, failure="too large")
    status.data_planes.add(name="host-a/0", acknowledged=False, connected=True)
    status.wanted_registry_epoch = 5
    shown = run("routes", "status", "digits").stdout
    for told in ("1/3", "too large", "host-a/0", "1, 5 is wanted"):
        assert told in shown


def test_a_promotion_shows_its_stages_and_names_who_has_not_acknowledged(run: Run, routes: FakeRoutes) -> None:
    status = routes.status["digits"]
    status.registry_epoch = status.wanted_registry_epoch = 3
    status.versions.add(version="v2", pool="default", batchers=1, ready_batchers=1, in_force=True)
    status.data_planes.add(name="host-a/0", acknowledged=True, connected=True)
    status.data_planes.add(name="host-b/0", acknowledged=False, connected=False)
    status.unacknowledged_data_planes.append("host-b/0")
    routes.serve_epoch("digits", 3)
    result = run("models", "promote", "digits", "v2")
    assert result.exit_code == 0
    for told in (
        "ready",
        "v2 on 1/1 batchers of pool default",
        "activated",
        "acknowledged",
        "1/2 data planes",
        "serving",
    ):
        assert told in result.stdout
    assert "not acknowledged by host-b/0" in result.stderr
    stages = document(run("models", "rollback", "digits", "--json"))["stages"]
    assert [one["stage"] for one in stages] == ["ready", "activated", "acknowledged"]


def test_completion_offers_models_and_versions(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def complete(words: str) -> str:
        environment = {"_HEADRACE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3"}
        return CliRunner().invoke(main, [], env=environment, prog_name="headrace").output

    assert "digits" in complete("headrace models show d")
    monkeypatch.setenv("HEADRACE_ADDRESS", "127.0.0.1:1")
    assert complete("headrace models show d").strip() == ""
