"""What clients feel of each other, and callers of bulk, in simulated time: the real queue and rules, seeded senders.

The corners of each matrix are here always; what lies between them is `long`.
"""

from collections.abc import Callable
from functools import partial

import pytest
from headrace_batcher.decisions.priority import UNFELT_S
from headrace_batcher.decisions.work import BATCH

from tests.kit.batcher.queue_simulation import Sender, simulate

between = partial(pytest.param, marks=pytest.mark.long)

MODELS: dict[str, Callable[[int], float]] = {
    "every row costs": lambda rows: 0.002 + 0.0005 * rows,
    "a batch costs as much as a row": lambda rows: 0.010,
}
# Fast ones too, where an execution of bulk would be most of what a caller waits.
MODELS_WITH_BULK: dict[str, Callable[[int], float]] = {
    **MODELS,
    "fast, and every row costs": lambda rows: 0.0001 + 0.00002 * rows,
    "fast, and a batch costs as much as a row": lambda rows: 0.0003,
    "every row costs a little": lambda rows: 0.010 + 0.00003 * rows,
    "in steps": lambda rows: 0.004 if rows <= 16 else 0.008,
}


def capacity(service_s: Callable[[int], float]) -> float:
    """Return rows per second in full batches."""
    return 32 / service_s(32)


@pytest.mark.parametrize("service_s", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("noisy_rows", [1, 8])
def test_a_client_at_ten_times_its_share_costs_another_at_most_a_twentieth_of_its_goodput(service_s, noisy_rows):
    share, deadline_s = capacity(service_s) / 2, 10 * service_s(32)
    seconds = 1000 / share
    quiet = Sender("quiet", per_s=0.9 * share, deadline_s=deadline_s)
    noisy = Sender("noisy", per_s=10 * share / noisy_rows, rows=noisy_rows, deadline_s=deadline_s)
    alone = simulate([quiet], service_s=service_s, seconds=seconds)["quiet"]
    seen = simulate([quiet, noisy], service_s=service_s, seconds=seconds)
    assert alone.in_time > 850
    assert seen["quiet"].in_time >= 0.95 * alone.in_time
    # Nor is what the quiet one leaves wasted on answers that come too late.
    assert seen["quiet"].in_time + noisy_rows * seen["noisy"].in_time >= 0.9 * seconds * capacity(service_s)


@pytest.mark.parametrize("service_s", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(
    ("noise", "deadline"), [(0.0, 2.5), between(0.0, 4), between(0.1, 4), between(0.0, 10), between(0.1, 10), (0.2, 10)]
)
@pytest.mark.parametrize("load", [1.5, between(2), 3])
def test_beyond_what_it_can_do_a_batcher_answers_as_much_in_time_as_it_can_do(service_s, noise, deadline, load):
    """deadline: in executions of a full batch. noise: executions vary by so much."""
    seconds = 3000 / capacity(service_s)  # of the first few it is not known yet how long they take
    sender = Sender("ann", per_s=load * capacity(service_s), deadline_s=deadline * service_s(32))
    seen = simulate([sender], service_s=service_s, seconds=seconds, noise=noise)["ann"]
    assert seen.in_time >= 0.95 * 3000
    # What is let in is answered in time, but for a hundredth: its 99th percentile is within the deadline.
    accepted = seen.in_time + seen.late + seen.expired
    assert seen.late + seen.expired <= 0.015 * accepted


@pytest.mark.parametrize("service_s", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("deadline", [2.5, between(4), 10])
def test_below_what_it_can_do_a_batcher_answers_nearly_everybody_in_time(service_s, deadline):
    """A deadline of 2.5 executions leaves time for what executes, for one's own batch, and no other in between."""
    seconds, load = 2000 / capacity(service_s), 0.8
    sender = Sender("ann", per_s=load * capacity(service_s), deadline_s=deadline * service_s(32))
    seen = simulate([sender], service_s=service_s, seconds=seconds, noise=0.05)["ann"]
    assert seen.in_time >= 0.97 * seen.sent


@pytest.mark.parametrize("service_s", MODELS.values(), ids=MODELS)
def test_a_model_that_becomes_half_as_fast_costs_a_moment_and_no_setting(service_s):
    half, seconds, slower_at = capacity(service_s) / 2, 20.0, 6.0
    sender = Sender("ann", per_s=1.5 * half, deadline_s=10 * service_s(32))
    seen = simulate(
        [sender], service_s=service_s, seconds=seconds, noise=0.1, slowness=lambda now: 1.0 if now < slower_at else 2.0
    )["ann"]
    before = [at for at, _ in seen.answered_at if at < slower_at]
    absorbed = [at for at, _ in seen.answered_at if slower_at + 5 <= at < seconds]
    assert len(before) >= 0.95 * 1.5 * half * slower_at
    assert len(absorbed) >= 0.95 * half * (seconds - slower_at - 5)
    assert sum(at > slower_at + 5 for at in seen.late_at) <= 0.01 * len(absorbed)


@pytest.mark.parametrize("load", [0.5, between(0.2)])
@pytest.mark.parametrize("service_s", MODELS_WITH_BULK.values(), ids=MODELS_WITH_BULK)
def test_bulk_that_takes_whatever_is_left_moves_the_99th_percentile_of_callers_by_less_than_a_tenth(service_s, load):
    rows_per_s = capacity(service_s)
    seconds = 3_000 / load / rows_per_s
    callers = Sender("callers", per_s=load * rows_per_s, deadline_s=1.0)
    bulk = Sender("bulk", per_s=(1.5 - load) * rows_per_s / 8, rows=8, deadline_s=1.0, priority=BATCH)
    alone = simulate([callers], service_s=service_s, seconds=seconds)["callers"]
    seen = simulate([callers, bulk], service_s=service_s, seconds=seconds)
    assert seen["callers"].in_time == alone.in_time
    # What is below a few tenths of a millisecond is not felt through anything.
    assert seen["callers"].percentile_s(99) < max(1.1 * alone.percentile_s(99), alone.percentile_s(99) + UNFELT_S)
    assert seen["bulk"].in_time * 8 > 0.005 * seconds * rows_per_s
