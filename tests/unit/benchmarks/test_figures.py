"""What the benchmark makes of its measurements: percentiles, medians, bars, growth, the plot."""

from __future__ import annotations

import statistics
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.checkout import BenchmarkError
from benchmarks.load.endings import REFUSED
from benchmarks.measures.bars import verdicts
from benchmarks.measures.curve import Curve
from benchmarks.measures.figures import Figures, median_of, percentile
from benchmarks.measures.scenarios import SCENARIOS
from benchmarks.profiling import LOOP, by_thread, report, shares
from benchmarks.report.document import filled
from benchmarks.report.plot import svg
from benchmarks.report.tables import conditions, markdown, text
from benchmarks.soak import growth, growths

FIGURES = Figures(
    12_000.0,
    10.0,
    50.0,
    {"OK": 96_000},
    {"front-door: Envoy": 60.0, "load generator": 10.0},
    {"front-door: Envoy": 200.0},
    0.8,
)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_the_first_value_that_enough_do_not_exceed(values: list[float], share: float):
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert sum(one <= found for one in ordered) >= share * len(ordered) - 1e-6
    assert sum(one < found for one in ordered) < share * len(ordered) + 1e-6


def test_the_percentile_of_nothing_is_no_number():
    assert percentile([], 0.5) != percentile([], 0.5)


def test_a_median_is_taken_of_every_figure_by_itself_and_outcomes_are_summed():
    runs = [
        replace(FIGURES, requests_per_s=speed, p99_ms=p99, outcomes={"OK": 10, "UNAVAILABLE": bad})
        for speed, p99, bad in ((1.0, 9.0, 0), (3.0, 7.0, 2), (2.0, 8.0, 1))
    ]
    median = median_of(runs)
    assert (median.requests_per_s, median.p99_ms, median.errors) == (2.0, 8.0, 3)
    assert median.outcomes["OK"] == 30


def test_refusals_with_a_time_to_come_again_are_no_errors():
    seen = replace(FIGURES, outcomes={"OK": 5, REFUSED: 3, "RESOURCE_EXHAUSTED": 2})
    assert (seen.errors, seen.refused) == (2, 3)


@pytest.mark.parametrize(
    ("mixed", "gateway", "enough"),
    [
        pytest.param(12_500.0, 10_000.0, True, id="exactly a quarter more"),
        pytest.param(12_400.0, 10_000.0, False, id="a little less"),
    ],
)
def test_the_bar_against_gateway_and_triton(mixed: float, gateway: float, enough: bool):
    judged = verdicts(
        {"mixed": replace(FIGURES, requests_per_s=mixed), "gateway": replace(FIGURES, requests_per_s=gateway)}
    )
    against = [one for one in judged if "gateway" in one.bar]
    assert [one.enough for one in against] == [enough]


def test_a_bar_without_its_reference_is_not_judged():
    assert not [one for one in verdicts({"cached": FIGURES}) if one.row == "cached"]


def test_one_wrong_answer_is_too_many():
    judged = verdicts({"open": replace(FIGURES, outcomes={"OK": 100_000, "WRONG ANSWER": 1})})
    assert [one.enough for one in judged if one.bar == "0 errors"] == [False]


def test_what_the_monitor_costs_is_judged_by_the_process_that_answers():
    def using(cpu_us: float):
        return replace(FIGURES, cpu_us={**FIGURES.cpu_us, "front-door: Envoy": cpu_us, "monitor": 5 * cpu_us})

    for own, enough in ((104.0, True), (106.0, False)):
        judged = verdicts({"mixed": using(own), "unreported": using(100.0)})
        assert [one.enough for one in judged if "accounting" in one.bar] == [enough]


def test_every_row_with_a_bar_is_told_in_both_tables():
    medians = {one.name: FIGURES for one in SCENARIOS}
    judged = verdicts(medians)
    shown, written = (
        text(medians, judged),
        markdown(conditions("3 runs"), medians, judged, ()),
    )
    assert all(one.name in shown and one.title in written for one in SCENARIOS)
    assert shown.count("reached") + shown.count("NOT REACHED") >= len(judged)


def test_growth_compares_the_ends_and_not_the_noise():
    flat = [100.0, 104.0, 100.0, 96.0, 100.0] * 4
    assert growth(flat) == pytest.approx(0.0, abs=0.011)
    assert growth([100.0 + step for step in range(20)]) == pytest.approx(15 / 101.5, abs=0.01)


def test_growth_is_told_by_process_and_of_all():
    samples = [{"a": 100.0, "b": 50.0 + step} for step in range(10)]
    grown = growths(samples)
    assert grown["a"] == 0.0
    assert grown["b"] > grown["all"] > 0.0


def test_the_plot_is_well_formed_and_has_a_ring_where_a_system_fell_behind():
    points = [
        replace(FIGURES, offered_per_s=offered, requests_per_s=answered, p50_ms=p50, p99_ms=p50 * 4)
        for offered, answered, p50 in ((1000.0, 1000.0, 1.0), (5000.0, 4990.0, 2.0), (9000.0, 6000.0, 800.0))
    ]
    drawing = ElementTree.fromstring(svg([Curve("one <1>", tuple(points))]))
    circles = [one for one in drawing if one.tag.endswith("circle")]
    assert len(circles) == 1
    assert statistics.mean(float(one.attrib["cx"]) for one in circles) > 300


def test_what_was_measured_replaces_what_stood_between_its_marks():
    document = (
        "before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n<!-- soak: begin -->\n<!-- soak: end -->\n"
    )
    once = filled(document, "bench", "new\n")
    assert once == document.replace("old", "\nnew\n")
    assert filled(once, "bench", "new") == once


def test_a_document_without_marks_is_left_alone():
    with pytest.raises(BenchmarkError, match="soak"):
        filled("<!-- soak: begin -->\n", "soak", "new")


def test_samples_are_shared_out_by_function_whatever_the_line():
    run = "run (/venv/lib/python3.11/asyncio/runners.py:118)"
    app = "app (/x/services/router/headrace_router/data/transports/envoy/app.py:{})"
    stacks = [
        f"{run};{app.format(40)} 6",
        f"{run};{app.format(44)} 3",
        f"{run};{app.format(44)};epoll_wait (libc.so.6) 1",
    ]
    ours, waiting = shares(stacks)
    assert ours == ("headrace_router/data/transports/envoy/app.py app", 0.9, 1.0)
    assert waiting == ("libc.so.6 epoll_wait", 0.1, 0.1)


def test_a_profile_tells_the_threads_and_what_our_own_does():
    app = "app (/x/services/router/headrace_router/data/transports/envoy/app.py:40)"
    stacks = by_thread([f"thread (12): Dummy-2;{app} 3", "thread (12): Dummy-2 1", "thread (11): MainThread 9"])
    assert stacks == {"12": [f"{LOOP};{app} 3", f"{LOOP} 1"], "11": [f"{LOOP} 9"]}
    told = report("80/20", 10_000.0, {"envoy 12": 80.0, "wrk:worker_0 13": 40.0}, stacks)
    assert "120.0 µs" in told
    assert "| `headrace_router/data/transports/envoy/app.py app` | 60.0 | 60.0 |" in told
    assert f"| `{LOOP}` | 20.0 | 80.0 |" in told
