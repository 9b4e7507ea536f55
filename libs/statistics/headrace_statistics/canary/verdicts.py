"""Say what the evidence means: roll back, promote, hold, or that there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from headrace_statistics.canary.bets import least_units
from headrace_statistics.canary.counts import Metric
from headrace_statistics.canary.detectable import promotable_in_s
from headrace_statistics.canary.evidence import DETECT_WITHIN_S, Evidence, evidence_of
from headrace_statistics.canary.policy import Policy
from headrace_statistics.canary.state import JudgementState

# A canary that should have had so many requests and had none is silent, not unlucky: exp(-3) is 5 %.
_SILENT_AFTER = 3.0


class Action(StrEnum):
    """What is to be done. HOLD: no growth yet. NO_DATA: no growth, and a rollback if it lasts."""

    ROLLBACK = "rollback"
    PROMOTE = "promote"
    HOLD = "hold"
    NO_DATA = "no_data"


class Reason(StrEnum):
    """Why."""

    WORSE = "WORSE_THAN_BASELINE"
    NO_DATA = "NO_DATA"
    CANARY_SILENT = "CANARY_SILENT"
    PROVEN = "NOT_WORSE_THAN_BASELINE"
    EVIDENCE = "EVIDENCE_MISSING"
    DWELL = "DWELL"


@dataclass(frozen=True, slots=True)
class Verdict:
    """action, reason: what and why. metric: that decided, or that is waited for. log_evidence, needed: log wealth of
    what decides, and what it must reach. requests: of the canary. sentence: for people. evidence: of every metric.
    """

    action: Action
    reason: Reason
    metric: Metric | None
    log_evidence: float
    needed: float
    requests: int
    sentence: str
    evidence: Mapping[Metric, Evidence]


def verdict(policy: Policy, state: JudgementState, now: float) -> Verdict:
    """Return what the evidence says at a moment.

    Evidence against the canary decides first, also evidence of the past: it was enough when it was reached. Then a lack
    of data, which is never success. A promotion needs evidence on every metric, and the dwell.
    """
    evidence = {metric: evidence_of(policy, state, metric) for metric in state.metrics}
    threshold = math.log(1 / policy.alpha)

    def conclude(
        action: Action, reason: Reason, metric: Metric | None, log_evidence: float, needed: float, text: str
    ) -> Verdict:
        requests = state.alone_requests if state.alone else state.canary_requests
        return Verdict(action, reason, metric, log_evidence, needed, requests, text, evidence)

    worst = state.peak_metric
    if worst is not None and state.peak >= threshold:
        text = _rise_sentence(evidence[worst], state.metrics[worst].expected, alone=state.alone)
        return conclude(Action.ROLLBACK, Reason.WORSE, worst, state.peak, threshold, text)
    if (silence := _silence(policy, state, now)) is not None:
        action, reason, text = silence
        return conclude(action, reason, None, state.missed, threshold, text)
    waiting = [one for one in evidence.values() if one.in_favour < one.needed_in_favour]
    if waiting:
        slowest = min(waiting, key=lambda one: one.in_favour)
        text = _of_waiting(policy, state, slowest)
        return conclude(Action.HOLD, Reason.EVIDENCE, slowest.metric, slowest.in_favour, slowest.needed_in_favour, text)
    least = min(evidence.values(), key=lambda one: one.in_favour)
    left_s = state.stage_time + policy.dwell_s - now
    if left_s > 0:
        text = f"not worse than the baseline so far; the step lasts another {_duration(left_s)}"
        return conclude(Action.HOLD, Reason.DWELL, None, least.in_favour, least.needed_in_favour, text)
    text = f"not worse than the baseline by more than the margin, on {', '.join(evidence)}, and the dwell is over"
    return conclude(Action.PROMOTE, Reason.PROVEN, least.metric, least.in_favour, least.needed_in_favour, text)


def _silence(policy: Policy, state: JudgementState, now: float) -> tuple[Action, Reason, str] | None:
    unheard_s = now - state.tick_time
    if unheard_s > policy.stale_s:
        rolls_back = unheard_s >= policy.no_data_timeout_s
        action = Action.ROLLBACK if rolls_back else Action.NO_DATA
        return action, Reason.NO_DATA, _no_data_sentence(unheard_s, policy.no_data_timeout_s)
    silent_s = now - state.canary_time
    if policy.sticky and not state.alone and state.units < least_units(policy):
        return None  # a few users may have nothing to ask
    if silent_s > policy.stale_s and state.missed >= _SILENT_AFTER:
        certain = state.missed >= math.log(1 / policy.alpha)
        action = Action.ROLLBACK if certain and silent_s >= policy.no_data_timeout_s else Action.NO_DATA
        text = f"the canary has answered nothing for {_duration(silent_s)}, where {state.missed:.0f} requests were due"
        return action, Reason.CANARY_SILENT, text
    return None


def _of_waiting(policy: Policy, state: JudgementState, one: Evidence) -> str:
    if one.in_units and one.requests < (least := least_units(policy)):
        return f"{one.requests:,} units are too few to prove anything of others: at least {least} are needed"
    left_s = promotable_in_s(policy, state, one.metric)
    when = (
        "recent traffic can never prove it"
        if left_s is None
        else f"at recent traffic it is proved in about {_duration(left_s)} if it is as good"
    )
    seen = (
        f"no rise of {one.metric} would be seen within {DETECT_WITHIN_S:.0f} s"
        if one.detectable is None
        else f"a rise to {_share(one.detectable)} would be seen within {DETECT_WITHIN_S:.0f} s"
    )
    after = f"{one.requests:,} {'units' if one.in_units else 'requests'}"
    return f"{one.metric} are not proven to be within the margin after {after}: {when}; {seen}"


def _share(value: float) -> str:
    """Return a share in percent, with as many digits as it needs.

    >>> _share(0.0512), _share(0.00001), _share(1.0)
    ('5.1 %', '0.001 %', '100 %')
    """
    return f"{100 * value:.2g} %" if value < 0.0995 else f"{100 * value:.0f} %"


def _duration(seconds: float) -> str:
    """Return a duration in the unit that people would use.

    >>> _duration(42.4), _duration(600), _duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _rise_sentence(one: Evidence, expected: float, *, alone: bool) -> str:
    """Return why a canary is worse."""
    what = "units" if one.in_units else "requests"
    has = f"{one.metric}: {one.bad:,} of {one.requests:,} canary {what} ({_share(one.rate)})"
    if one.baseline_requests:
        has += f", baseline {one.baseline_bad:,} of {one.baseline_requests:,} ({_share(one.baseline_rate)})"
    if alone or not math.isfinite(one.ratio_low):
        return has
    ratio = "" if math.isinf(one.ratio) else f"{one.ratio:.1f} times the baseline's rate, "
    return f"{has}; equal versions would have {expected:.1f}; {ratio}at least {one.ratio_low:.1f} times"


def _no_data_sentence(unheard_s: float, timeout_s: float) -> str:
    """Return why nothing can be said."""
    if unheard_s >= timeout_s:
        return f"no complete counts for {_duration(unheard_s)}: a variant without evidence gets no traffic"
    return f"no complete counts for {_duration(unheard_s)}; rolled back after {_duration(timeout_s)}"
