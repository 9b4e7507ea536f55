"""What `make service` writes, before anything is generated from it."""

import shutil
from pathlib import Path

import pytest
from headrace_stack import description

from deploy.scaffold.__main__ import ROOT, template, written
from deploy.scaffold.places import NEW_FILES, Refused, additions, at_end_of_table, before, new_service
from deploy.topology.compose import networks_and_targets
from deploy.topology.regions import replaced
from tests.kit.deployment.missing_entries import lacking

SERVICES = description.read(description.path_in(ROOT))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the files that all services share."""
    for path in additions(new_service("sluice", SERVICES), template):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_no_handwritten_file_lacks_the_new_service(checkout: Path):
    written("sluice", checkout)
    services = description.read(description.path_in(checkout))
    compose = checkout / "docker-compose.yml"
    # As `make topology` does: what is written by hand refers to it.
    compose.write_text(replaced(compose.read_text(), "networks and targets", networks_and_targets(services)))
    (checkout / ".env.example").write_text("#SLUICE_DATABASE_URL=postgresql://headrace@postgres:5432/sluice\n")
    assert lacking(checkout, services["sluice"]) == []


def test_at_most_ten_files_outside_its_own_are_written_by_hand(checkout: Path):
    own = ("services/sluice/", "protos/headrace/sluice/", "tests/unit/sluice/", "tests/integration/sluice/")
    elsewhere = [path for path in written("sluice", checkout) if not path.startswith(own)]
    assert len(elsewhere) <= 10, elsewhere


def test_every_template_is_used_and_leaves_no_word_open(checkout: Path):
    files = written("sluice", checkout)
    used = {*NEW_FILES, "topology.toml", "compose.yml"}
    folder = ROOT / "deploy/scaffold/templates"
    assert {str(path.relative_to(folder)).removesuffix(".tmpl") for path in folder.rglob("*.tmpl")} == used
    assert [path for path in files if "${name}" in (checkout / path).read_text()] == []


def test_a_second_service_gets_ports_of_its_own(checkout: Path):
    written("sluice", checkout)
    written("other", checkout)
    # Reading refuses two that share a port, in containers or in the wheel stack.
    services = description.read(description.path_in(checkout))
    assert {"sluice", "other"} < services.keys()


@pytest.mark.parametrize("name", ["", "Foo", "foo-bar", "foo_bar", "1foo", "f", "../foo", "foo bar", "f" * 32])
def test_a_name_that_cannot_be_a_package_is_refused(checkout: Path, name: str):
    with pytest.raises(Refused, match="lower-case letters and digits"):
        written(name, checkout)


@pytest.mark.parametrize("name", ["registry", "router", "monitor", "batcher", "valkey", "postgres", "headrace"])
def test_a_name_that_is_taken_is_refused(checkout: Path, name: str):
    with pytest.raises(Refused, match=f"there is a {name} already"):
        written(name, checkout)


def test_nothing_is_written_where_a_file_is_in_the_way(checkout: Path):
    (checkout / "services/sluice").mkdir(parents=True)
    (checkout / "services/sluice/README.md").write_text("mine")
    were = (checkout / "deploy/topology.toml").read_text()
    with pytest.raises(Refused, match=r"services/sluice/README\.md is there already"):
        written("sluice", checkout)
    assert (checkout / "deploy/topology.toml").read_text() == were


def test_a_shared_file_that_looks_otherwise_is_refused_with_what_to_do():
    with pytest.raises(Refused, match="add by hand"):
        before("a\nb\n", "c", "new\n")
    with pytest.raises(Refused, match="add the row by hand"):
        at_end_of_table("# page\n", "## Table", "| row |")


def test_a_row_goes_to_the_end_of_the_first_table_below_its_heading():
    page = "## A\n| 1 |\n## B\nText.\n\n| 2 |\n| - |\n\n| 3 |\n"
    assert at_end_of_table(page, "## B", "| new |") == "## A\n| 1 |\n## B\nText.\n\n| 2 |\n| - |\n| new |\n\n| 3 |\n"
