"""Canaries whose units keep their version: how often a bad one is promoted, and a good one taken back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from headrace_monitor.record.counters.decisions import cursors
from headrace_rollout.decisions.rollouts import State
from headrace_statistics.sketches import distinct

from tests.statistics.figures import NOTHING, Figure, Table
from tests.statistics.judged_rollouts import BEGIN, NEW, OLD, JudgedRollout, answers, ends, policy_of

POLICY = policy_of(0.05, 0.25, 0.5, 1.0, dwell_s=60, sticky=True)
POPULATIONS = (1, 5, 100, 1_000, 10_000)
SECONDS = 300

Rates = Callable[[np.random.Generator, int], np.ndarray]


def all_of(share: float) -> Rates:
    """Every request of some units fails."""
    return lambda rng, units: (rng.random(units) < share).astype(float)


def even(rate: float) -> Rates:
    """Requests of all units fail alike."""
    return lambda rng, units: np.full(units, rate)


def skewed(mean: float) -> Rates:
    """Most units hardly ever fail, some often."""
    return lambda rng, units: rng.beta(0.2, 0.2 / mean - 0.2, units)


# Of the version before, and of the new one where it is worse; whether units ask unequally (Pareto, shape 1.5).
CASES: dict[str, tuple[Rates, Rates | None, bool]] = {
    "equal, 2 % of requests fail": (even(0.02), None, False),
    "equal, 5 % of units fail always": (all_of(0.05), None, False),
    "equal, skewed, mean 5 %, Pareto": (skewed(0.05), None, True),
    "all fail": (even(0.0), even(1.0), False),
    "30 % of units fail always": (even(0.0), all_of(0.3), False),
    "10 % of units fail always, Pareto": (even(0.001), all_of(0.1), True),
    "10 % of requests beside 1 %": (even(0.01), even(0.1), False),
    "skewed, mean 10 % beside 1 %, Pareto": (skewed(0.01), skewed(0.1), True),
}


def table(rng: np.random.Generator, runs: int, populations: tuple[int, ...] = POPULATIONS) -> Table:
    """Rollouts through steps of a minute each, of 5, 25, 50 and 95 %, with a request a second of each unit, 200 of all.

    Counts go through the monitor's cursor and the service's judgement and decisions, for five minutes.
    """
    figures = []
    for what, (old, new, unequal) in CASES.items():
        for units in populations:
            found = [_run(rng, _Population(rng, units, old, new, unequal=unequal)) for _ in range(runs)]
            (back, shown_back), (promoted, shown_promoted) = (
                ends(found, state) for state in (State.ROLLED_BACK, State.PROMOTING)
            )
            bar, held = ("0 back", back == 0) if new is None else ("≤ 5 % promoted", promoted <= 0.05 * runs)
            highest = f"at {100 * np.mean([one.share for one in found if one.end is None] or [0]):.0f} %"
            ours = f"back {shown_back}, promoted {shown_promoted}"
            figures.append(Figure(f"{what}; {units:,} units", ours, bar, held, NOTHING, highest))
    headings = {"case": "what", "Headrace": "ours", "bar": "bar", "others are on average": "package"}
    return Table("Sticky canaries: taken back, and promoted", tuple(figures), headings)


class _Population:
    """Units, how often each asks in a second, and which share of its requests fails with either version."""

    def __init__(self, rng: np.random.Generator, units: int, old: Rates, new: Rates | None, *, unequal: bool) -> None:
        activity = rng.pareto(1.5, units) + 0.1 if unequal else np.ones(units)
        self.rps = activity / activity.sum() * min(200.0, units)
        self.old = old(rng, units)
        self.new = self.old if new is None else np.maximum(self.old, new(rng, units))
        self.places, self.hashes = rng.random(units), rng.integers(0, distinct.HASHES, units)


def _run(rng: np.random.Generator, units: _Population) -> JudgedRollout:
    judged, cursor = JudgedRollout(POLICY), cursors.advance(None, (), (), store="", now=BEGIN).cursor
    while judged.end is None and judged.second < SECONDS:
        canary = units.places < judged.share
        asked = rng.poisson(units.rps)
        failed = rng.binomial(asked, np.where(canary, units.new, units.old))
        counts, noted = (), []
        for arm, there in ((NEW, canary), (OLD, ~canary)):
            counts += answers(arm, int(asked[there].sum()), int(failed[there].sum()))
            for kind, number in (("units", asked), ("erring_units", failed)):
                hashes = distinct.of(units.hashes[there & (number > 0)].tolist())
                noted.append((cursors.ArmKey(*arm, kind), hashes))
        new = cursors.advance(cursor, (), noted, store="", now=BEGIN)
        cursor = new.cursor
        erring = {arm[:2]: fresh for arm, (_, fresh) in new.units.items() if arm.kind == "erring_units"}
        there = {arm[:2]: known for arm, (known, _) in new.units.items() if arm.kind == "units"}
        judged.take(counts, erring_units=erring, units=there)
    return judged
