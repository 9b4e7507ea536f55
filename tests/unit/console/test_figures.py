"""Numbers on pages: never with an exponent that a person has to work out."""

import re
import time as clock
from datetime import UTC, datetime, timedelta

import pytest
from headrace_console.charts import Line, lines
from headrace_console.figures import number, percent
from headrace_console.pages.markup import time
from hypothesis import example, given
from hypothesis import strategies as st

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("share", "digits", "told"),
    [(1.0, 2, "100 %"), (0.9999, 2, "100 %"), (12.5, 3, "1,250 %"), (0.00012, 3, "0.012 %"), (0.0, 3, "0 %")],
)
def test_a_share_is_told_in_plain_digits(share: float, digits: int, told: str):
    assert percent(share, digits) == told


def test_what_is_not_known_is_a_dash():
    assert (percent(None), percent(float("inf")), number(float("nan"))) == ("–", "–", "–")


def test_a_band_without_a_bound_above_reaches_the_edge_of_the_chart():
    times = [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)]
    line = Line("effect", [1.0, 2.0, None], [0.0, 1.0, float("nan")], [float("inf"), 4.0, 5.0])
    drawn = lines([line], times, label="effect")
    edges = re.findall(r'<polygon class="band one" points="([^"]+)"', drawn)
    assert [len(one.split()) for one in edges] == [4]
    assert edges[0].startswith("84.0,10.0")


def test_large_numbers_have_no_exponent():
    assert (number(12345.6), number(99999.5, 3), number(1.5e12)) == ("12,346", "100,000", "1,500,000,000,000")


def test_axes_of_busy_models_have_none_either():
    drawn = lines([Line("requests", [0.0, 24_000.5])], [NOON, NOON + timedelta(hours=1)], label="requests")
    assert "e+0" not in drawn


def test_a_time_without_a_zone_is_in_utc_wherever_the_console_stands(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    clock.tzset()
    try:
        assert 'title="2026-11-29 12:00:00 UTC"' in time(NOON.replace(tzinfo=None))
    finally:
        monkeypatch.undo()
        clock.tzset()


def test_times_of_a_chart_are_in_utc_until_a_script_has_read_them():
    drawn = lines([Line("effect", [1.0, 2.0])], [NOON, NOON + timedelta(days=1)], label="effect")
    assert 'data-time="2026-11-29T12:00:00Z" data-form="%d. %H:%M">29. 12:00<title>2026-11-29 12:00:00 UTC' in drawn
    assert ">UTC</text>" in drawn


def test_what_happened_soon_after_each_other_is_drawn_near_each_other():
    times = [NOON, NOON + timedelta(minutes=1), NOON + timedelta(minutes=100)]
    drawn = lines([Line("effect", [1.0, 2.0, 3.0])], times, label="effect")
    first, second, third = (float(x) for x in re.findall(r'<circle class="dot one" cx="([\d.]+)"', drawn))
    assert second - first < (third - first) / 50
    assert len(set(re.findall(r'data-form="%H:%M">([\d:]+)<', drawn))) == 6, "no time twice"


@given(st.lists(st.none() | st.floats(), min_size=1, max_size=4), st.booleans())
@example([-1e20], True)
@example([1e308, -1e308], False)
@example([5e-324, 0.0], False)
def test_whatever_was_measured_a_chart_is_drawn(values: list[float | None], zero: bool):
    times = [NOON + timedelta(minutes=at) for at in range(len(values))]
    drawn = lines([Line("effect", values)], times, label="effect", zero=zero)
    assert not {"nan", "inf"} & set(
        re.findall(r"[a-z]+", " ".join(re.findall(r'(?:c?[xy][12]?|points)="([^"]*)"', drawn)))
    )
