"""What is known of one metric of a canary, for verdicts and for who watches them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headrace_statistics.canary.bets import in_favour, rise_wealth
from headrace_statistics.canary.counts import Metric
from headrace_statistics.canary.detectable import detectable_rate
from headrace_statistics.canary.intervals import ratio_bounds
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.state import JudgementState

DETECT_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one metric.

    against, in_favour: log wealth of the bets that the canary is worse, and that it is not; needed_against,
    needed_in_favour: what each must reach to decide alone. requests, bad: of the canary; baseline_requests,
    baseline_bad: of the baseline, or of its past where it never served alongside the canary. With a baseline these are
    units, and those that erred, where a unit keeps its variant (in_units). ratio: of their rates, nan where none is
    known, with an interval that holds at every moment at once. detectable: the smallest rate of the canary that is
    detected within 60 s at recent traffic, None where none is.
    """

    metric: Metric
    against: float
    needed_against: float
    in_favour: float
    needed_in_favour: float
    requests: int
    bad: int
    baseline_requests: int
    baseline_bad: int
    ratio: float
    ratio_low: float
    ratio_high: float
    detectable: float | None
    in_units: bool = False

    @property
    def rate(self) -> float:
        """Share of the canary's requests that were bad; nan without requests."""
        return self.bad / self.requests if self.requests else math.nan

    @property
    def baseline_rate(self) -> float:
        """Share of the baseline's; nan without requests."""
        return self.baseline_bad / self.baseline_requests if self.baseline_requests else math.nan


def evidence_of(policy: Policy, state: JudgementState, metric: Metric) -> Evidence:
    """Return what is known of a metric."""
    one = state.metrics[metric]
    requests, bad = state.canary_requests, one.canary_bad
    of = one.canary_bad + one.baseline_bad
    expected_share = one.expected / of if of else math.nan
    low, high = ratio_bounds(one.canary_bad, one.baseline_bad, expected_share, policy.alpha)
    ratio = math.nan
    if 0 < expected_share < 1:
        odds = one.canary_bad / one.baseline_bad if one.baseline_bad else math.inf
        ratio = odds * (1 - expected_share) / expected_share
    if state.alone and state.alone_requests:
        requests, bad = state.alone_requests, one.alone_bad
    baseline_requests, baseline_bad = state.baseline_requests, one.baseline_bad
    in_units = policy.sticky and not state.alone
    if in_units:
        requests, baseline_requests = state.units, state.baseline_units
    if state.alone and not baseline_requests:
        baseline_requests, baseline_bad = one.prior_requests, one.prior_bad
    return Evidence(
        metric=metric,
        against=rise_wealth(one),
        needed_against=math.log(len(state.metrics) / policy.alpha),
        in_favour=in_favour(policy, state, metric),
        needed_in_favour=math.log(1 / policy.promotion_alpha),
        requests=requests,
        bad=bad,
        baseline_requests=baseline_requests,
        baseline_bad=baseline_bad,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        detectable=detectable_rate(policy, state, metric, DETECT_WITHIN_S),
        in_units=in_units,
    )
