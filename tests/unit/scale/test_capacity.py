"""`headrace capacity`: from options to lines."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from headrace.monitor.v1 import monitor_pb2
from headrace.router.v1 import route_pb2
from headrace_client.cli import main
from headrace_client.errors import PreconditionFailed
from headrace_scale.cli.capacity import measured

from tests.kit.router.answer_sources import CACHE, ONLINE
from tests.kit.rows import each


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["capacity", *words])


def test_options_become_lines_with_formulas():
    shown = run("--daily", "200M", "--capacity", "500")
    assert shown.exit_code == 0, shown.output
    assert "⌈13.89 × (1 + 0.3)⌉" in shown.stdout
    told = json.loads(run("--qps", "10k", "--cache-share", "0.8", "--replicas", "4", "--json").stdout)
    by_name = {line["name"]: line for line in told["lines"]}
    assert by_name["online at peak"]["value"] == pytest.approx(2000.0)
    assert by_name["replicas"]["value"] == 6
    assert "no head-room" in by_name["replicas"]["remark"]


def test_options_come_before_the_example():
    told = json.loads(run("--example", "--headroom", "0", "--json").stdout)
    assert {line["name"]: line["value"] for line in told["lines"]}["replicas"] == 14


@each(
    "words,message",
    [
        ((), "give --daily, --qps, --measure MODEL or --example"),
        (("--daily", "many"), "is no count"),
        (("--daily", "0"), "must be a positive number"),
        (("--daily", "1M", "--curve", "8=fast"), "is no duration"),
        (("--daily", "1M", "--cache-share", "1"), "cache-share"),
        (("--daily", "1M", "--qps", "0"), "daily_requests must be a positive number"),
        (("--daily", "1M", "--capacity", "0"), "--capacity: requests/s must be a positive number"),
        (("--daily", "1M", "--slo", "0s"), "slo_s must be positive"),
        (("--daily", "1M", "--bulk", "1k", "--record-time", "0s"), "record_s must be positive"),
        (("--daily", "1M", "--price", "nan"), "price_per_replica_hour must be a number from 0 up"),
        (("--daily", "1M", "--log-days", "inf"), "log_days must be a number from 0 up"),
    ],
)
def test_numbers_that_cannot_be_are_refused(words: tuple[str, ...], message: str):
    refused = run(*words)
    assert refused.exit_code != 0
    assert message in " ".join(refused.output.split())


class FakeFrontDoor:
    """Counts of a day and batchers, as the API has them. busiest: the hour with twice as much."""

    def __init__(self, online: float, cached: float, busiest: int) -> None:
        self.asked: list[datetime] = []
        self.monitor = self.routes = self
        self._online, self._cached, self._busiest = online, cached, busiest

    def traffic(self, model: str, *, start: datetime, end: datetime) -> monitor_pb2.GetTrafficResponse:
        assert end - start == timedelta(hours=1)
        factor = 2.0 if len(self.asked) == self._busiest else 1.0
        self.asked.append(start)
        answer = monitor_pb2.GetTrafficResponse()
        for source, count in ((ONLINE, self._online), (CACHE, self._cached)):
            answer.traffic.add(version="v1", served_from=source, count=int(count * factor))
        return answer

    def list_batchers(self, pool: str) -> list[route_pb2.Batcher]:
        batchers = [route_pb2.Batcher(process=name, pool=pool) for name in ("a", "b")]
        for batcher in batchers:
            load = route_pb2.BatcherLoad(answered_requests=9_000)
            load.compute.FromSeconds(30)
            batcher.versions.add(model="digits", load=load)
            batcher.versions.add(model="another", load=route_pb2.BatcherLoad(answered_requests=5))
        return batchers


def test_what_is_measured_is_the_days_traffic_and_what_batchers_served():
    front_door: Any = FakeFrontDoor(online=2_000, cached=8_000, busiest=7)
    needs = measured(front_door, ("digits",), "gpu")
    assert needs.daily_requests == 25 * 10_000
    assert needs.peak_factor == pytest.approx(20_000 * 24 / 250_000)
    assert needs.cache_share == pytest.approx(0.8)
    # 300 requests in each second of execution.
    assert needs.curve.best(needs.slo_s)[1] == pytest.approx(300.0)
    assert needs.replicas == 2


def test_where_nothing_was_asked_or_executed_nothing_is_measured():
    quiet: Any = FakeFrontDoor(online=0, cached=0, busiest=0)
    with pytest.raises(PreconditionFailed, match="nothing was asked of digits"):
        measured(quiet, ("digits",), "")
    other: Any = FakeFrontDoor(online=100, cached=0, busiest=0)
    with pytest.raises(PreconditionFailed, match="no batcher has executed anything of another"):
        measured(other, ("another",), "")
