"""Pools and decisions as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.autoscaler.v1 import autoscaler_pb2, policy_pb2
from headrace_client.cli.output import Output, last, number, shown, when

_Outcome = autoscaler_pb2.Outcome
_STYLES = {"done": "green", "failed": "red", "not acted": "yellow", "asked": "yellow"}


def show_pools(output: Output, pools: Iterable[autoscaler_pb2.Pool]) -> None:
    """Show each pool: what it has, what is wanted, and what is wrong."""
    output.table(
        ("pool", "ready", "loading", "failed", "draining", "wanted", "acts", "last decision", "problems"),
        [
            (
                shown(last(pool.name)),
                *(str(getattr(pool.replicas, state)) for state in ("ready", "loading", "failed", "draining")),
                str(pool.desired_replicas) if pool.HasField("decision") else "-",
                "[yellow]paused[/]" if pool.paused else pool.actuator,
                when(pool.decision.create_time) or "none yet",
                "[red]" + shown(" ".join(pool.problems)) + "[/]" if pool.problems else "-",
            )
            for pool in pools
        ],
    )


def show_decisions(output: Output, decisions: Iterable[autoscaler_pb2.Decision]) -> None:
    """Show decisions, a line each."""
    output.table(
        ("decision", "time", "replicas", "rule", "limits", "outcome"),
        [
            (
                last(one.name),
                when(one.create_time),
                f"{one.previous_replicas} → {one.desired_replicas}",
                one.rule,
                ", ".join(clamp.name for clamp in one.clamps) or "-",
                outcome(one),
            )
            for one in decisions
        ],
    )


def show_decision(output: Output, decision: autoscaler_pb2.Decision) -> None:
    """Show one decision whole: its sentences, what was measured, and what became of it."""
    for sentence in decision.sentences:
        output.say(shown(sentence))
    became = outcome(decision)
    if became:
        output.say(f"outcome: {became}" + (f" — {shown(decision.outcome.detail)}" if decision.outcome.detail else ""))
    output.table(
        ("signal", "value", "age", ""),
        [
            (
                signal.name,
                number(signal.value) if signal.HasField("value") else "-",
                f"{signal.age.ToMilliseconds() / 1e3:.1f} s" if signal.HasField("age") else "-",
                f"[red]{signal.problem}[/]" if signal.problem else "",
            )
            for signal in decision.signals
        ],
    )
    if decision.models:
        output.say("asked by " + ", ".join(f"{shown(one.model)} {one.share:.0%}" for one in decision.models))


def show_remark(output: Output, policy: policy_pb2.ScalingPolicy) -> None:
    """Say what a policy lets happen that people may not expect."""
    if (said := remark(policy)) is not None:
        output.note(f"[yellow]note[/]: {said}")


def remark(policy: policy_pb2.ScalingPolicy) -> str | None:
    """Return what it means that a policy lets one replica be alone; None where it does not."""
    if policy.min_replicas > 1 or policy.HasField("scale_to_zero"):
        return None
    return (
        "a quiet pool goes down to one replica, whatever it was started with: while that one is replaced, requests "
        "wait for it or fail. `min_replicas: 2` keeps a second"
    )


def outcome(decision: autoscaler_pb2.Decision) -> str:
    """Return what became of a decision, in a word or two."""
    if not decision.HasField("outcome"):
        return ""
    word = _Outcome.State.Name(decision.outcome.state).removeprefix("STATE_").lower().replace("_", " ")
    return f"[{_STYLES[word]}]{word}[/]" if word in _STYLES else word
