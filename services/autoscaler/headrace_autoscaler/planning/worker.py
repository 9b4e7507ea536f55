"""`python -m headrace_autoscaler.planning.worker`: a job on stdin, answers on stdout, at the lowest priority.

A separate process, so that scaling decisions never wait for it, and so that it can be killed.
"""

from __future__ import annotations

import os
import resource
import sys

from headrace_scaling import documents
from headrace_scaling.advice import Candidate, advise
from headrace_scaling.simulation import lineup
from headrace_scaling.simulation.deciders import Decider, PolicyDecider
from headrace_scaling.simulation.run import Outcome, simulate
from headrace_scaling.simulation.setup import Setup

from headrace_autoscaler.planning.jobs import Answer, Idle, Job, NamedPolicy, Point, Result

MOST_CPU_S = 900
MOST_MEMORY_BYTES = 3 << 30


def main() -> None:
    """Answer one job."""
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    job = documents.from_json(Job, sys.stdin.buffer.readline())
    try:
        _simulate(job) if job.policies else _advise(job)
    except ValueError as error:
        _say(Answer(done=0.0, failure=str(error)))


def _simulate(job: Job) -> None:
    trace, count = job.trace.trace(), len(job.policies)
    for index, named in enumerate(job.policies):

        def report(done: int, total: int, index: int = index, name: str = named.name) -> None:
            _say(Answer(done=(index + done / total) / count, step=f"simulating {name}"))

        decider = _decider(named, job.setup)
        outcome = simulate(named.name, trace, decider, job.setup, skip_s=job.skip_s, step_s=job.step_s, progress=report)
        points = () if job.step_s is None else _points(outcome, trace.start + job.skip_s)
        _say(Answer(done=(index + 1) / count, step=f"simulated {named.name}", result=_result(outcome, points)))


def _advise(job: Job) -> None:
    found = advise(
        job.trace.trace(),
        job.setup,
        replicas=job.replicas,
        ready_hours=job.ready_hours,
        allowed=job.allowed,
        progress=lambda done, total: _say(Answer(done=done / total, step="trying targets and floors")),
    )
    rest = [one for one in found.candidates if one is not found.chosen]
    for one in (found.chosen, *rest):
        _say(Answer(done=1.0, result=_proposal(one)))
    idle = Idle(found.idle.hours, found.idle.idle_hours, found.idle.fixed, found.idle.saved_a_month)
    _say(Answer(done=1.0, today=_result(found.today), idle=idle, met=found.met))


def _decider(named: NamedPolicy, setup: Setup) -> Decider:
    if named.policy is not None:
        return PolicyDecider(named.policy)
    return lineup.named(named.known or "headrace", setup)


def _proposal(one: Candidate) -> Result:
    result = _result(one.outcome)
    return Result(
        **{name: getattr(result, name) for name in Result.__dataclass_fields__ if name != "policy"}, policy=one.policy
    )


def _result(outcome: Outcome, points: tuple[Point, ...] = ()) -> Result:
    return Result(
        name=outcome.name,
        requests=outcome.requests,
        violations=outcome.violations,
        replica_hours=outcome.replica_hours,
        cost=outcome.cost,
        changes=outcome.changes,
        turns=outcome.turns,
        most_replicas=outcome.most_replicas,
        wait_p99_s=outcome.wait_p99_s,
        points=points,
    )


def _points(outcome: Outcome, start: float) -> tuple[Point, ...]:
    course = outcome.series
    return tuple(
        Point(start + index * course.step_s, float(demand), float(ready), float(asked_for), float(broken))
        for index, (demand, ready, asked_for, broken) in enumerate(
            zip(course.demand, course.ready, course.asked_for, course.broken, strict=True)
        )
    )


def _say(answer: Answer) -> None:
    sys.stdout.write(documents.to_json(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
