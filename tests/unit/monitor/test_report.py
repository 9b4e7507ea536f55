"""The page about a model: what it says, and that names of others stay names."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from headrace_monitor.judge.drift.decisions import histograms
from headrace_monitor.judge.drift.decisions.histograms import histogram
from headrace_monitor.report import plots
from headrace_monitor.report.content import MAX_BUCKETS, Bucket, Traffic, TrafficRow, buckets_of
from headrace_monitor.report.drift_view import filled
from headrace_monitor.report.rendering import render
from headrace_monitor.report.wording import compared, explained, number
from headrace_monitor.times import Span
from headrace_statistics import references
from headrace_statistics.drift.reports import Test

from tests.kit.monitor import sample_report

HOSTILE = """"'><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>{{ 7 * 7 }}"""


class Page(HTMLParser):
    """What is on a page: elements with their attributes, and the words between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_names_of_others_are_shown_and_never_obeyed() -> None:
    page = Page(render(sample_report.full(HOSTILE)))
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "img", "iframe", "object", "embed", "form"})
    assert HOSTILE in page.text
    plain = Page(render(sample_report.full("country")))
    # As many words of an axis as have room.
    shapes = [[(tag, *attributes) for tag, attributes in each.elements if tag != "text"] for each in (page, plain)]
    assert shapes[0] == shapes[1], "a name adds no element and no attribute"


def test_nothing_is_loaded_from_anywhere() -> None:
    for report in (sample_report.full(), sample_report.empty()):
        for tag, attributes in Page(render(report)).elements:
            for name, value in attributes.items():
                assert name not in ("src", "srcset", "xlink:href", "action", "onclick", "onload"), (tag, name)
                if name == "href":
                    assert (value or "").startswith(("#", "data:,")), value
        assert "url(" not in render(report)
        assert "@import" not in render(report)


def test_what_there_is_is_said_with_its_numbers_beside_the_plots() -> None:
    page = Page(render(sample_report.full()))
    for words in (
        "80,658", "0.16% of 82,793 requests failed", "4 of its columns changed, version v2",
        "version v2; the outcome of 6% is known",
        "latency_p99_us 12,300 is above 10,000 for 5 minutes (silenced)",
        "12 predictions are missing in the prediction log", "values that the reference does not have", "country=XK",
        "71%", "0.921", "one class: 3,400 positives, 0 negatives", "too few: 12, at least 50",
        "3 whose label is no class", "has risen to about 14.0%",
    ):  # fmt: skip
        assert words in page.text, words
    figures = sum(tag == "figure" for tag, _ in page.elements)
    assert figures == 6
    assert sum(tag == "svg" and bool(attributes.get("aria-label")) for tag, attributes in page.elements) == figures


def test_a_finding_is_said_once_whichever_tests_and_tables_it_is_in() -> None:
    page = Page(render(sample_report.full()))
    cells = [" ".join(word.split()) for word in page.words]
    assert cells.count("income") == 1
    assert cells.count("age") == 2, "its row, and its histogram"
    assert "also how its values are spread (KS)" in page.text
    assert page.text.count("0.921") == 1, "what is compared between versions is not said of each again"
    assert page.text.count("drift of country: new categories") == 1
    assert "(1 time before in this time)" in page.text
    assert "without rows: 3 whose label is no class" in page.text, "a remark stays with its measure"


def test_what_was_refused_is_no_failure_and_not_among_the_answers() -> None:
    page = Page(render(sample_report.full()))
    assert "refused: INVALID_ARGUMENT" in page.text
    assert "failed: UNAVAILABLE" in page.text
    styles = {label: set() for label in ("Answers over time, by source", "Requests without an answer over time")}
    drawn: str | None = None
    for tag, attributes in page.elements:
        if tag in ("svg", "details"):
            drawn = attributes.get("aria-label")
        elif tag == "rect" and drawn in styles:
            styles[drawn].add(attributes.get("class"))
    assert list(styles.values()) == [{"c0", "c1", "c2"}, {"c7", "bad"}]


@pytest.mark.parametrize(("smaller", "larger"), [(0.3, 3.0), (3.0, 30.0), (0.1, 0.3)])
def test_bars_tell_effects_apart_that_differ_in_size(smaller: float, larger: float) -> None:
    tolerance = 0.1
    assert filled(larger / tolerance) - filled(smaller / tolerance) > 15


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.71, "71%"), (1.0, "all of it"), (3.2, "all of it"), (-263.293, "–"), (float("nan"), "–"), (0.0, "0%")],
)
def test_a_slice_explains_a_part_or_all_or_nothing_is_said(share: float, words: str) -> None:
    assert explained(share) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.93123, "0.9312"), (-26329.3, "-26,329"), (0.0, "0"), (1e-12, "1e-12"), (None, "–"), (float("inf"), "–")],
)
def test_numbers_have_no_more_digits_than_people_read(value: float | None, words: str) -> None:
    assert number(value) == words


def test_every_test_of_drift_is_said_in_words() -> None:
    for test in Test:
        assert compared(test.value) != test.value.replace("_", " "), test


def test_where_there_is_nothing_it_says_what_to_do_and_what_could_not_be_asked() -> None:
    text = Page(render(sample_report.empty())).text
    assert "headrace monitor report digits --since 7d" in text
    assert "Performance could not be asked for: the store is away" in text
    assert "No alert was open in this time" in text
    full = Page(render(sample_report.full())).text
    assert "headrace monitor reference freeze digits v1 --since 24h" in full
    assert "headrace monitor outcomes record digits labels.csv" in full


def test_a_page_stays_small_whatever_the_traffic_is_made_of() -> None:
    rows = tuple(TrafficRow(f"v{at}", "", "online", "OK", 1, 1, 1, 1) for at in range(5000))
    counts = {(f"v{at}", "online"): at + 1 for at in range(5000)}
    bucket = Bucket(sample_report.NOON, counts, 0, None)
    full = sample_report.full()
    html = render(
        type(full)(full.model, full.start, full.end, full.made_at, Traffic((bucket,), rows, "v1", 0, 0), (), (), ())
    )
    assert len(html) < 60_000
    assert "4993 others" in html
    assert "and 4960 more" in html


@pytest.mark.parametrize("values", [(None,), (float("inf"), 1.0), (0.0,), (-1.0, 2.0), (1e-300,), (1e300,)], ids=str)
def test_plots_take_odd_values(values: tuple[float | None, ...]) -> None:
    axis = plots.Axis(tuple(str(at) for at in range(len(values))))
    series = [plots.Series("x", "c0", values)]
    for drawn in (
        plots.stacked("x", axis, series),
        plots.lines("x", axis, series),
        plots.paired("x", axis, *series * 2),
    ):
        assert "nan" not in drawn
        assert "inf" not in drawn.replace("info", "")


@pytest.mark.parametrize(
    "length", [timedelta(minutes=1), timedelta(hours=3), timedelta(days=1), timedelta(days=90), timedelta(days=9000)]
)
def test_slots_cover_a_time_without_gaps(length: timedelta) -> None:
    start = datetime(2031, 2, 3, 12, 34, 56, tzinfo=UTC)
    buckets = buckets_of(Span(start, start + length), now=start + length)
    assert len(buckets) <= MAX_BUCKETS
    assert buckets[0].start <= start < buckets[0].end
    assert buckets[-1].start < start + length <= buckets[-1].end
    assert all(one.end == other.start for one, other in pairwise(buckets))


def test_bins_are_called_by_the_values_in_them() -> None:
    assert doctest.testmod(histograms).failed == 0
    assert histograms.bins_of([0.0, 1.0, 2.0]) == ["≤ 0", "≤ 1", "≤ 2", "> 2"]
    assert histograms.bins_of([0.5, float(np.nextafter(3.0, 0.0)), 3.0]) == ["≤ 0.5", "< 3", "3", "> 3"]


def test_histograms_have_the_bins_that_were_judged() -> None:
    rng = np.random.default_rng(7)
    age = references.freeze_numeric(rng.normal(50, 10, 5000))
    told = histogram("age", age, references.summarise(age, [*rng.normal(60, 10, 990), *[np.nan] * 10]))
    assert told is not None
    assert len(told.labels) == len(told.reference) == len(told.window) == 11
    assert told.labels[-1] == "missing"
    assert told.window[-1] == pytest.approx(0.01)
    assert sum(told.window) == pytest.approx(1)
    assert told.window[9] > 2 * told.reference[9]
    country = references.freeze_categorical(["AT"] * 60 + ["DE"] * 40)
    told = histogram("country", country, references.summarise(country, ["AT", "XK", "XK", None]))
    assert told is not None
    assert told.labels == ("AT", "DE", "new", "missing")
    assert told.window == (0.25, 0.0, 0.5, 0.25)
    constant = references.freeze_numeric([1.0] * 100)
    told = histogram("constant", constant, references.summarise(constant, [1.0, 2.0]))
    assert told is not None
    assert sum(told.window) == pytest.approx(1)
