"""Which step of a pipeline runs when. Pure: a plan, what became of its steps, estimates and the time in; moves out.

A step starts as soon as its inputs are there. A combiner with a quorum waits for all its voters until it has to begin,
if the answer is to be in time, and then continues with those that are there.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace_router.data.tables.served import (
    REQUEST,
    Plan,
    PlannedStep,
    chosen_of,
)


class State(enum.IntEnum):
    """What became of a step. GIVEN: its outputs are there. MISSING: they never will be."""

    UNWANTED = 0
    WAITING = 1
    RUNNING = 2
    GIVEN = 3
    MISSING = 4


OPEN = (State.WAITING, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one request needs of a plan.

    wanted: by step. selected: for each switch by attribute the voter. outputs: positions of the pipeline's outputs that
    the caller wants.
    """

    plan: Plan
    wanted: tuple[bool, ...]
    selected: Mapping[int, int]
    outputs: tuple[int, ...]

    def voters(self, at: int) -> list[int]:
        """Return the voters of a combiner that may be there, by their positions in what it takes."""
        step = self.plan.steps[at]
        return list(step.voters) if step.choice is None else [step.voters[self.selected[at]]]

    def allowed(self, at: int) -> frozenset[int]:
        """Return the same as a set."""
        return frozenset(self.voters(at))

    def taken(self, at: int) -> list[int]:
        """Return the steps whose tensors a step may use, each once."""
        step = self.plan.steps[at]
        used = [*self.voters(at), *_must(step)]
        return list(dict.fromkeys(step.takes[index].step for index in used if step.takes[index].step != REQUEST))


@dataclass(frozen=True, slots=True)
class Moves:
    """What is to be done now.

    start: steps. missing: those that will not run, because what they need is missing, and those that fail softly and
    are too late for a combiner. late: others that a combiner does without, because it has to begin. drop: those
    whose outputs are of no use any more. wake_at: when to look again although no step has ended; None for never. over:
    every output that is wanted is there. failed: one never will be.
    """

    start: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    drop: list[int] = field(default_factory=list)
    wake_at: float | None = None
    over: bool = False
    failed: bool = False


def choose(plan: Plan, outputs: Sequence[int], attributes: Mapping[str, str]) -> Chosen:
    """Return what a request needs. outputs: positions of those wanted; empty means all."""
    positions = tuple(outputs) or tuple(range(len(plan.outputs)))
    selected = {at: chosen_of(step.choice, attributes) for at, step in enumerate(plan.steps) if step.choice is not None}
    chosen = Chosen(plan, tuple(False for _ in plan.steps), selected, positions)
    wanted = [False] * len(plan.steps)
    for position in positions:
        wanted[plan.outputs[position][0]] = True
    for at in reversed(range(len(plan.steps))):
        if wanted[at]:
            for source in chosen.taken(at):
                wanted[source] = True
    return Chosen(plan, tuple(wanted), selected, positions)


def earliest_end_s(chosen: Chosen, needs_s: Sequence[float]) -> float:
    """Return how long the answer takes at least, infinite when there can be none.

    needs_s: how long each step probably takes, infinite for one without a batcher. Combiners wait for no more voters
    than they need; what fails softly takes no longer than the quickest possible.
    """
    plan, ends = chosen.plan, [0.0] * len(chosen.plan.steps)
    for at, step in enumerate(plan.steps):
        if not chosen.wanted[at]:
            continue
        end = _begin_s(chosen, at, ends) + needs_s[at]
        ends[at] = 0.0 if step.soft_fail and end == math.inf else end
    return max(ends[plan.outputs[position][0]] for position in chosen.outputs)


def latest_ends(chosen: Chosen, needs_s: Sequence[float], deadline: float) -> list[float]:
    """Return by when each step is to have ended, so that those behind it have the time that they need."""
    plan = chosen.plan
    ends = [deadline] * len(plan.steps)
    for at in reversed(range(len(plan.steps))):
        if chosen.wanted[at] and needs_s[at] < math.inf:
            for source in chosen.taken(at):
                ends[source] = min(ends[source], ends[at] - needs_s[at])
    return ends


