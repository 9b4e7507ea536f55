"""The command line over a real connection: tables for people, one JSON document for scripts, codes for both."""

import pytest
from click.testing import CliRunner
from headrace.router.v1 import route_pb2
from headrace_client.cli import main
from headrace_servicekit import errors

from tests.kit.clients.fake_cli import Run, document
from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_routes import FakeHealth, FakeRoutes

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
        ("UpdateRoute", errors.Aborted("changed", reason="ETAG_MISMATCH"), ("routes", "split", "digits", "v1=100"), 4),
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


def test_a_typo_in_an_option_is_a_usage_error(run: Run, door: FrontDoor) -> None:
    assert run("routes", "split", "digits", "v1").exit_code == 2
    assert run("models", "register", "digits", "v3", "absent.onnx").exit_code == 2
    assert run("routes", "assign", "digits").exit_code == 2
    assert run("models", "alias", "digits", "champion").exit_code == 2
    assert door.calls == []


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("models", "show"), id="an argument is missing"),
        pytest.param(("routes", "split", "digits", "v1"), id="an argument is wrong"),
        pytest.param(("routes", "assign", "digits"), id="the command refuses"),
        pytest.param(("models", "lst"), id="there is no such command"),
        pytest.param(("monitor", "report", "digits", "--html", "-"), id="stdout is taken"),
    ],
)
def test_a_wrong_command_line_with_json_is_a_document_too(run: Run, door: FrontDoor, words: tuple[str, ...]) -> None:
    result = run(*words, "--json")
    assert result.exit_code == 2
    assert document(result)["error"]["code"] == "INVALID_ARGUMENT"
    assert door.calls == []


def test_an_address_that_is_none_is_refused_like_any_other_argument(run: Run) -> None:
    result = run("models", "list", "--address", "[::1")
    assert result.exit_code == 2
    assert "address" in result.stderr


def test_status_names_what_is_down_and_which_data_planes_lag(run: Run, health: FakeHealth, routes: FakeRoutes) -> None:
    health.serving["headrace.registry.v1.RegistryService"] = False
    routes.status["digits"].unacknowledged_data_planes.append("host-a/0")
    result = run("status")
    assert result.exit_code == 5
    lines = {line.split("  ")[0].strip(): line for line in result.stdout.splitlines()}
    assert "not serving" in lines["registry"]
    assert "host-a/0" in lines["digits"]
    assert "batcher" not in lines, "this front door does not tell"


def test_status_shows_batchers_with_what_they_hold(run: Run, routes: FakeRoutes) -> None:
    batcher = route_pb2.Batcher(pool="default", address="10.0.0.7:8090", load=route_pb2.BatcherLoad(rows=12))
    batcher.load.predicted_wait.FromMilliseconds(40)
    held = batcher.versions.add(model="digits", version="v1", wanted=True, state=route_pb2.BatcherVersion.STATE_READY)
    held.load_duration.FromMilliseconds(2300)
    batcher.versions.add(
        model="digits", version="v2", wanted=True, state=route_pb2.BatcherVersion.STATE_FAILED, reason="[no] room"
    )
    routes.batchers.append(batcher)
    shown = " ".join(run("status").stdout.split())
    assert "default 10.0.0.7:8090 failed 1 of 2 12 40 ms 2.3 s digits/v2 failed ([no] room)" in shown
    (told,) = document(run("status", "--json"))["batchers"]
    assert (told["load"]["rows"], told["versions"][0]["load_duration"]) == ("12", "2.300s")


def test_status_shows_which_service_is_the_one_that_does_not_serve(run: Run, health: FakeHealth) -> None:
    health.serving |= {
        "": False,
        "headrace.router.v1.RouterService": True,
        "headrace.monitor.v1.MonitorService": False,
    }
    result = run("status", "--json")
    assert result.exit_code == 5
    assert document(result)["health"] == {
        "all": "not serving",
        "registry": "serving",
        "router control plane": "serving",
        "router data plane": "serving",
        "monitor": "not serving",
    }


def test_status_without_a_token_still_shows_health(run: Run, door: FrontDoor) -> None:
    door.fail("ListModels", errors.Unauthenticated("no token"), times=2)
    result = run("status", "--json")
    assert result.exit_code == 0
    found = document(result)
    assert found["health"]["all"] == "serving"
    assert "no token" in found["problem"]


def test_completion_offers_models_and_versions(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def complete(words: str) -> str:
        environment = {"_HEADRACE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3"}
        return CliRunner().invoke(main, [], env=environment, prog_name="headrace").output

    assert "digits" in complete("headrace models show d")
    monkeypatch.setenv("HEADRACE_ADDRESS", "127.0.0.1:1")
    assert complete("headrace models show d").strip() == ""
