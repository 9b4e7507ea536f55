"""What is tolerated is what was set, and what can be found beyond it is what evaluations find."""

from datetime import UTC, datetime

import numpy as np
import pytest
from headrace_monitor.judge.drift.decisions import tolerances
from headrace_monitor.judge.drift.decisions.tolerances import ToleranceRule, detectables, tolerances_of
from headrace_statistics import references
from headrace_statistics.drift import detectable, ks, psi
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.drift.tolerances import Tolerances
from headrace_statistics.references import Reference, Source

from tests.statistics import shapes

AT = datetime(2030, 1, 1, tzinfo=UTC)
RULES = (ToleranceRule("", "psi", 0.1), ToleranceRule("age", "psi", 0.01), ToleranceRule("age", "ks", 0.02))


def reference() -> Reference:
    rng = np.random.default_rng(1)
    columns = {
        "age": references.freeze_numeric(rng.normal(size=20_000)),
        "land": references.freeze_categorical(rng.choice(["a", "b", "c"], 20_000).tolist()),
    }
    return Reference(Source.ARTIFACT, "", AT, columns, {})


def test_a_column_has_its_own_before_that_of_all_before_the_default():
    assert tolerances_of((), "age") == Tolerances()
    assert (tolerances_of(RULES, "age").psi, tolerances_of(RULES, "age").ks) == (0.01, 0.02)
    assert (tolerances_of(RULES, "size").psi, tolerances_of(RULES, "size").ks) == (0.1, Tolerances().ks)
    assert tolerances_of(RULES, "").psi == 0.1


@pytest.mark.parametrize(
    ("test", "tolerance", "wrong"),
    [("psi", 0.1, False), ("psi", None, False), ("ks", 1.5, True), ("psi", float("nan"), True), ("t", 0.1, True)],
)
def test_what_means_nothing_is_refused(test: str, tolerance: float | None, wrong: bool):
    assert bool(tolerances.problem(test, tolerance)) is wrong


def test_a_small_shift_alarms_once_less_is_tolerated():
    rng = np.random.default_rng(2)
    frozen = reference()
    window = {"age": references.summarise(frozen.columns["age"], rng.normal(0.1, 1, 50_000))}
    assert not any(one.alarm for one in evaluate(frozen, window, level=0.001))
    own = {"age": tolerances_of(RULES, "age")}
    assert any(one.alarm for one in evaluate(frozen, window, level=0.001, column_tolerances=own))


def test_each_test_of_each_column_says_what_it_finds_at_the_traffic():
    few = {(one.column, one.test): one for one in detectables(reference(), RULES, 30, 0.001)}
    many = {(one.column, one.test): one for one in detectables(reference(), RULES, 50_000, 0.001)}
    assert few["age", "psi"].effect is None
    assert str(few["age", "psi"].inconclusive) == "too few: 30, at least 50 are needed"
    found = many["age", "ks"]
    assert (found.tolerance, found.set) == (0.02, True)
    assert found.effect is not None
    assert 0.02 < found.effect < 0.05
    assert many["land", "chi_square"].set is False
    assert set(many) == {(c, t) for c, ts in {"age": ("psi", "ks"), "land": ("chi_square", "exact_shares")}.items()
                         for t in (*ts, "share")}  # fmt: skip


def test_what_is_found_depends_on_the_groups_there_are_and_on_the_tests_that_share_the_level():
    columns = {
        "flag": references.freeze_numeric(np.tile([0.0, 1.0], 10_000)),
        "land": references.freeze_categorical(["a"] * 19_998 + ["b", "c"]),
    }
    found = {
        (one.column, one.test): one
        for one in detectables(Reference(Source.ARTIFACT, "", AT, columns, {}), (), 5_000, 0.001)
    }
    level, tolerated = 0.001 / len(found), Tolerances()
    expected = {
        ("flag", "psi"): detectable.psi(20_000, 5_000, tolerance=tolerated.psi, level=level, groups=5),
        ("flag", "ks"): detectable.ks(20_000, 5_000, tolerance=tolerated.ks, level=level),
        ("land", "chi_square"): detectable.psi(20_000, 5_000, tolerance=tolerated.categories, level=level, groups=3),
    }
    assert {key: found[key].effect for key in expected} == expected


@pytest.mark.parametrize("tolerance", [0.0, 0.05])
def test_nine_of_ten_changes_of_the_size_that_can_be_found_are_found(tolerance: float):
    rng, n, m, level = np.random.default_rng(3), 20_000, 3_000, 0.001
    size = detectable.psi(n, m, tolerance=tolerance, level=level)
    assert isinstance(size, float)
    moved = shapes.at_the_edge(10, shapes.psi, size, down=False)["shift"]
    before, now = rng.multinomial(n, np.full(10, 0.1), 2_000), rng.multinomial(m, moved, 2_000)
    assert 0.87 < float((psi.p_value(before, now, tolerance=tolerance) <= level).mean()) < 0.93
    size = detectable.ks(n, m, tolerance=tolerance, level=level)
    assert isinstance(size, float)
    moved = shapes.at_the_edge(200, shapes.ks, size, down=False)["shift"]
    before, now = rng.multinomial(n, np.full(200, 0.005), 500), rng.multinomial(m, moved, 500)
    assert float((ks.p_value(before, now, tolerance=tolerance) <= level).mean()) >= 0.86
