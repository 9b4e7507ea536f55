"""Few runs find settings nearly as good as the best of the whole grid, whatever the pool is like."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from headrace_batcher.decisions.policy import Limits
from headrace_forge.tuning import search
from headrace_forge.tuning.search import Grid, Run, Settings
from headrace_scaling.simulation.service_curves import ServiceCurve
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.batcher.queue_simulation import Sender, simulate

OBJECTIVE_S = 0.05


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool by its arithmetic. fixed_s, row_s: of one execution. crowding: 0 where instances run beside one another
    as if alone, 1 where they only share what one has."""

    fixed_s: float
    row_s: float
    crowding: float
    noise: float = 0.0
    seed: int = 0

    def seconds(self, rows: int) -> float:
        return self.fixed_s + self.row_s * rows

    @property
    def curve(self) -> ServiceCurve:
        return ServiceCurve.of([(rows, self.seconds(rows)) for rows in (1, 4, 16, 64, 128)])

    def goodput(self, settings: Settings) -> float:
        """Return what is answered in time when far more is asked."""
        each_s = self.seconds(settings.max_batch_rows) * settings.instances**self.crowding
        capacity = settings.instances * settings.max_batch_rows / each_s
        # While more waits than fits into a batch nobody waits for batch-mates, but those at the edge do.
        latency_s = 2 * each_s + 0.1 * settings.max_wait_ms / 1000
        return capacity * min(1.0, (OBJECTIVE_S / latency_s) ** 4)

    def measure(self) -> Callable[[Settings], Run]:
        chance = random.Random(self.seed)
        return lambda settings: Run(settings, self.goodput(settings) * math.exp(chance.gauss(0, self.noise)))


pools = st.builds(
    Pool,
    fixed_s=st.floats(0.0002, 0.02),
    row_s=st.floats(0.00002, 0.005),
    crowding=st.floats(0.0, 1.3),
    noise=st.sampled_from([0.0, 0.02]),
    seed=st.integers(0, 1000),
)


@given(pools)
def test_a_tenth_of_the_runs_finds_nine_tenths_of_the_best_goodput(pool: Pool):
    grid = Grid()
    found = search.search(pool.curve, pool.measure(), OBJECTIVE_S, grid)
    assert len(found.runs) <= 0.1 * len(grid.every())
    best = max(pool.goodput(settings) for settings in grid.every())
    # Noise may make a run look better than it is.
    assert pool.goodput(found.best.settings) >= 0.9 * best * (1 - 3 * pool.noise)


@given(pools, st.integers(1, 20))
def test_no_settings_are_measured_twice_and_the_runs_are_bounded(pool: Pool, most: int):
    found = search.search(pool.curve, pool.measure(), OBJECTIVE_S, most_runs=most)
    assert 1 <= len(found.runs) <= most
    assert len({run.settings for run in found.runs}) == len(found.runs)
    assert found.best in found.runs
    assert found.best.goodput_per_s == max(run.goodput_per_s for run in found.runs)


@pytest.mark.parametrize(
    ("service_s", "crowding"),
    [
        pytest.param(lambda rows: 0.010 + 0.0005 * rows, 1.0, id="batches pay, instances do not"),
        pytest.param(lambda rows: 0.004 + 0.003 * rows, 0.2, id="instances pay, batches hardly"),
    ],
)
def test_the_queue_of_a_real_batcher_is_tuned_as_well(service_s: Callable[[int], float], crowding: float):
    """The batcher's own queue, door and rules, in simulated time."""
    grid = Grid((1, 4, 16, 64), (0.0, 2.0, 10.0), (1, 2, 4))

    def measure(settings: Settings) -> Run:
        limits = Limits(
            settings.max_batch_rows, settings.preferred_batch_rows, settings.max_wait_ms / 1000, settings.instances
        )
        crowded = settings.instances**crowding
        seen = simulate(
            [Sender("all", per_s=1500, deadline_s=0.06)],
            service_s=lambda rows: service_s(rows) * crowded,
            limits=limits,
            seconds=0.4,
        )["all"]
        return Run(settings, seen.in_time / 0.4)

    curve = ServiceCurve.of([(rows, service_s(rows)) for rows in (1, 4, 16, 64)])
    found = search.search(curve, measure, 0.06, grid, most_runs=8)
    best = max(measure(settings).goodput_per_s for settings in grid.every())
    assert found.best.goodput_per_s >= 0.9 * best


def test_where_no_batch_is_fast_enough_the_smallest_is_where_it_begins():
    slow = ServiceCurve.of([(1, 1.0), (128, 20.0)])
    begin, per_s = search.model(slow, Grid(), 0.02)
    assert (begin.max_batch_rows, begin.instances, per_s) == (1, 1, 1.0)


def test_preferred_sizes_are_the_largest_its_half_and_its_quarter():
    assert Settings(64, 1.0, 1).preferred_batch_rows == (16, 32, 64)
    assert Settings(1, 1.0, 1).preferred_batch_rows == (1,)


@given(
    pool=pools,
    present=st.builds(Settings, st.integers(1, 300), st.floats(0, 20), st.integers(1, 8)),
    runs=st.integers(1, 12),
)
def test_what_is_found_is_no_worse_than_the_settings_in_force(pool: Pool, present: Settings, runs: int):
    exact = Pool(pool.fixed_s, pool.row_s, pool.crowding)
    measure = exact.measure()
    found = search.beside(search.search(exact.curve, measure, OBJECTIVE_S, most_runs=runs), present, measure)
    assert found.present is not None
    assert found.present.settings == present
    assert found.best.goodput_per_s >= found.present.goodput_per_s
    assert found.best == found.present or found.best.goodput_per_s > 1.01 * found.present.goodput_per_s


def test_a_lucky_run_does_not_replace_the_settings_in_force():
    present, lucky = Settings(32, 5.0, 1), Settings(64, 1.0, 1)
    answers = {present: 100.0, lucky: 95.0}
    found = search.SearchResult(Run(lucky, 120.0), (Run(lucky, 120.0),))
    measured = search.beside(found, present, lambda settings: Run(settings, answers[settings]))
    assert measured.best == measured.present == Run(present, 100.0)
