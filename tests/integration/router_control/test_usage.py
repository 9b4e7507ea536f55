"""Who used batchers, and budgets, on a real database: each report once, told to whom it concerns."""

import asyncio
from datetime import UTC, datetime

import grpc
import pytest
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import budget_pb2, client_limits_pb2, control_pb2, usage_pb2
from headrace_router.control.usage import store
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER
from headrace_servicekit.testing import eventually, patience

from tests.kit.registry.service import Registry, memory_registry
from tests.kit.router.control_plane import Plane, control_plane

HOUR_US = 3_600_000_000
DAY = budget_pb2.Budget.PERIOD_DAY
LOWER, REFUSE = client_limits_pb2.BudgetOverrun.ACTION_LOWER, client_limits_pb2.BudgetOverrun.ACTION_REFUSE
OF_A_ONLY = ((CLIENT_HEADER, "eve"), (MODELS_HEADER, "a*"))


class Usage:
    """A control plane's stubs, and a batcher that reports to it."""

    def __init__(self, plane: Plane, registry: Registry | None = None) -> None:
        self.plane, self.registry = plane, registry
        self.stub, self.budgets = plane.usage, plane.budgets

    async def report(self, sequence: int, *uses: tuple, process="p1", pool="gpu", present_us=HOUR_US, busy_us=0):
        fields = ("model", "version", "client", "priority", "requests", "rows", "compute_us")
        request = usage_pb2.ReportUsageRequest(
            pool=pool,
            process=process,
            sequence=sequence,
            present_us=present_us,
            busy_us=busy_us,
            uses=[usage_pb2.ComputeUse(**dict(zip(fields, use, strict=True))) for use in uses],
        )
        await self.stub.ReportUsage(request, timeout=patience(20))

    async def used(self, *, metadata=None, **fields) -> dict[tuple[str, str], float]:
        answer = await self.stub.GetUsage(usage_pb2.GetUsageRequest(**fields), timeout=patience(20), metadata=metadata)
        used = {(one.client, one.model): one.compute_s for one in answer.usage}
        assert answer.compute_s == pytest.approx(sum(one.compute_s for one in answer.usage))
        return used

    async def put(self, name="b", *, validate_only=False, **fields):
        made = {"client": "ada", "model": "*", "period": DAY, "compute_s": 1.0, **fields}
        budget = budget_pb2.Budget(name=f"budgets/{name}", **made)
        request = budget_pb2.PutBudgetRequest(budget=budget, validate_only=validate_only)
        return await self.budgets.PutBudget(request, timeout=patience(20))

    async def overruns(self) -> dict[tuple[str, str], int]:
        """Return what a data plane that begins to watch is sent."""
        watch = self.plane.control.WatchClientLimits(control_pb2.WatchClientLimitsRequest(), timeout=patience(20))
        message = await watch.read()
        watch.cancel()
        assert all(one.expire_time.ToDatetime(UTC) > datetime.now(UTC) for one in message.budget_overruns)
        return {(one.client, one.model): one.action for one in message.budget_overruns}


@pytest.fixture
async def usage(postgres_url):
    async with (
        memory_registry() as registry,
        control_plane(postgres_url, registry.target) as plane,
    ):
        yield Usage(plane, registry)


async def test_reports_of_batchers_add_up_by_client_and_each_counts_once(usage):
    await usage.report(1, ("a", "v1", "ada", 1, 2, 8, 2_000_000), ("b", "v1", "ada", 1, 1, 1, 500_000))
    await usage.report(1, ("a", "v1", "ada", 1, 2, 8, 2_000_000))  # the answer was lost: sent again
    await usage.report(2, ("a", "v1", "ada", 1, 1, 1, 1_000_000), ("a", "v1", "bob", 3, 1, 1, 250_000))
    await usage.report(1, ("a", "v1", "ada", 1, 1, 1, 1_000_000), process="p2")

    assert await usage.used() == {("ada", "a"): 4.0, ("ada", "b"): 0.5, ("bob", "a"): 0.25}
    assert await usage.used(model="models/a") == {("ada", "a"): 4.0, ("bob", "a"): 0.25}
    assert await usage.used(client="bob") == {("bob", "a"): 0.25}
    assert await usage.used(metadata=OF_A_ONLY) == {("ada", "a"): 4.0, ("bob", "a"): 0.25}

    # Many at the same time, in different orders.
    uses = [(f"m{n}", "v1", f"c{n % 3}", 1, 1, 1, 1_000) for n in range(20)]
    await asyncio.gather(
        *(usage.report(n, *(uses if at % 2 else uses[::-1]), process=f"q{at}") for at in range(8) for n in (1,))
    )
    assert sum((await usage.used()).values()) == pytest.approx(4.75 + 8 * 20 * 1e-3)


