"""Label betting between two arms: by hand, by brute force, by hypothesis, and where nothing can be said."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from headrace_statistics.canary.bets import bet, rise_wealth
from headrace_statistics.canary.counts import ArmCounts, Metric, Tick
from headrace_statistics.canary.detectable import detectable_rate
from headrace_statistics.canary.intervals import rate_bounds, ratio_bounds
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.state import JudgementState, begin, from_json, restaged, to_json
from headrace_statistics.canary.verdicts import Action, Reason, verdict
from headrace_statistics.canary.wealth import RISES, alone_gains, fall_gains, rise_gains
from hypothesis import given
from hypothesis import strategies as st

from tests.statistics.canaries import Bets, Streams

POLICY, STICKY = Policy(), Policy(sticky=True)
RATES = st.floats(0, 1)
SIZES = st.integers(1, 9)


def binomial(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def expectation(gains, n: int, p_canary: float, m: int, p_baseline: float) -> np.ndarray:
    """The mean of each bet's factor over every outcome of two binomials."""
    mean = np.zeros(1)
    for c, b in itertools.product(range(n + 1), range(m + 1)):
        mean = mean + binomial(c, n, p_canary) * binomial(b, m, p_baseline) * np.exp(gains(c, b))
    return mean


@given(SIZES, SIZES, RATES, st.floats(1, 4), st.floats(0, 0.2), st.floats(0, 1))
def test_a_bet_on_a_rise_gains_nothing_on_average_while_the_canary_is_tolerable(n, m, base, ratio, rate, part):
    tolerable = min(1.0, (ratio * base + rate) * part)
    mean = expectation(lambda c, b: rise_gains(n, c, m, b, ratio, rate), n, tolerable, m, base)
    assert (mean <= 1 + 1e-9).all()


@given(SIZES, st.integers(0, 9), RATES, st.floats(1, 4), st.floats(0, 0.2), st.floats(0, 1))
def test_a_bet_on_no_rise_gains_nothing_on_average_while_the_canary_is_beyond_the_margin(n, m, base, ratio, rate, part):
    at_margin = ratio * base + rate
    if at_margin > 1:
        return
    beyond = at_margin + part * (1 - at_margin)
    mean = expectation(lambda c, b: fall_gains(n, c, m, b, ratio, rate), n, beyond, m, base)
    assert (mean <= 1 + 1e-9).all()


@given(SIZES, st.floats(1e-6, 0.5), st.floats(0, 1))
def test_a_bet_without_a_baseline_gains_nothing_on_average_up_to_the_tolerated_rate(n, rate, part):
    mean = expectation(lambda c, _: alone_gains(n, c, rate), n, rate * part, 0, 0.0)
    assert (mean <= 1 + 1e-9).all()


def test_a_bet_is_the_likelihood_ratio_of_the_labels():
    # One request in four is the canary's; tolerated is a ratio of 1.5, betted on are 3, 6, 12 and 150.
    gains = rise_gains(25, 2, 75, 3, 1.5, 0.0)
    for gain, ratio in zip(gains, 1.5 * RISES, strict=True):
        null, other = (0.25 * r / (0.25 * r + 0.75) for r in (1.5, ratio))
        by_hand = 2 * math.log(other / null) + 3 * math.log((1 - other) / (1 - null))
        assert gain == pytest.approx(by_hand)


@given(st.integers(1, 500), st.data())
def test_bounds_of_a_rate_hold_the_rate_and_narrow_with_the_level(requests, data):
    bad = data.draw(st.integers(0, requests))
    low, high = rate_bounds(bad, requests, 0.001)
    narrow_low, narrow_high = rate_bounds(bad, requests, 0.1)
    assert 0 <= low <= narrow_low <= bad / requests <= narrow_high <= high <= 1


def test_bounds_of_a_ratio_are_those_of_the_share_of_labels():
    low, high = ratio_bounds(10, 10, 0.25, 0.05)
    share_low, share_high = rate_bounds(10, 20, 0.05)
    assert low == pytest.approx(share_low / (1 - share_low) * 3)
    assert high == pytest.approx(share_high / (1 - share_high) * 3)
    assert ratio_bounds(0, 0, math.nan, 0.05) == (0.0, math.inf)


def run(policy: Policy, ticks: list[Tick]) -> JudgementState:
    state = begin(policy, ticks[0].time - 1)
    for tick in ticks:
        state = bet(policy, state, tick)
    return state


