import pytest
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.telemetry.counters import (
    BOUNDS_S,
    LABELS,
    LOOK_EVERY_S,
    MAX_SERIES,
    SILENT_S,
    Counters,
    Key,
)
from prometheus_client import CollectorRegistry

OK = Key("digits", "v1", "a", ServedFrom.ONLINE, 0)
NONE = dict.fromkeys(LABELS, "")
ONLINE = NONE | {"model": "digits", "version": "v1", "variant": "a", "served_from": "online", "code": "OK"}


def read(counters: Counters, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(counters)
    return registry.get_sample_value(f"headrace_router_{name}", labels)


def test_observations_become_counts_buckets_and_quantiles():
    counters = Counters()
    for milliseconds in range(1, 1001):
        counters.observe(OK, milliseconds / 1000, 0.0)
    assert read(counters, "predictions_total", **ONLINE) == 1000
    assert read(counters, "prediction_duration_seconds_count", **ONLINE) == 1000
    assert read(counters, "prediction_duration_seconds_sum", **ONLINE) == pytest.approx(500.5)
    assert read(counters, "prediction_duration_seconds_bucket", **ONLINE, le="0.1") == pytest.approx(100, abs=1)
    assert read(counters, "prediction_duration_seconds_bucket", **ONLINE, le="+Inf") == 1000
    found = read(counters, "prediction_duration_quantile_seconds", **ONLINE, quantile="0.99")
    assert found == pytest.approx(0.99, rel=0.01)


def test_buckets_never_fall():
    counters = Counters()
    for microseconds in (1, 60, 700, 8_000, 90_000, 20_000_000):
        counters.observe(OK, microseconds / 1e6, 0.0)
    seen = [read(counters, "prediction_duration_seconds_bucket", **ONLINE, le=str(bound)) or 0 for bound in BOUNDS_S]
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (1, 5)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        pytest.param(OK._replace(served_from=ServedFrom.CACHE, layer="memory"), ("cache", "memory", ""), id="memory"),
        pytest.param(OK._replace(served_from=ServedFrom.CACHE, layer="valkey"), ("cache", "valkey", ""), id="valkey"),
        pytest.param(
            OK._replace(served_from=ServedFrom.FALLBACK, fallback_step="cpu"), ("fallback", "", "cpu"), id="a step"
        ),
    ],
)
def test_sources_are_told_apart(key: Key, told: tuple[str, str, str]):
    counters = Counters()
    counters.observe(OK, 0.5, 0.0)
    counters.observe(key, 0.001, 0.0)
    labels = ONLINE | dict(zip(("served_from", "layer", "fallback_step"), told, strict=True))
    assert read(counters, "prediction_duration_seconds_count", **labels) == 1
    assert read(counters, "prediction_duration_quantile_seconds", **labels, quantile="0.5") == pytest.approx(
        0.001, 0.01
    )


def test_priorities_are_told_together():
    counters = Counters()
    for priority, seconds in ((0, 0.1), (3, 4.0), (0, 0.1)):
        counters.observe(OK._replace(priority=priority), seconds, 0.0)
    assert read(counters, "prediction_duration_seconds_count", **ONLINE) == 3
    assert read(counters, "prediction_duration_seconds_sum", **ONLINE) == pytest.approx(4.2)
    assert read(counters, "prediction_duration_seconds_bucket", **ONLINE, le="1.0") == 2


def test_errors_have_no_source():
    counters = Counters()
    counters.observe(Key("", "", "", 0, 5), 0.001, 0.0)
    assert read(counters, "predictions_total", **NONE | {"code": "NOT_FOUND"}) == 1


def test_the_number_of_series_is_bounded():
    counters = Counters(lambda: 0.0)
    for number in range(MAX_SERIES + 100):
        counters.observe(Key(f"m{number}", "v1", "a", 1, 0), 0.001, 0.0)
    assert len(counters.series) <= MAX_SERIES + 2
    assert sum(series.durations.count() for series in counters.series.values()) == MAX_SERIES + 100


class Full:
    """Counters that have as many series as they may, the first half of which was silent for half an hour longer."""

    def __init__(self, *, reporting: bool = False) -> None:
        self.now = 1000.0
        self.counters = Counters(lambda: self.now, reporting=reporting)
        for number in range(MAX_SERIES):
            if number == MAX_SERIES // 2:
                self.now += SILENT_S / 2
            self.observe(f"m{number}")

    def observe(self, model: str) -> None:
        self.counters.observe(OK._replace(model=model), 0.001, self.now)

    def counted(self, model: str) -> int:
        series = self.counters.series.get(OK._replace(model=model))
        return series.durations.count() if series is not None else 0


def test_what_was_silent_for_an_hour_gives_its_place_to_what_is_new():
    full = Full()
    full.now += SILENT_S / 2
    full.observe("new")
    assert (full.counted("new"), full.counted("m0"), full.counted(f"m{MAX_SERIES - 1}")) == (1, 0, 1)
    full.observe("m0")
    returned, stayed = (full.counters.series[OK._replace(model=model)] for model in ("m0", f"m{MAX_SERIES - 1}"))
    assert returned.durations.count() == 1
    assert returned.generation > stayed.generation


def test_nothing_is_forgotten_while_there_is_room_or_while_it_is_not_reported():
    full = Full(reporting=True)
    full.now += 2 * SILENT_S
    full.observe("new")
    assert (full.counted("new"), full.counted("m0")) == (0, 1)
    for model in ("m0", "m1"):
        known = full.counters.series[OK._replace(model=model)]
        known.reported = known.latest
    full.observe("new")  # those that are silent are looked for once in a while
    assert (full.counted("new"), full.counted("m0")) == (0, 1)
    full.now += LOOK_EVERY_S
    full.observe("new")
    assert (full.counted("new"), full.counted("m0"), full.counted("m2")) == (1, 0, 1)
