"""Which unit tests `make check` runs for what was changed."""

import subprocess
from pathlib import Path, PurePosixPath

from tests.changed import CHECKOUT, changed_files, selection, unit_tests_of
from tests.kit.rows import each


def chosen(*changed: str) -> list[str]:
    return selection(changed, lambda path: True)


@each(
    "changed,tests",
    [
        ("services/batcher/headrace_batcher/batching/queue.py", ["tests/unit/batcher"]),
        ("services/monitor/headrace_monitor/alert/sql/rules.sql", ["tests/unit/monitor"]),
        ("services/router/headrace_router/data/tables/table.py", ["tests/unit/router_data"]),
        ("services/router/headrace_router/control/service.py", ["tests/unit/router_control"]),
        ("services/router/headrace_router/buckets.py", ["tests/unit/router_control", "tests/unit/router_data"]),
        ("libs/servicekit/headrace_servicekit/ports.py", ["tests/unit/servicekit"]),
        ("libs/client/headrace_client/tensors.py", ["tests/unit/client"]),
        ("libs/stubs/headrace/tensor/v1/tensor_pb2.py", ["tests/unit/kit"]),
        ("protos/headrace/tensor/v1/tensor.proto", ["tests/unit/docs", "tests/unit/front_door"]),
        ("deploy/envoy/front_door/lua/strict_json.lua", ["tests/unit/front_door"]),
        ("deploy/kubernetes/base/batcher.yaml", ["tests/unit/deploy"]),
        ("docker-compose.yml", ["tests/unit/deploy"]),
        ("README.md", ["tests/unit/docs"]),
        ("tests/kit/stack/running.py", ["tests/unit/kit"]),
        ("tests/unit/batcher/test_queue.py", ["tests/unit/batcher/test_queue.py"]),
        ("tests/unit/batcher/conftest.py", ["tests/unit/batcher"]),
        ("tests/contract/outbox/test_outbox.py", ["tests/contract/outbox/test_outbox.py"]),
        ("tests/e2e/test_demo.py", ["tests/unit/kit"]),
        ("uv.lock", ["tests/unit/kit"]),
    ],
)
def test_a_changed_file_is_tested_by_the_unit_tests_of_its_part(changed: str, tests: list[str]):
    assert chosen(changed) == tests


def test_nothing_changed_asks_for_the_tests_of_the_kit_so_that_pytest_has_some():
    assert chosen() == ["tests/unit/kit"]


def test_a_test_is_asked_for_once_where_its_folder_is_asked_for_too():
    assert chosen("tests/unit/batcher/test_queue.py", "services/batcher/README.md") == ["tests/unit/batcher"]


def test_a_test_that_was_deleted_is_not_asked_for():
    assert selection(["tests/unit/batcher/test_gone.py"], lambda path: "gone" not in path.name) == ["tests/unit/kit"]


def test_every_service_and_library_has_the_folder_of_tests_that_it_is_said_to_have():
    parts = [path.relative_to(CHECKOUT) for kind in ("services", "libs") for path in (CHECKOUT / kind).iterdir()]
    named = [test for part in parts for test in unit_tests_of(PurePosixPath(part, "pyproject.toml"))]
    assert len(named) >= len(parts)
    assert [test for test in named if not (CHECKOUT / test).is_dir()] == []


def test_what_is_committed_changed_new_or_deleted_since_main_is_found(tmp_path: Path):
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(("git", "-C", str(tmp_path), *identity, *arguments), check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    for name in ("same", "edited", "committed", "deleted"):
        Path(tmp_path, name).write_text(name)
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("switch", "-q", "-c", "work")
    Path(tmp_path, "committed").write_text("other")
    git("commit", "-q", "-a", "-m", "second")
    Path(tmp_path, "edited").write_text("other")
    Path(tmp_path, "ünknown file").write_text("new")
    Path(tmp_path, "deleted").unlink()
    assert sorted(changed_files(tmp_path)) == ["committed", "deleted", "edited", "ünknown file"]