def next_moves(chosen: Chosen, states: Sequence[State], begin_by: Sequence[float], now: float) -> Moves:
    """Return what is to be done. begin_by: when each step has to begin at the latest."""
    states, moves = list(states), Moves()
    wake_at = math.inf
    for at, step in enumerate(chosen.plan.steps):
        if states[at] is not State.WAITING:
            continue
        sources = [states[step.takes[index].step] for index in _must(step) if step.takes[index].step != REQUEST]
        voters = [_state(step, index, states) for index in chosen.voters(at)] if step.voters else []
        there, pending = voters.count(State.GIVEN), sum(state in OPEN for state in voters)
        if State.MISSING in sources or (step.voters and there + pending < max(1, step.needed)):
            # What fails softly is there for those behind it.
            states[at] = State.GIVEN if step.soft_fail else State.MISSING
            moves.missing.append(at)
        elif any(state in OPEN for state in sources):
            continue
        elif not pending or (there >= max(1, step.needed) and now >= begin_by[at]):
            states[at] = State.RUNNING
            moves.start.append(at)
            for source in _sources(chosen, at):
                if states[source] in OPEN and chosen.plan.steps[source].soft_fail:
                    states[source] = State.GIVEN
                    moves.missing.append(source)
                    wake_at = now  # others may wait for it
                elif states[source] in OPEN:
                    moves.late.append(source)
        elif there >= max(1, step.needed):
            wake_at = min(wake_at, begin_by[at])
    wanted = [states[chosen.plan.outputs[position][0]] for position in chosen.outputs]
    failed = State.MISSING in wanted
    over = not failed and all(state is State.GIVEN for state in wanted)
    needed = _of_use(chosen, states, set(moves.start), over=over or failed)
    started = [] if failed else moves.start
    return Moves(
        started,
        moves.missing,
        [] if failed else moves.late,
        [at for at, state in enumerate(states) if state in OPEN and not needed[at] and at not in started],
        None if wake_at == math.inf or over or failed else wake_at,
        over,
        failed,
    )


def _of_use(chosen: Chosen, states: Sequence[State], starting: set[int], *, over: bool) -> list[bool]:
    """Return of each step whether anything still waits for it."""
    plan, use = chosen.plan, [False] * len(chosen.plan.steps)
    if over:
        return use
    for position in chosen.outputs:
        use[plan.outputs[position][0]] = True
    for at in reversed(range(len(plan.steps))):
        if use[at] and states[at] is State.WAITING and at not in starting:
            for source in chosen.taken(at):
                use[source] = True
    return use


def _sources(chosen: Chosen, at: int) -> list[int]:
    """Return the steps that give the voters of a combiner."""
    step = chosen.plan.steps[at]
    sources = [step.takes[index].step for index in chosen.voters(at)] if step.voters else []
    return [source for source in sources if source != REQUEST]


def _must(step: PlannedStep) -> list[int]:
    """Return what a step cannot do without, by positions in what it takes: all but the voters of a combiner."""
    return [index for index in range(len(step.takes)) if index not in step.voters]


def _state(step: PlannedStep, index: int, states: Sequence[State]) -> State:
    source = step.takes[index].step
    return State.GIVEN if source == REQUEST else states[source]


def _begin_s(chosen: Chosen, at: int, ends: Sequence[float]) -> float:
    """Return when a step can begin, by when those before it end."""
    step = chosen.plan.steps[at]
    must = [_end(step, index, ends) for index in _must(step)]
    if not step.voters:
        return max(must, default=0.0)
    voters = sorted(_end(step, index, ends) for index in chosen.voters(at))
    needed = max(1, step.needed)
    return max([*must, voters[needed - 1] if len(voters) >= needed else math.inf])


def _end(step: PlannedStep, index: int, ends: Sequence[float]) -> float:
    source = step.takes[index].step
    return 0.0 if source == REQUEST else ends[source]


class Verdict(enum.Enum):
    """What becomes of a request. NO_BACKEND: no batcher can run a step that it needs. TIME_SHORT: it would be late."""

    GO = "go"
    NO_BACKEND = "no backend"
    TIME_SHORT = "time short"


def admit(chosen: Chosen, needs_s: Sequence[float], left_s: float) -> tuple[Verdict, float]:
    """Return the verdict, and how long the answer probably takes.

    needs_s: by step, how long it probably takes with its wait, infinite where no batcher can run it. left_s: until the
    deadline.
    """
    takes_s = earliest_end_s(chosen, needs_s)
    if takes_s == math.inf:
        return Verdict.NO_BACKEND, takes_s
    return (Verdict.GO if takes_s <= left_s else Verdict.TIME_SHORT), takes_s
