"""Which migrations a database still needs: each is applied once and never changed."""

import pytest
from headrace_servicekit.postgres.migrations import missing
from headrace_servicekit.postgres.sql import Migration, load_migrations
from headrace_servicekit.runtime import StartError

FIRST, SECOND = Migration(1, "one", "create table a ()"), Migration(2, "two", "create table b ()")


def test_what_is_missing_is_applied_in_order():
    assert missing([FIRST, SECOND], {}) == [FIRST, SECOND]
    assert missing([FIRST, SECOND], {1: FIRST.checksum}) == [SECOND]
    assert missing([FIRST], {1: FIRST.checksum, 2: SECOND.checksum}) == []


def test_a_migration_that_was_applied_with_another_text_stops_the_service():
    with pytest.raises(StartError, match="0001_one"):
        missing([FIRST], {1: "other"})


def test_a_migration_has_the_text_that_it_includes():
    (webhooks,) = [one for one in load_migrations("headrace_registry.storage.sql") if one.name == "webhooks"]
    assert "create table webhooks" in webhooks.text
    assert "-- include" not in webhooks.text


@pytest.mark.parametrize("owner", ["headrace_registry.storage.sql", "headrace_router.control.storage.sql"])
def test_every_service_numbers_its_migrations_one_by_one(owner: str):
    numbers = [one.number for one in load_migrations(owner)]
    assert numbers == list(range(1, len(numbers) + 1))
