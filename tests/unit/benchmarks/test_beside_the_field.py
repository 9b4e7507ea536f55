"""What `make bench-field` makes of its measurements, and what it knows of the systems of the field."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.load.calls import Rows
from benchmarks.measures.figures import GENERATOR, Figures
from benchmarks.measures.scenarios import MIXED
from benchmarks.report.beside import Entry, lines, markdown, text
from benchmarks.systems.field.bentoml import rows_as_json
from benchmarks.systems.field.contender import rows, versions
from benchmarks.systems.field.lineup import FIELD

FIGURES = Figures(
    1000.0, 10.0, 50.0, {"OK": 4000}, {"server": 400.0, "proxy": 50.0, GENERATOR: 30.0}, {"server": 100.0}
)
ABOUT = {"cpu": "2 cores", "kernel": "6", "python": "3.11", "date": "today", "runs": "one run"}
HEADRACE = Entry(
    "Headrace",
    (*rows("headrace", "headrace", "Headrace, all online"), *rows("headrace", "kept", "Headrace, kept", "x", MIXED)),
    "as it is",
    "1",
)
OTHER = Entry("Other", rows("other", "other", "Other"), "as it says", "2")
MEDIANS = {
    "headrace": FIGURES,
    "headrace-one": replace(FIGURES, requests_per_s=500.0),
    "kept": replace(FIGURES, requests_per_s=3000.0),
    "other": replace(FIGURES, requests_per_s=2500.0),
    "other-one": replace(FIGURES, requests_per_s=250.0),
}


@pytest.mark.parametrize(("streams", "ratios"), [(32, [1.0, 3.0, 2.5]), (1, [1.0, 0.5])])
def test_everyone_is_compared_with_headrace_all_online_under_the_same_load(streams: int, ratios: list[float]):
    assert [line.ratio for line in lines((HEADRACE, OTHER), MEDIANS, streams)] == ratios


def test_without_headrace_nobody_is_compared():
    assert [line.ratio for line in lines((OTHER,), MEDIANS, 32)] == [None]


def test_the_cpu_of_a_system_is_that_of_all_its_processes_without_the_load_generator():
    assert FIGURES.served_us == pytest.approx(450.0)


def test_errors_are_shown_by_their_names_and_a_system_that_answered_nothing_has_no_latency():
    nothing = replace(
        FIGURES, requests_per_s=0.0, p50_ms=float("nan"), p99_ms=float("nan"), outcomes={"OK": 0, "HTTP 503": 1200}
    )
    [line] = lines((OTHER,), {"other": nothing}, 32)
    assert line.cells() == ("0", "–", "–", "–", "–", "100", "1,200 HTTP 503")


def test_a_system_that_did_not_start_is_told_with_its_reason_and_the_others_are_measured():
    failed = replace(OTHER, failed="it ended before it answered\nTraceback: no such module")
    seen = {name: one for name, one in MEDIANS.items() if not name.startswith("other")}
    shown, written = text((HEADRACE, failed), seen), markdown(ABOUT, "make bench-field", (HEADRACE, failed), seen)
    assert "not measured: Other: it ended before it answered" in shown
    assert "Not measured: Other: it ended before it answered" in written
    assert "Traceback" not in shown + written
    assert "| Headrace, kept | 3,000 | 3.00 |" in written


def test_the_document_says_what_printed_it_and_how_each_system_was_configured():
    written = markdown(ABOUT, "make bench-field BENCH=--rounds 1", (HEADRACE, OTHER), MEDIANS)
    assert "`make bench-field BENCH=--rounds 1`" in written
    assert "| Other | 2 | as it says |" in written
    assert "256 in flight (8 × 32)" in written
    assert "one request in flight" in written


def test_rows_have_names_of_their_own_and_every_system_is_asked_alike():
    scenarios = [row for one in FIELD for row in one.scenarios()]
    assert len({row.name for row in scenarios}) == len(scenarios)
    assert {(row.connections, row.streams) for row in scenarios} == {(8, 32), (1, 1)}


def test_bentoml_is_sent_both_inputs_as_one_row_and_must_answer_its_score():
    features = np.random.default_rng(1).normal(size=(2, 192)).astype(np.float32)
    call = rows_as_json(Rows(features[:, :128], features[:, 128:], [0.25, 0.75]))
    [sent] = json.loads(call.bodies[1])["rows"]
    assert sent == pytest.approx(features[1].tolist(), abs=1e-3)
    assert call.right(b"[[0.75003]]", 1)
    assert not call.right(b"[[0.25]]", 1)
    assert not any(call.right(wrong, 1) for wrong in (b"", b"[]", b"[[0.75, 0.75]]", b'{"error": 1}', b'[["0.75"]]'))


def test_versions_are_those_that_are_installed(tmp_path: Path):
    described = tmp_path / "lib" / "python3.11" / "site-packages" / "a_server-1.2.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: a-server\nVersion: 1.2\n")
    assert versions(tmp_path, ("a-server", "other")) == "a-server 1.2, other not installed"
