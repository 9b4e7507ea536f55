"""What the command line sends and says of models and versions."""

from datetime import timedelta
from pathlib import Path

from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import compute_pb2, route_pb2
from headrace_servicekit import errors

from tests.kit.clients.fake_cli import Run, document
from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_registry import FakeRegistry
from tests.kit.clients.fake_routes import FakeRoutes


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


def test_promote_waits_until_the_router_serves_the_epoch(run: Run, routes: FakeRoutes) -> None:
    routes.serve_epoch("digits", 2, production="v2")
    result = run("models", "promote", "digits", "v2", "--reason", "better", "--json")
    assert result.exit_code == 0
    found = document(result)
    assert (found["serving"], found["model"]["production_version"]) == (True, "v2")
    assert found["status"]["state"] == "STATE_ACTIVE"


def test_a_promotion_that_a_pinned_route_keeps_from_callers_is_said_with_the_command_that_changes_it(
    run: Run, routes: FakeRoutes
) -> None:
    routes.put("digits", route_pb2.Variant(name="control", version="v1", weight=100, serving_version="v1"))
    routes.serve_epoch("digits", 2)
    result = run("models", "promote", "digits", "v2")
    assert result.exit_code == 7
    assert "promoted, not serving: the route gives v2 to no caller; the others get v1" in result.stderr
    assert "headrace routes split digits production=100" in result.stderr
    assert "serving as generation" not in result.stdout
    for shown in (run("status").stdout, run("models", "show", "digits").stdout):
        assert "in production, not served" in shown
        assert "served, not in production" in shown
    routes.serve_epoch("digits", 3)
    found = document(run("models", "promote", "digits", "v2", "--json"))
    assert (found["serving"], found["share"], found["variants"]) == (False, 0.0, [])


def test_promoted_but_not_serving_is_said_and_has_a_code_of_its_own(run: Run) -> None:
    result = run("models", "promote", "digits", "v2", "--wait", "2s")
    assert result.exit_code == 7
    assert "is in production" in result.stdout
    assert "promoted, not serving: epoch 2 does not serve yet" in result.stderr

    result = run("models", "promote", "digits", "v2", "--wait", "2s", "--json")
    assert (result.exit_code, document(result)["serving"]) == (7, False)


def test_register_sends_all_that_was_typed(run: Run, registry: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "validation.json").write_text('{"inputs": {"image": [[0, 0, 0, 0]]}}')
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


def test_register_says_which_metrics_the_gates_will_miss(run: Run) -> None:
    told = run("models", "register", "digits", "v3", "model.onnx", "--metric", "accuracy=0.97")
    assert told.exit_code == 0
    assert told.stderr.startswith("promotion will be refused: the gates of digits ask for latency_p99_ms")
    typed = [line.strip() for line in told.stderr.splitlines()]
    assert "headrace models register digits NEW_VERSION MODEL.onnx --metric latency_p99_ms=VALUE" in typed
    assert typed[-2:] == ["headrace models gates digits --none", "headrace models promote digits v3"]
    complete = ("--metric", "accuracy=0.97", "--metric", "latency_p99_ms=2")
    assert run("models", "register", "digits", "v4", "model.onnx", *complete).stderr.startswith("next: ")


def test_a_contract_that_is_none_is_refused_before_anything_is_sent(run: Run, door: FrontDoor, tmp_path: Path) -> None:
    (tmp_path / "contract.json").write_text('{"imputs": []}')
    result = run("models", "register", "digits", "v3", "model.onnx", "--contract", "contract.json")
    assert result.exit_code == 2
    assert "imputs" in result.stderr
    assert door.calls == []


def test_a_promotion_shows_its_stages_and_names_who_has_not_acknowledged(run: Run, routes: FakeRoutes) -> None:
    status = routes.status["digits"]
    status.registry_epoch = status.wanted_registry_epoch = 3
    status.versions.add(version="v2", pool="default", batchers=1, ready_batchers=1, in_force=True)
    status.data_planes.add(name="host-a/0", acknowledged=True, connected=True)
    status.data_planes.add(name="host-b/0", acknowledged=False, connected=False)
    status.unacknowledged_data_planes.append("host-b/0")
    routes.serve_epoch("digits", 3, production="v2")
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


def test_a_folder_of_triton_is_registered_with_its_code_and_what_is_dropped_is_said(
    run: Run, registry: FakeRegistry, tmp_path: Path
) -> None:
    folder = tmp_path / "my_handler"
    (folder / "2").mkdir(parents=True)
    (folder / "2" / "model.py").write_text("class TritonPythonModel: ...\n")
    (folder / "config.pbtxt").write_text(
        'backend: "python" max_batch_size: 8 response_cache { enable: true } '
        'input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }'
    )
    answer = document(run("models", "import", "triton", str(folder), "--json"))
    assert answer["dropped"] == ["response_cache"]
    code, created = registry.requests
    assert code.content == b"class TritonPythonModel: ...\n"
    version = created.version
    assert (version.name, version.format) == ("models/my-handler/versions/v2", registry_pb2.FORMAT_PYTHON)
    assert (version.serving.max_batch_rows, version.contract.inputs[0].name) == (8, "x")
    assert [(one.name, one.type) for one in version.artifacts] == [("model.py", registry_pb2.Artifact.TYPE_PYTHON)]


def test_what_runs_a_format_is_said_when_it_is_registered(run: Run, registry: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "model.plan").write_bytes(b"ftrt\0\0\0\0")
    shown = run("models", "register", "digits", "v3", "model.plan")
    assert "tensorrt: pools whose Triton has the backend `tensorrt` run it" in shown.stderr
    assert registry.requests[-1].version.format == registry_pb2.FORMAT_TENSORRT


def test_a_version_is_shown_with_where_each_batcher_executes_it_and_why(run: Run, routes: FakeRoutes) -> None:
    held = route_pb2.BatcherVersion(model="digits", version="v1", state="STATE_READY", wanted=True)
    held.compute.way, held.compute.reason = compute_pb2.COMPUTE_WAY_INLINE, "32 rows take 0.01 ms in process"
    routes.batchers.append(route_pb2.Batcher(address="127.0.0.1:8087", versions=[held]))
    assert "inline by 127.0.0.1:8087: 32 rows take 0.01 ms in process" in run("models", "show", "digits", "v1").stdout
    executed = document(run("models", "show", "digits", "v1", "--json"))["executed"]
    assert executed == {"127.0.0.1:8087": {"where": "inline", "why": "32 rows take 0.01 ms in process"}}
