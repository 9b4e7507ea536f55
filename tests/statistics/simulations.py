"""Every simulation with its size: whole for the document, small for `make test`."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from headrace_monitor.judge.performance.decisions.error_rate import RUN_LENGTH

from tests.statistics import (
    blind_spots,
    canaries,
    canary_faults,
    category_rates,
    dependent_rows,
    drift_rates,
    durations,
    error_sizes,
    error_watch,
    estimates,
    experiments,
    new_categories,
    run_lengths,
    sampled_rows,
    scaling,
    scaling_shapes,
    serving_alone,
    share_sizes,
    shifted_features,
    skewed_metrics,
    slice_names,
    spoilt_values,
    sticky_canaries,
)
from tests.statistics.figures import Table

Simulation = Callable[[np.random.Generator], Table]

WHOLE: dict[str, Simulation] = {
    "psi sizes": partial(drift_rates.psi_sizes, runs=20_000),
    "ks sizes": partial(drift_rates.ks_sizes, runs=4_000),
    "power": partial(drift_rates.psi_power, runs=10_000),
    "beside naive": partial(drift_rates.alarms_beside_naive, runs=400),
    "correlated columns": partial(drift_rates.correlated_columns, runs=200),
    "weeks": partial(drift_rates.weeks, runs=300),
    "other kinds": partial(drift_rates.other_kinds, runs=10_000),
    "categories": partial(category_rates.category_rates, runs=5_000),
    "new categories": partial(new_categories.new_categories, hours=240),
    "share sizes": share_sizes.share_sizes,
    "blind spots": partial(blind_spots.blind_spots, runs=1_000),
    "slice names": partial(slice_names.slice_names, runs=200),
    "spoilt values": spoilt_values.spoilt_values,
    "sampled rows": sampled_rows.sampled_rows,
    "dependent rows": partial(dependent_rows.dependent_rows, hours=300),
    "run lengths": partial(run_lengths.run_lengths, runs=1_000),
    "error sizes": partial(error_sizes.error_sizes, runs=500),
    "error watch": partial(error_watch.error_watch, runs=100, cap=50_000),
    "estimates": partial(estimates.estimates, chunks=40),
    "intervals": partial(estimates.coverage, runs=400),
    "shifted features": partial(shifted_features.shifted_features, runs=100),
    "durations": partial(durations.quantiles, rows=1_000_000),
    "experiments, peeking": partial(experiments.peeking, runs=400, looks=100_000),
    "experiments, repeated units": partial(experiments.repeated_units, runs=1_000, users=10_000),
    "experiments, sample ratio": partial(experiments.shares, runs=2_000),
    "experiments, adjustment": partial(experiments.adjustment, runs=1_000),
    "experiments, quantiles": partial(experiments.quantile_intervals, runs=200),
    "experiments, skewed metrics": partial(skewed_metrics.skewed, runs=100),
}

# Of docs/figures/canaries.csv.
CANARIES: dict[str, Simulation] = {
    "false rollbacks": partial(canaries.false_rollbacks, runs=100, looks=100_000),
    "sticky canaries": partial(sticky_canaries.table, runs=8),
    "faults of everything": partial(canary_faults.outages, runs=10),
    "small rises": partial(canary_faults.small_rises, runs=5),
    "slow answers": partial(canary_faults.slow_answers, runs=8),
    "versions alone": partial(canaries.alone, runs=20_000),
    "slow versions alone": partial(serving_alone.alone, runs=20_000),
    "worse canaries": partial(canaries.detection, runs=300),
    "late breakage": partial(canaries.late_breakage, runs=200),
}

# Of docs/figures/autoscaling.csv.
SCALING: dict[str, Simulation] = {
    "surges": scaling.on_surges,
    "shapes": scaling.on_shapes,
    "new shapes": scaling_shapes.on_new_shapes,
    "spikes": scaling.on_spikes,
    "warm pools": scaling.on_warm_pools,
}

SMALL: dict[str, Simulation] = {
    "psi sizes": partial(drift_rates.psi_sizes, runs=1_000),
    "ks sizes": partial(drift_rates.ks_sizes, runs=200),
    "power": partial(drift_rates.psi_power, runs=500),
    "correlated columns": partial(drift_rates.correlated_columns, runs=5),
    "weeks": partial(drift_rates.weeks, runs=20),
    "categories": partial(category_rates.category_rates, runs=200),
    "new categories": partial(new_categories.new_categories, hours=12),
    "share sizes": partial(share_sizes.share_sizes, cases=share_sizes.CASES[:4]),
    "blind spots": partial(blind_spots.blind_spots, runs=50),
    "slice names": partial(slice_names.slice_names, runs=10),
    "spoilt values": spoilt_values.spoilt_values,
    "sampled rows": partial(sampled_rows.sampled_rows, rows=100_000),
    "dependent rows": partial(dependent_rows.dependent_rows, hours=40),
    "run lengths": partial(run_lengths.run_lengths, runs=60, cap=30_000),
    "error sizes": partial(error_sizes.error_sizes, runs=60, cap=20_000),
    "error watch": partial(error_watch.error_watch, runs=40, cap=12_000, run_lengths=(RUN_LENGTH,)),
    "estimates": partial(estimates.estimates, chunks=5),
    "intervals": partial(estimates.coverage, runs=400, sizes=(300,)),
    "shifted features": partial(shifted_features.shifted_features, runs=4),
    "durations": partial(durations.quantiles, rows=50_000, orders=2),
    "false rollbacks": partial(canaries.false_rollbacks, runs=40, looks=600),
    "sticky canaries": partial(sticky_canaries.table, runs=1, populations=(5, 100, 1_000)),
    "faults of everything": partial(canary_faults.outages, runs=1),
    "small rises": partial(canary_faults.small_rises, runs=1),
    "slow answers": partial(canary_faults.slow_answers, runs=1),
    "versions alone": partial(canaries.alone, runs=2_000),
    "slow versions alone": partial(serving_alone.alone, runs=500),
    "late breakage": partial(canaries.late_breakage, runs=20),
    "surges": partial(scaling.on_surges, days=4),
    "spikes": scaling.on_spikes,
    "shapes": scaling.on_shapes,
    "new shapes": partial(scaling_shapes.on_new_shapes, cases=scaling_shapes.CASES[1:2], seconds=3_600),
    "experiments, peeking": partial(experiments.peeking, runs=40, looks=5_000),
    "experiments, repeated units": partial(experiments.repeated_units, runs=60, users=2_000),
    "experiments, sample ratio": partial(experiments.shares, runs=100),
    "experiments, adjustment": partial(experiments.adjustment, runs=40),
    "experiments, quantiles": partial(experiments.quantile_intervals, runs=8),
    "experiments, skewed metrics": partial(skewed_metrics.skewed, runs=20, cases=skewed_metrics.CASES[:3]),
}


def run(name: str, simulation: Simulation) -> Table:
    """Run it with the seed of its name, so that each gives the same whatever runs before it."""
    return replace(simulation(np.random.default_rng(list(name.encode()))), about=about(name, simulation))


def about(name: str, simulation: Simulation) -> str:
    """Say what a simulation measures, on what, and with which numbers, as its function does."""
    function, sizes = (simulation.func, simulation.keywords) if isinstance(simulation, partial) else (simulation, {})
    numbers = ", ".join(f"{size:,} {what.replace('_', ' ')}" for what, size in sizes.items() if isinstance(size, int))
    said = " ".join((inspect.getdoc(function) or "").replace("`", "").split())
    return f"{said} Simulation “{name}”{', ' if numbers else ''}{numbers}."
