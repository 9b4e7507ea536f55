"""What a store keeps of batchers, data planes and who needs a version, and for how long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from headrace_router.control.decisions.demand import Lease
from headrace_router.control.decisions.readiness import Held, Load, Occupancy, Phase, Report
from headrace_router.control.decisions.states import Announcement, Step
from headrace_router.control.storage.store import Store
from headrace_servicekit.testing import eventually

from tests.kit.router.stored_routes import NOW, incarnation_of, state


async def test_reports_count_until_their_lease_expires(store: Store):
    held = {"d1": Held(Phase.READY, load_s=2.5), "d2": Held(Phase.FAILED, "out of memory")}
    busy = Occupancy(Load(7, 0.25), {"d1": Load(7, 0.25)}, {"d0": Held(Phase.DRAINING, load_s=1.0)}, draining=True)
    await store.put_report(Report("default", "p1", "127.0.0.1:1", NOW, held, busy), timedelta(seconds=60))
    await store.put_report(Report("cpu", "p2", "127.0.0.1:2", NOW, {}), timedelta(milliseconds=50))
    now = datetime.now(UTC)
    by_process = {report.process: report for report in await store.reports(now)}
    assert by_process["p1"].versions == held
    assert by_process["p1"].occupancy == busy
    assert (by_process["p1"].pool, by_process["p1"].address) == ("default", "127.0.0.1:1")
    assert timedelta(seconds=50) < by_process["p1"].expires_at - now <= timedelta(seconds=61)

    async def p2_is_gone():
        return [report.process for report in await store.reports(datetime.now(UTC))] == ["p1"]

    await eventually(p2_is_gone)
    await store.put_report(Report("default", "p1", "127.0.0.1:1", NOW, {}), timedelta(seconds=60))
    assert [report.versions for report in await store.reports(datetime.now(UTC))] == [{}]


async def test_leases_are_kept_by_holder_until_they_end(store: Store):
    wanted = Lease("digits", "v3", "d3", "default", "rollouts/7", NOW)
    minute = timedelta(seconds=60)
    await store.put_lease(wanted, minute)
    await store.put_lease(replace(wanted, holder="scorer"), minute)
    await store.put_lease(replace(wanted, pool="cpu"), timedelta(milliseconds=50))
    await store.put_lease(wanted, 2 * minute)  # repeated: only its end moves
    now = datetime.now(UTC)
    found = {(one.pool, one.holder): one for one in await store.leases(now)}
    assert (found["default", "rollouts/7"].model, found["default", "rollouts/7"].digest) == ("digits", "d3")
    assert minute < found["default", "rollouts/7"].expires_at - now <= 2 * minute + timedelta(seconds=1)

    async def the_short_one_is_gone():
        return {one.pool for one in await store.leases(datetime.now(UTC))} == {"default"}

    await eventually(the_short_one_is_gone)
    await store.put_lease(wanted, timedelta(0))
    assert [one.holder for one in await store.leases(datetime.now(UTC))] == ["scorer"]
    day = timedelta(days=1)
    await store.sweep(reports=-2 * day, requests=day, data_planes=day)
    assert await store.leases(datetime.now(UTC)) == ()


async def test_a_restarted_batcher_replaces_its_predecessor(store: Store):
    lease = timedelta(seconds=60)
    await store.put_report(Report("default", "old", "127.0.0.1:1", NOW, {"d1": Held(Phase.READY)}), lease)
    await store.put_report(Report("default", "elsewhere", "127.0.0.1:2", NOW, {}), lease)
    await store.put_report(Report("default", "new", "127.0.0.1:1", NOW, {}), lease)
    assert {report.process for report in await store.reports(datetime.now(UTC))} == {"elsewhere", "new"}


async def test_acknowledgements_only_grow(store: Store):
    incarnation = await incarnation_of(store)
    await store.commit(None, Step(state(), announcement=Announcement.NOT_SERVING), NOW)
    await store.acknowledge(incarnation, "host-0", 0)
    await store.acknowledge(incarnation, "host-0", 1)
    await store.acknowledge(incarnation, "host-0", 0)
    await store.touch(["host-0", "host-1"])
    await store.touch([])
    planes = {plane.id: plane for plane in await store.data_planes(datetime.now(UTC))}
    assert {name: (plane.acknowledged, plane.first_seen) for name, plane in planes.items()} == {
        "host-0": (1, 1),
        "host-1": (0, 1),
    }
    assert all(abs(plane.seen_at - datetime.now(UTC)) < timedelta(seconds=5) for plane in planes.values())


async def test_a_sweep_forgets_what_is_old_and_keeps_the_rest(store: Store):
    incarnation = await incarnation_of(store)
    await store.acknowledge(incarnation, "host-0", 0)
    await store.put_report(Report("default", "p1", "", NOW, {}), timedelta(seconds=60))
    day = timedelta(days=1)
    await store.sweep(reports=day, requests=day, data_planes=day)
    assert len(await store.data_planes(NOW)) == 1
    await store.sweep(reports=-2 * day, requests=-day, data_planes=-day)
    assert await store.data_planes(NOW) == ()
    assert await store.reports(datetime.now(UTC)) == ()
