"""Views of rollouts: a plan, a running rollout, its history."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.rollout.v1 import rollout_pb2 as pb
from headrace_client.cli.output import Output, shown, when
from headrace_client.durations import duration_text
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

BAR = 12
_STYLES = {
    pb.Rollout.STATE_SUCCEEDED: "green",
    pb.Rollout.STATE_RUNNING: "cyan",
    pb.Rollout.STATE_PREPARING: "cyan",
    pb.Rollout.STATE_SHADOWING: "cyan",
    pb.Rollout.STATE_SHADOWED: "green",
    pb.Rollout.STATE_PROMOTING: "cyan",
    pb.Rollout.STATE_ROLLING_BACK: "bold red",
    pb.Rollout.STATE_ROLLED_BACK: "bold red",
}


def state_word(rollout: pb.Rollout) -> str:
    """Return the state of a rollout in words."""
    word = pb.Rollout.State.Name(rollout.state).removeprefix("STATE_").replace("_", " ").lower()
    if rollout.asks:
        word += ", asks for approval to continue"
    elif rollout.frozen:
        word += ", frozen"
    return f"{word}, paused" if rollout.paused else word


def state_markup(rollout: pb.Rollout) -> str:
    """Return the state of a rollout with its colour."""
    return f"[{_STYLES.get(rollout.state, 'yellow')}]{state_word(rollout)}[/]"


def strategy_word(policy: pb.RolloutPolicy) -> str:
    """Return a strategy as files and options have it."""
    return pb.RolloutPolicy.Strategy.Name(policy.strategy).removeprefix("STRATEGY_").replace("_", "-").lower()


def short_name(rollout: pb.Rollout) -> str:
    """Return MODEL/ID, which commands take."""
    _, model, _, number = rollout.name.split("/")
    return f"{model}/{number}"


def evidence_bar(one: pb.MetricEvidence, width: int = BAR) -> str:
    """Return what fills towards either verdict: to the left "worse", to the right "not worse".

    >>> evidence_bar(pb.MetricEvidence(log_evidence_worse=3.5, log_threshold=7, log_threshold_fine=3), 4)
    '··██│····'
    """
    worse = _filled(one.log_evidence_worse, one.log_threshold, width)
    fine = _filled(one.log_evidence_fine, one.log_threshold_fine, width)
    return "·" * (width - worse) + "█" * worse + "│" + "█" * fine + "·" * (width - fine)


def line_of(rollout: pb.Rollout) -> str:
    """Return where a rollout is, in a line."""
    step = f" step {rollout.step + 1} of {len(rollout.policy.steps)}" if rollout.step >= 0 else ""
    return f"{state_markup(rollout)}{step}, {rollout.percent:g} %: {shown(rollout.reason)}"


def panel(rollout: pb.Rollout) -> RenderableType:
    """Return the terminal view of a running rollout."""
    head = Text.from_markup(
        f"[bold]{shown(short_name(rollout))}[/]  {rollout.baseline_version} → [bold]{rollout.version}[/]  "
        f"{strategy_word(rollout.policy)}  {line_of(rollout)}"
    )
    before = next((name for name in ("shadow", "warm") if rollout.policy.HasField(name)), "")
    marks = [_mark_before(rollout, before)] if before else []
    steps = Text("  ".join(marks + [_step_mark(rollout, at) for at in range(len(rollout.policy.steps))]))
    parts: list[RenderableType] = [head, steps]
    if rollout.verdict.metrics:
        table = Table.grid(padding=(0, 2))
        for _ in range(5):
            table.add_column()
        table.add_row(*map(Text, ("", "worse   evidence   not worse", rollout.baseline_version, rollout.version, "")))
        for one in rollout.verdict.metrics:
            table.add_row(*map(Text, (one.metric, evidence_bar(one), *_arms(one), _effect(one))))
        parts.append(table)
    return Group(*parts)


def show_rollout(output: Output, rollout: pb.Rollout) -> None:
    """Print a rollout."""
    output.facts(
        [
            ("rollout", shown(short_name(rollout))),
            ("versions", f"{rollout.baseline_version} → {rollout.version} of variant {rollout.variant}"),
            ("strategy", strategy_word(rollout.policy)),
            ("state", state_markup(rollout)),
            ("why", shown(rollout.reason)),
            (
                "step",
                f"{rollout.step + 1} of {len(rollout.policy.steps)}, {rollout.percent:g} %"
                if rollout.policy.steps
                else "",
            ),
            ("started", f"{when(rollout.create_time)} by {shown(rollout.client)}"),
            ("reason", shown(rollout.start_reason)),
            ("over", when(rollout.end_time)),
            ("bad answers", _bad_time(rollout)),
        ]
    )


def show_plan(output: Output, plan: pb.PlanRolloutResponse, version: str) -> None:
    """Print what a start would do."""
    policy = plan.policy
    output.facts(
        [
            ("versions", f"{plan.baseline_version} → {version} of variant {plan.variant}"),
            ("strategy", strategy_word(policy)),
            ("takes", f"at least {duration_text(plan.shortest_duration.ToTimedelta())}, once the version is ready"),
            ("shadow", shadow_text(policy)),
            (
                "warm",
                f"copies fill its cache for {duration_text(policy.warm.ToTimedelta())}"
                if policy.HasField("warm")
                else "",
            ),
            ("ready", f"{plan.ready_batchers} of {plan.batchers} batchers" if plan.batchers else "not loaded yet"),
            ("traffic", _traffic(plan)),
            ("head-room", _headroom(plan)),
        ]
    )
    steps = zip(policy.steps, plan.steps, strict=False)
    output.table(
        ("share", "dwell", "moves", "computed besides", "fits now", "found within a minute"),
        [
            (
                f"{step.percent:g} %",
                duration_text(step.dwell.ToTimedelta()),
                f"{100 * planned.moved_share:.4g} % of requests",
                f"{planned.extra_online_per_second:.4g}/s" if planned.HasField("extra_online_per_second") else "?",
                _fitting(plan, planned),
                f"a rate of {100 * planned.detectable_rate:.2g} %" if planned.HasField("detectable_rate") else "?",
            )
            for step, planned in steps
        ],
    )
    for obstacle in plan.obstacles:
        output.say(f"[bold red]in the way[/]: {shown(obstacle)}")
    if plan.kept_back:
        output.say(f"[bold yellow]would wait before its first step[/]: {shown(plan.kept_back)}")


def show_history(output: Output, events: Sequence[pb.RolloutEvent]) -> None:
    """Print what happened, the latest first."""
    output.table(
        ("time", "what", "percent", "by", "why"),
        [
            (
                when(one.create_time),
                one.type.replace("_", " "),
                f"{one.rollout.percent:g} %",
                shown(one.client) or "itself",
                shown(one.reason),
            )
            for one in events
        ],
    )


def row_of(rollout: pb.Rollout) -> tuple[str, ...]:
    """Return a rollout as a row of a table."""
    return (
        shown(short_name(rollout)),
        f"{rollout.baseline_version} → {rollout.version}",
        strategy_word(rollout.policy),
        state_markup(rollout),
        f"{rollout.percent:g} %",
        when(rollout.create_time),
        shown(rollout.reason),
    )


def _filled(evidence: float, needed: float, width: int) -> int:
    return round(width * min(1.0, max(0.0, evidence / needed))) if needed > 0 else 0


def shadow_text(policy: pb.RolloutPolicy) -> str:
    """Return what comes before the steps; empty when nothing does."""
    if not policy.HasField("shadow"):
        return ""
    shadow = policy.shadow
    return (
        f"copies of {shadow.percent:g} % of what is computed, for at least {duration_text(shadow.dwell.ToTimedelta())} "
        f"and {shadow.min_pairs:,} pairs; at most {shadow.max_flips_percent:g} % of the labels may differ, "
        f"{shadow.max_slice_flips_percent:g} % in any slice; then {'the steps' if policy.steps else 'nothing'}"
    )


def _mark_before(rollout: pb.Rollout, name: str) -> str:
    """Return how far what comes before the steps is."""
    if rollout.state == pb.Rollout.STATE_SHADOWING:
        return f"▶ {name}"
    return f"● {name}" if rollout.step >= 0 or rollout.state == pb.Rollout.STATE_SHADOWED else f"○ {name}"


def _step_mark(rollout: pb.Rollout, at: int) -> str:
    percent = f"{rollout.policy.steps[at].percent:g} %"
    if at == rollout.step and rollout.state == pb.Rollout.STATE_RUNNING:
        return f"▶ {percent}"
    return f"● {percent}" if at < rollout.step or rollout.state == pb.Rollout.STATE_SUCCEEDED else f"○ {percent}"


def _arms(one: pb.MetricEvidence) -> tuple[str, str]:
    return (
        f"{one.baseline_bad_count:,} of {one.baseline_count:,}",
        f"{one.candidate_bad_count:,} of {one.candidate_count:,}",
    )


def _effect(one: pb.MetricEvidence) -> str:
    if one.HasField("ratio"):
        high = f"{one.ratio_high:.3g}" if one.HasField("ratio_high") else "∞"
        return f"{one.ratio:.2g} times ({one.ratio_low:.2g} to {high})"
    return f"{100 * one.detectable_rate:.2g} % would be found in 60 s" if one.HasField("detectable_rate") else ""


def _bad_time(rollout: pb.Rollout) -> str:
    if not rollout.HasField("bad_time"):
        return ""
    return f"for {rollout.bad_time.ToTimedelta().total_seconds():.1f} s, from the first one to the last"


def _fitting(plan: pb.PlanRolloutResponse, step: pb.PlanRolloutResponse.PlannedStep) -> str:
    if not step.HasField("fitting_percent"):
        # What nothing more is computed for needs no room; for the rest, a pool of unknown load may have none.
        needs_none = step.HasField("extra_online_per_second") and step.extra_online_per_second <= 0
        return "all" if needs_none or plan.HasField("room_per_second") else "?"
    return f"[yellow]{step.fitting_percent:g} %[/]" if step.fitting_percent else "[bold red]nothing[/]"


def _headroom(plan: pb.PlanRolloutResponse) -> str:
    if not plan.HasField("room_per_second"):
        return ""
    return (
        f"{plan.room_per_second:.4g} requests/s can be computed besides: batchers are busy for "
        f"{plan.pool_utilisation:.0%} of the time, and may be for {plan.policy.max_utilisation_percent:g} %"
    )


def _traffic(plan: pb.PlanRolloutResponse) -> str:
    if not plan.HasField("requests_per_second"):
        return "unknown: the monitor does not say"
    online = f", {plan.online_per_second:.4g}/s of them computed" if plan.HasField("online_per_second") else ""
    kept = f"; the new version has answers for {plan.kept_share:.0%}" if plan.HasField("kept_share") else ""
    return f"{plan.requests_per_second:.4g} requests/s{online}{kept}"
