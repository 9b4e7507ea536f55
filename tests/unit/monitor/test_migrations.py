"""The monitor's migrations, as all services number theirs."""

from headrace_servicekit.postgres.sql import load_migrations


def test_they_are_numbered_one_by_one():
    numbers = [one.number for one in load_migrations("headrace_monitor.storage.sql")]
    assert numbers == list(range(1, len(numbers) + 1))
