"""What stood at a past time, asked of replicas whose clocks differ: the store's clock alone says what is past."""

from datetime import UTC, datetime, timedelta

import pytest
from headrace_registry.catalog.reads import Catalog
from headrace_registry.catalog.registration import Registrations
from headrace_registry.catalog.writes import Write
from headrace_registry.decisions.models import Model
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.testing import FakeClock

ANN = Write("ann")
BEHIND, AHEAD = timedelta(minutes=-1), timedelta(minutes=1)


def clock(off: timedelta) -> FakeClock:
    """Return the clock of a replica that is off by so much; it stands still for the time of a test."""
    return FakeClock(datetime.now(UTC) + off)


@pytest.mark.parametrize("off", [BEHIND, AHEAD], ids=["behind", "ahead"])
async def test_a_write_of_a_replica_with_another_clock_changes_no_answer_about_the_past(store, off):
    catalog, others = Catalog(store, SystemClock()), Registrations(store, clock(off))
    await others.create_model(Model("digits"), ANN)
    asked = datetime.now(UTC)
    told = await catalog.as_of("digits", asked)
    await others.update_model(Model("digits", description="later"), "", ANN)
    assert await catalog.as_of("digits", asked) == told
    assert (await catalog.as_of("digits", datetime.now(UTC))).epoch == told.epoch + 1


async def test_a_replica_whose_clock_is_ahead_says_nothing_of_what_has_not_passed(store):
    await Registrations(store, SystemClock()).create_model(Model("digits"), ANN)
    with pytest.raises(InvalidArgument, match="has not passed yet"):
        await Catalog(store, clock(AHEAD)).as_of("digits", datetime.now(UTC) + AHEAD / 2)


async def test_a_replica_whose_clock_is_behind_tells_what_has_passed(store):
    await Registrations(store, SystemClock()).create_model(Model("digits"), ANN)
    assert (await Catalog(store, clock(BEHIND)).as_of("digits", datetime.now(UTC))).epoch == 1