def steady(seconds: int, canary: ArmCounts, baseline: ArmCounts | None, first: int = 1) -> list[Tick]:
    return [Tick(float(second), 1.0, canary, baseline) for second in range(first, first + seconds)]


GOOD = ArmCounts(200)
BASELINE = ArmCounts(1800, errors=2, slow=18)


def test_outright_failure_is_rolled_back_after_four_seconds():
    early = run(POLICY, steady(3, ArmCounts(10, errors=10), ArmCounts(190)))
    assert verdict(POLICY, early, 3.0).action is Action.HOLD
    state = run(POLICY, steady(4, ArmCounts(10, errors=10), ArmCounts(190)))
    found = verdict(POLICY, state, 4.0)
    assert (found.action, found.reason, found.metric) == (Action.ROLLBACK, Reason.WORSE, Metric.ERRORS)
    assert found.log_evidence >= found.needed
    assert found.sentence.startswith("errors: 40 of 40 canary requests (100 %), baseline 0 of 760 (0 %)")
    assert found.evidence[Metric.ERRORS].ratio_low > POLICY.tolerated_ratio


@pytest.mark.parametrize(
    ("metric", "field"), [("timeouts", "timeouts"), ("slo", "slow"), ("invalid_outputs", "invalid_outputs")]
)
def test_every_metric_rolls_back_by_itself_and_is_named(metric, field):
    state = run(POLICY, steady(5, ArmCounts(200, **{field: 60}), BASELINE))
    found = verdict(POLICY, state, 5.0)
    assert (found.action, found.metric) == (Action.ROLLBACK, metric)


def test_a_canary_as_good_as_its_baseline_is_promoted_on_evidence_and_after_the_dwell():
    state = run(POLICY, steady(30, ArmCounts(200, slow=2), BASELINE))
    early = verdict(POLICY, state, 30.0)
    assert (early.action, early.reason) == (Action.HOLD, Reason.DWELL)
    assert verdict(POLICY, restaged(state, 25.0), 31.0).action is Action.HOLD
    assert verdict(POLICY, run(POLICY, steady(61, ArmCounts(200, slow=2), BASELINE)), 61.0).action is Action.PROMOTE


def test_a_canary_with_too_little_traffic_is_held_and_told_what_could_be_seen():
    state = run(POLICY, steady(100, ArmCounts(1), ArmCounts(19)))
    found = verdict(POLICY, state, 100.0)
    assert (found.action, found.reason) == (Action.HOLD, Reason.EVIDENCE)
    assert "not proven to be within the margin after 100 requests" in found.sentence
    assert "would be seen within 60 s" in found.sentence


def test_a_version_that_breaks_after_an_hour_is_rolled_back_as_soon_as_its_evidence_is_enough():
    good = steady(3600, ArmCounts(115), ArmCounts(2185, errors=2))
    bad = steady(10, ArmCounts(115, errors=115), ArmCounts(2185, errors=2), first=3601)
    state = run(POLICY, [*good, *bad])
    assert verdict(POLICY, state, 3610.0).action is Action.ROLLBACK


def test_evidence_that_was_enough_stays_enough_whoever_looks_how_late():
    state = run(POLICY, [*steady(4, ArmCounts(20, errors=10), ArmCounts(180)), *steady(300, GOOD, BASELINE, first=5)])
    assert verdict(POLICY, state, 304.0).action is Action.ROLLBACK


def test_a_cold_cache_does_not_count_against_a_canary():
    # At a weight of 5 % the canary has 20.8 % of the requests that are computed, and 20.8 % of the errors.
    ticks = steady(600, ArmCounts(208, errors=4), ArmCounts(792, errors=15))
    assert verdict(POLICY, run(POLICY, ticks), 600.0).action is not Action.ROLLBACK


