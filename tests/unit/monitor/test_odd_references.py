"""Whatever stands in a reference's file is frozen, listed as unfit or refused by the column's name; and what was frozen
of it takes whatever the log has.
"""

import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_monitor.judge.performance.decisions.joins import VersionInfo, summaries_of
from headrace_monitor.judge.performance.decisions.measures import measures
from headrace_monitor.judge.references.columns import monitored_columns
from headrace_monitor.judge.references.dependent_rows import UNIT
from headrace_monitor.judge.references.feature_codes import coding_of
from headrace_monitor.judge.references.reference_files import answer_of
from headrace_monitor.judge.windows.decisions.window_summaries import window_of
from headrace_monitor.record.log.decisions.class_names import Classes
from headrace_statistics import serialization
from headrace_statistics.calibration import Calibration
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.references import Reference, Source
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.monitor.predictions import KnownContracts, contract, spec

AT = datetime(2030, 1, 1, tzinfo=UTC)
ROWS = 400
PROMISED = contract(
    {"age": spec("FP32", minimum=0, maximum=1), "pair": spec("FP64", 2), "count": spec("INT8"), "land": spec("BYTES")},
    {"scores": spec("FP32", 2, columns=["no", "yes"])},
    task="CLASSIFICATION",
)
JUDGED = monitored_columns(KnownContracts().add("m", "v1", PROMISED))

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 1e-320, 3.4e38, 1e308, -1e308, math.inf, -math.inf, math.nan, None])
WORDS = st.sampled_from(["", "a", "A", "\x00", "\u0130", "é", "é", "x" * 300, None])
WHOLE = st.sampled_from([-128, 0, 1, 127, 128, None])
PAIRS = st.sampled_from([[0.0, 1.0], [math.nan, math.inf], [1.0], [], None])
ODD = st.sampled_from([b"\xff", b"", None])
PALETTES = (NUMBERS, WORDS, WHOLE, PAIRS, ODD, st.booleans(), st.sampled_from([AT, None]))


@st.composite
def columns(draw, names):
    """Draw columns of odd values: a few of them, in turns, so that columns are long and examples small."""
    found = {}
    for name in draw(st.sets(st.sampled_from(names))):
        values = draw(st.lists(draw(st.sampled_from(PALETTES)), min_size=1, max_size=6))
        found[name] = [values[row % len(values)] for row in range(ROWS)]
    return found


def usual(rng):
    score = rng.random(ROWS)
    return {
        "age": rng.random(ROWS).astype(np.float32),
        "pair": list(rng.normal(size=(ROWS, 2))),
        "count": rng.integers(0, 5, ROWS).astype(np.int8),
        "land": rng.choice(["de", "fr"], ROWS).astype(object),
        "no": 1 - score,
        "yes": score,
        "outcome.label": rng.random(ROWS) < score,
        UNIT: rng.integers(0, 100, ROWS),
    }


def frozen(path, content):
    """Return what freezing says of a file with these columns; None where Arrow itself cannot write them."""
    try:
        table = pa.table(content)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return None
    pq.write_table(table, path)
    return serialization.from_json(answer_of(str(path), JUDGED, PROMISED))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("odd") / "reference.parquet"


REFERENCE_NAMES = ("age", "pair", "count", "land", "no", "yes", "outcome.label", UNIT)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(odd=columns(REFERENCE_NAMES), seed=st.integers(0, 5))
def test_odd_references_are_frozen_or_refused_by_a_name(path, odd, seed):
    said = frozen(path, {**usual(np.random.default_rng(seed)), **odd})
    if said is None:
        return
    if "refused" in said:
        assert any(f"'{name}'" in said["refused"] for name in REFERENCE_NAMES)
        return
    assert {*said["columns"], *said["unfit"]} == {column.name for column in JUDGED}
    assert all(column.design_effect >= 1 for column in said["columns"].values())


LOG_NAMES = ("feature.age", "feature.pair.0", "feature.count", "feature.land", "unit")


@pytest.fixture(scope="module")
def said(path):
    return frozen(path, usual(np.random.default_rng(1)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(odd=columns(LOG_NAMES), missing=st.sets(st.sampled_from(LOG_NAMES)))
def test_odd_values_of_the_log_are_judged_and_estimated(said, odd, missing):
    rng = np.random.default_rng(2)
    calibration = said["calibration"]
    assert isinstance(calibration, Calibration)
    score = rng.random(ROWS)
    rows = {
        "feature.age": rng.random(ROWS),
        "feature.pair.0": rng.normal(size=ROWS),
        "feature.count": rng.integers(0, 5, ROWS),
        "feature.land": rng.choice(["de", "xx"], ROWS).astype(object),
        "unit": [f"user {row % 50}" for row in range(ROWS)],
        **odd,
    }
    kept = {name: values for name, values in rows.items() if name not in missing}
    kept |= {
        "prediction_id": [f"{row}" for row in range(ROWS)],
        "row": [0] * ROWS,
        "version": ["v1"] * ROWS,
        "variant": ["main"] * ROWS,
        "probability": [1.0, 0.5] * (ROWS // 2),
        "prediction_label": np.where(score >= 0.5, "1", "0").astype(object),
        "prediction_value": np.maximum(score, 1 - score),
        "prediction_score": score,
    }
    try:
        table = pa.table(kept)
        table.column("unit").cast(pa.string()) if "unit" in kept else None  # the log has text there
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return
    window = window_of(table, JUDGED, said["columns"])
    reference = Reference(Source.ARTIFACT, "", AT, said["columns"], said["unfit"])
    assert evaluate(reference, window.summaries, level=0.05, design_effects=window.design_effects(reference.columns))
    info = VersionInfo(Classes(("no", "yes")), calibration, None, coding_of(JUDGED, said["columns"]))
    (batch,) = table.combine_chunks().to_batches()
    (summary,) = summaries_of(batch, {}, {"v1": info}, slice_by="", threshold=None, known_slices=set()).values()
    told = {one.name: one for one in measures(summary, threshold=None, calibration=calibration)}
    estimate = told["estimated_accuracy"]
    assert estimate.value is not None
    assert 0 <= (estimate.lower or 0) <= estimate.value <= (estimate.upper or 1) <= 1