async def test_of_an_hour_with_all_rows_that_it_may_have_new_clients_are_told_together(usage, monkeypatch):
    monkeypatch.setattr(store, "MAX_HOUR_ROWS", 3)
    await usage.report(1, *(("a", "v1", f"c{n}", 1, 1, 1, 1_000_000) for n in range(3)))
    await usage.report(2, *(("a", "v1", f"c{n}", 1, 1, 1, 1_000_000) for n in range(50)))

    assert await usage.used() == {("c0", "a"): 2.0, ("c1", "a"): 2.0, ("c2", "a"): 2.0, (store.OTHERS, "a"): 47.0}


async def test_a_client_that_none_is_called_is_refused_by_its_field(usage):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await usage.used(client="a\0")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [one.field for one in from_rpc_error(refused.value).violations] == ["client"]


async def test_what_stands_idle_is_told_with_its_price(usage):
    await usage.report(1, pool="gpu", present_us=HOUR_US, busy_us=HOUR_US // 10)
    await usage.report(1, pool="gpu", process="p2", present_us=HOUR_US)
    await usage.report(1, pool="cpu", process="p3", present_us=HOUR_US // 2, busy_us=HOUR_US // 2)

    request = usage_pb2.GetIdleTimeRequest(price_per_hour=3.0)
    gpu, cpu = (await usage.stub.GetIdleTime(request, timeout=patience(20))).pools
    assert (gpu.pool, cpu.pool) == ("gpu", "cpu")
    assert (gpu.present_hours, gpu.busy_hours, gpu.idle_hours) == pytest.approx((2.0, 0.1, 1.9))
    assert gpu.saved == pytest.approx(gpu.spared_hours * 3.0)
    assert "busy 5% of their time" in gpu.advice


async def test_smaller_forms_of_what_executed_are_told_with_what_they_would_have_spared(usage):
    await usage.registry.register("a", "v1")
    await usage.registry.register(
        "a",
        "v1-int8-dynamic",
        metrics={"optimised_speedup": 4.0},
        parameters={"optimised_from": "v1", "optimised_by": "int8-dynamic"},
        lineage=registry_pb2.Lineage(parent_version="v1"),
    )
    executed_us = HOUR_US * 9 // 10
    for process in ("p1", "p2", "p3", "p4"):
        uses = (("a", "v1", "ada", 1, 1, 1, executed_us // 2), ("gone", "v1", "ada", 1, 1, 1, executed_us // 2))
        await usage.report(1, *uses, process=process, present_us=HOUR_US, busy_us=executed_us)

    request = usage_pb2.GetIdleTimeRequest(target_utilisation=1.0, price_per_hour=2.0)
    answer = await usage.stub.GetIdleTime(request, timeout=patience(20))
    (gpu,) = answer.pools
    (form,) = gpu.smaller_forms
    assert (form.model, form.version, form.form, form.made_by) == ("a", "v1", "v1-int8-dynamic", "int8-dynamic")
    assert (form.compute_s, form.spared_s) == pytest.approx((6480.0, 4860.0))
    assert (gpu.enough_replicas, gpu.enough_replicas_with_forms) == (4, 3)  # 3.6 busy, 2.25 of them with the form
    assert gpu.saved_with_forms == pytest.approx(2.0 * gpu.spared_hours_with_forms)
    assert not answer.smaller_forms_unknown
    seen = await usage.stub.GetIdleTime(
        request, timeout=patience(20), metadata=((CLIENT_HEADER, "eve"), (MODELS_HEADER, "b*"))
    )
    assert not seen.pools[0].smaller_forms, "of models that the caller may see"


async def test_without_the_registry_idle_time_is_told_all_the_same(postgres_url):
    async with control_plane(postgres_url, "127.0.0.1:1") as plane:
        usage = Usage(plane)
        await usage.report(1, ("a", "v1", "ada", 1, 1, 1, 1_000_000), present_us=HOUR_US, busy_us=1_000_000)
        answer = await usage.stub.GetIdleTime(usage_pb2.GetIdleTimeRequest(), timeout=patience(20))
    assert ([one.pool for one in answer.pools], answer.smaller_forms_unknown) == (["gpu"], True)


async def test_a_report_of_several_hours_is_told_of_each_as_it_is_after_an_outage_of_the_control_plane(usage):
    await usage.report(1, pool="gpu", present_us=3 * HOUR_US, busy_us=3 * HOUR_US)
    await usage.report(2, pool="gpu", present_us=0)

    request = usage_pb2.GetIdleTimeRequest(target_utilisation=1.0)
    (gpu,) = (await usage.stub.GetIdleTime(request, timeout=patience(20))).pools
    assert (gpu.present_hours, gpu.busy_hours) == pytest.approx((3.0, 3.0))
    assert gpu.enough_replicas == 1, "one was there, and busy all the time"


@pytest.mark.long
async def test_who_spends_more_than_a_budget_is_told_to_data_planes_within_seconds_and_freed_with_it(usage):
    await eventually(lambda: _is(usage, {}), within=10)
    await usage.put(compute_s=1.0, refuse_above_s=3.0)
    await usage.report(1, ("a", "v1", "ada", 1, 1, 1, 900_000), ("a", "v1", "ada", 2, 9, 9, 9_000_000))
    assert await usage.overruns() == {}  # copies for shadows are nobody's expense

    await usage.report(2, ("a", "v1", "ada", 1, 1, 1, 200_000))
    await eventually(lambda: _is(usage, {("ada", ""): LOWER}), within=10)
    await usage.report(3, ("b", "v1", "ada", 3, 1, 1, 2_000_000))
    await eventually(lambda: _is(usage, {("ada", ""): REFUSE}), within=10)
    (listed,) = (await usage.budgets.ListBudgets(budget_pb2.ListBudgetsRequest(), timeout=patience(20))).budgets
    assert [(one.client, one.action) for one in listed.spent] == [("ada", REFUSE)]
    assert listed.spent[0].compute_s == pytest.approx(3.1)

    for _ in range(2):  # which is safe to repeat
        await usage.budgets.DeleteBudget(budget_pb2.DeleteBudgetRequest(name="budgets/b"), timeout=patience(20))
    await eventually(lambda: _is(usage, {}), within=10)


async def _is(usage: Usage, expected: dict) -> bool:
    return await usage.overruns() == expected


async def test_budgets_of_models_that_a_caller_may_not_see_are_neither_shown_nor_touched(usage):
    await usage.put("all")
    await usage.put("checked", validate_only=True)
    await usage.put("of-b", model="b")
    await usage.put("of-a", model="a")

    shown = await usage.budgets.ListBudgets(budget_pb2.ListBudgetsRequest(), timeout=patience(20), metadata=OF_A_ONLY)
    assert [one.budget.name for one in shown.budgets] == ["budgets/of-a"]
    every = await usage.budgets.ListBudgets(budget_pb2.ListBudgetsRequest(), timeout=patience(20))
    assert "budgets/checked" not in {one.budget.name for one in every.budgets}
    for name in ("of-b", "all"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await usage.budgets.DeleteBudget(
                budget_pb2.DeleteBudgetRequest(name=f"budgets/{name}"), timeout=patience(20), metadata=OF_A_ONLY
            )
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