@pytest.mark.parametrize("baseline", [ArmCounts(1900), ArmCounts(1900, errors=1900), ArmCounts(1900, errors=19)])
def test_constant_baselines_make_no_equal_canary_worse(baseline):
    canary = ArmCounts(100, errors=baseline.errors // 19)
    state = run(POLICY, steady(300, canary, baseline))
    assert verdict(POLICY, state, 300.0).action is not Action.ROLLBACK


@pytest.mark.parametrize(
    "tick",
    [
        Tick(2.0, 1.0, ArmCounts(10, errors=-1), BASELINE),
        Tick(2.0, 1.0, ArmCounts(10, errors=11), BASELINE),
        Tick(2.0, 1.0, GOOD, ArmCounts(-5)),
        Tick(math.nan, 1.0, GOOD, BASELINE),
        Tick(2.0, 0.0, GOOD, BASELINE),
    ],
)
def test_a_tick_that_cannot_be_true_is_counted_and_not_believed(tick):
    before = run(POLICY, steady(1, GOOD, BASELINE))
    after = bet(POLICY, before, tick)
    assert after.ignored == 1
    assert after.metrics == before.metrics


def test_without_counts_growth_stops_at_once_and_the_canary_goes_after_the_timeout():
    state = run(POLICY, steady(300, ArmCounts(200, slow=2), BASELINE))
    assert verdict(POLICY, state, 304.0).action is Action.PROMOTE
    assert (verdict(POLICY, state, 306.0).action, verdict(POLICY, state, 306.0).reason) == (
        Action.NO_DATA,
        Reason.NO_DATA,
    )
    assert verdict(POLICY, state, 360.0).action is Action.ROLLBACK


def test_counts_that_a_data_plane_is_missing_from_are_no_data_but_are_bet_on():
    ticks = [
        Tick(float(second), 1.0, ArmCounts(10, errors=10), ArmCounts(190), complete=False) for second in range(5, 10)
    ]
    state = run(POLICY, [*steady(1, GOOD, BASELINE), *ticks])
    assert verdict(POLICY, run(POLICY, steady(1, GOOD, BASELINE)), 8.0).action is Action.NO_DATA
    assert verdict(POLICY, state, 9.0).action is Action.ROLLBACK


def test_a_canary_that_answers_nothing_beside_a_busy_baseline_is_no_success():
    ticks = [*steady(60, ArmCounts(10), ArmCounts(190)), *steady(70, ArmCounts(0), ArmCounts(200), first=61)]
    state = run(POLICY, ticks)
    assert verdict(POLICY, run(POLICY, ticks[:70]), 70.0).action is Action.NO_DATA
    found = verdict(POLICY, state, 130.0)
    assert (found.action, found.reason) == (Action.ROLLBACK, Reason.CANARY_SILENT)


def test_a_few_users_who_ask_nothing_are_no_silent_canary():
    ticks = [*steady(60, ArmCounts(10, units=2), ArmCounts(190)), *steady(70, ArmCounts(0), ArmCounts(200), first=61)]
    assert verdict(STICKY, run(STICKY, ticks), 130.0).action is Action.HOLD


def test_a_night_without_requests_rolls_nothing_back():
    ticks = [*steady(60, ArmCounts(10), ArmCounts(190)), *steady(3600, ArmCounts(0), ArmCounts(0), first=61)]
    assert verdict(POLICY, run(POLICY, ticks), 3660.0).action is Action.HOLD


def test_a_switch_without_any_baseline_is_rolled_back_only_for_outright_failure():
    assert verdict(POLICY, run(POLICY, steady(60, ArmCounts(100, errors=40), None)), 60.0).action is Action.HOLD
    assert verdict(POLICY, run(POLICY, steady(3, ArmCounts(100, errors=100), None)), 3.0).action is Action.ROLLBACK


def test_requests_wait_until_both_arms_have_one():
    waiting = run(POLICY, steady(3, ArmCounts(1, errors=1), ArmCounts(0)))
    assert waiting.canary_requests == 0
    state = bet(POLICY, waiting, Tick(4.0, 1.0, ArmCounts(0), ArmCounts(3)))
    assert (state.canary_requests, state.baseline_requests) == (3, 3)
    assert state.metrics[Metric.ERRORS].canary_bad == 3


def test_sticky_assignment_counts_units_and_not_their_errors():
    one_client = ArmCounts(200, errors=60, erring_units=0)
    assert verdict(STICKY, run(STICKY, steady(60, one_client, BASELINE)), 60.0).action is not Action.ROLLBACK
    many = ArmCounts(200, errors=60, erring_units=20)
    assert verdict(STICKY, run(STICKY, steady(10, many, BASELINE)), 10.0).action is Action.ROLLBACK


@pytest.mark.parametrize(
    ("canary", "action"),
    [
        pytest.param(ArmCounts(200, units=90), Action.HOLD, id="too few"),
        pytest.param(ArmCounts(200, units=91), Action.PROMOTE, id="enough"),
        pytest.param(ArmCounts(200, errors=10, units=500), Action.HOLD, id="one of them fails again and again"),
    ],
)
def test_units_and_their_requests_must_both_be_proven(canary: ArmCounts, action: Action):
    state = run(STICKY, steady(90, canary, ArmCounts(1800, errors=2, units=2000)))
    assert verdict(STICKY, state, 90.0).action is action


def test_four_units_that_all_fail_take_a_canary_back_although_each_counts_once():
    ticks = [
        *steady(1, ArmCounts(4, errors=4, erring_units=4), ArmCounts(76)),
        *steady(9, ArmCounts(4, 4), ArmCounts(76)),
    ]
    state = run(STICKY, [replace(tick, time=at + 1.0, unit_share=0.05) for at, tick in enumerate(ticks)])
    assert verdict(STICKY, state, 10.0).action is Action.ROLLBACK


@pytest.mark.parametrize("lag_s", [1, 2])
def test_a_fault_of_everything_that_the_canary_meets_first_takes_none_back(lag_s: int):
    failing, good = ArmCounts(350, errors=350), ArmCounts(6650, errors=7)
    ticks = [
        Tick(float(at), 1.0, failing, good if at <= lag_s else ArmCounts(6650, errors=6650)) for at in range(1, 31)
    ]
    assert verdict(POLICY, run(POLICY, ticks), 30.0).action is not Action.ROLLBACK


@pytest.mark.parametrize(("duration_s", "ticks"), [(0.5, 8), (1.0, 4), (2.0, 3), (8.0, 2)])
def test_outright_breakage_takes_fewer_ticks_where_they_are_longer(duration_s: float, ticks: int):
    failing, beside = ArmCounts(40, errors=40), ArmCounts(760)
    states = [begin(POLICY, 0.0)]
    for at in range(ticks):
        states.append(bet(POLICY, states[-1], Tick((at + 1) * duration_s, duration_s, failing, beside)))
    found = [verdict(POLICY, one, one.tick_time).action is Action.ROLLBACK for one in states[-2:]]
    assert found == [False, True]


def test_breakage_is_found_as_soon_however_often_reports_of_a_second_are_read():
    failing, beside, nothing = ArmCounts(10, errors=10), ArmCounts(190), ArmCounts(0)
    state = begin(POLICY, 0.0)
    for at in range(1, 4 * 25 + 1):
        reported = at % 25 == 0
        state = bet(
            POLICY,
            state,
            Tick(at / 25, 1 / 25, failing, beside) if reported else Tick(at / 25, 1 / 25, nothing, nothing),
        )
    slowly = run(POLICY, steady(4, failing, beside))
    assert verdict(POLICY, state, 4.0).action is Action.ROLLBACK
    assert state.peak == pytest.approx(slowly.peak)


def test_a_pause_of_a_second_in_which_all_is_slow_is_one_pause_however_often_it_is_read():
    past = {Metric.SLO: (10, 1000)}
    once = bet(POLICY, begin(POLICY, 0.0, past), Tick(1.0, 1.0, ArmCounts(100, slow=100), None))
    often = begin(POLICY, 0.0, past)
    for at in range(1, 11):
        often = bet(POLICY, often, Tick(at / 10, 0.1, ArmCounts(10, slow=10), None))
    assert rise_wealth(often.metrics[Metric.SLO]) == pytest.approx(rise_wealth(once.metrics[Metric.SLO]))


@pytest.mark.parametrize("ratio", [1.7, 2.0])
def test_rates_between_what_is_tolerated_and_twice_that_are_found(ratio: float):
    canary, baseline = ArmCounts(1000, errors=round(20 * ratio)), ArmCounts(19_000, errors=380)
    state = run(POLICY, steady(2000, canary, baseline))
    assert verdict(POLICY, state, 2000.0).action is Action.ROLLBACK


def test_a_state_that_an_older_release_has_stored_goes_on():
    state = run(POLICY, steady(30, ArmCounts(200, slow=2), BASELINE))
    plain = json.loads(to_json(state))
    for name in ("units", "baseline_units"):
        del plain[name]
    for arm in ("waiting_canary", "waiting_baseline"):
        plain[arm] = dict.fromkeys(("requests", "errors", "timeouts", "slow", "invalid_outputs", "erring_units"), 0)
    plain["metrics"] = {name: plain["metrics"][name] for name in ("errors", "timeouts", "slo", "invalid_outputs")}
    for one in plain["metrics"].values():
        one["rise"] = one["rise"][2:]
        del one["due"]
    older = from_json(json.dumps(plain))
    assert older.metrics[Metric.ERRORS].rise[2:] == state.metrics[Metric.ERRORS].rise[2:]
    after = bet(POLICY, older, Tick(31.0, 1.0, ArmCounts(200, slow=2), BASELINE))
    assert verdict(POLICY, after, 61.0).action is Action.NO_DATA
    failing = [Tick(31.0 + at, 1.0, ArmCounts(200, errors=200), BASELINE) for at in range(8)]
    for tick in failing:
        after = bet(POLICY, after, tick)
    assert verdict(POLICY, after, 38.0).action is Action.ROLLBACK


COUNTS = st.builds(ArmCounts, st.integers(0, 50), st.integers(0, 5), st.integers(0, 5), st.integers(0, 50))


@given(st.lists(st.tuples(COUNTS, st.none() | COUNTS), max_size=20))
def test_a_state_comes_back_from_json_to_the_bit(arms):
    state = begin(POLICY, 0.0)
    for second, (canary, baseline) in enumerate(arms, start=1):
        state = bet(POLICY, state, Tick(second * 4.0, 4.0, canary, baseline))
        assert from_json(to_json(state)) == state
        verdict(POLICY, state, second * 4.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metrics": {"errors": {}}}', '{"metrics": {"x": {}}}'])
def test_a_text_that_is_no_state_is_refused(text):
    with pytest.raises(ValueError, match=r"state of a judgement|Expecting value|is not a valid Metric"):
        from_json(text)


def test_a_state_is_small():
    assert len(to_json(run(POLICY, steady(100, GOOD, BASELINE)))) < 3_500


@pytest.mark.parametrize(
    ("field", "value"),
    [("metrics", ()), ("tolerated_ratio", 0.5), ("alpha", 0.0), ("alpha", 1.0), ("margin_rate", 2.0), ("dwell_s", -1)],
)
def test_a_policy_that_means_nothing_is_refused_with_the_remedy(field, value):
    with pytest.raises(ValueError, match=field):
        Policy(**{field: value})


def test_the_detectable_rate_is_the_one_that_is_found_in_time():
    state = run(POLICY, steady(60, ArmCounts(10), ArmCounts(190, errors=0)))
    rate = detectable_rate(POLICY, state, Metric.ERRORS)
    assert rate is not None
    rng = np.random.default_rng(5)
    in_time = 0
    for _ in range(60):
        fresh = begin(POLICY, 0.0)
        for second in range(1, 61):
            fresh = bet(
                POLICY, fresh, Tick(second, 1.0, ArmCounts(10, errors=int(rng.binomial(10, rate))), ArmCounts(190))
            )
        in_time += fresh.peak >= math.log(1 / POLICY.alpha)
    assert in_time >= 36
    assert detectable_rate(POLICY, run(POLICY, steady(60, ArmCounts(0), ArmCounts(200))), Metric.ERRORS) is None


def test_restarts_keep_the_evidence_against_a_canary_from_sinking_for_ever():
    state = run(POLICY, steady(3000, ArmCounts(200, errors=0), ArmCounts(1800, errors=2)))
    assert rise_wealth(state.metrics[Metric.ERRORS]) > -16


def test_a_state_has_the_policys_metrics_only():
    assert set(json.loads(to_json(begin(Policy(metrics=(Metric.SLO,)), 0.0)))["metrics"]) == {"slo"}
    assert begin(POLICY, 0.0).peak == 0.0


def test_the_simulated_recursion_is_that_of_the_judgement():
    policy = Policy(metrics=(Metric.ERRORS,))
    rng = np.random.default_rng(3)
    streams, bets, state = Streams(1, 20, 0.05, 2.0), Bets(1), begin(policy, 0.0)
    for second in range(1, 120):
        counts = streams.second(rng, second)
        n, c, m, b = (int(part[0]) for part in counts)
        state = bet(policy, state, Tick(float(second), 1.0, ArmCounts(n, errors=c), ArmCounts(m, errors=b)))
        assert bets.take(second, counts)[0] == pytest.approx(rise_wealth(state.metrics[Metric.ERRORS]))
