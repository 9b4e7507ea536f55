"""The SQL files and the code of the registry agree."""

import re
from pathlib import Path

import headrace_registry.storage.postgres as postgres_module
import headrace_servicekit.postgres.history as history_module
import pytest
from headrace_registry.decisions.files import ArtifactType
from headrace_registry.decisions.models import Action, Format, Stage
from headrace_servicekit.postgres.sql import load_migrations, load_queries

RESOURCES = "headrace_registry.storage.sql"


def test_every_query_is_used_and_every_used_query_exists():
    files = [*Path(postgres_module.__file__).parent.glob("postgres*.py"), Path(history_module.__file__)]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    used = set(re.findall(r'(?:_SQL|\bsql)\["(\w+)"\]', source)) | set(
        re.findall(r'self\._(?:row|rows|states)\(\s*"(\w+)"', source)
    )
    assert used == set(load_queries(RESOURCES))


def test_migrations_are_numbered_without_gaps():
    assert [migration.number for migration in load_migrations(RESOURCES)] == list(
        range(1, len(load_migrations(RESOURCES)) + 1)
    )


@pytest.mark.parametrize("kind", [Stage, ArtifactType, Format])
def test_the_schema_allows_exactly_the_values_of_an_enum(kind):
    text = "".join(migration.text for migration in load_migrations(RESOURCES))
    listed = [set(re.findall(r"'(\w+)'", found)) for found in re.findall(r"in \(\s*('[^)]*)\)", text)]
    assert {member.value for member in kind} in listed
    assert len(Action) == 19  # actions are free text: a new one needs no migration
