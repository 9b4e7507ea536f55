"""What people and the job itself may do in each state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from headrace_scorer.decisions import jobs, manifests
from headrace_scorer.decisions.jobs import Job, Plan, Progress, State, Transition, Version
from headrace_scorer.decisions.manifests import Done
from headrace_scorer.decisions.rates import Rate
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location, Options, Spec
from headrace_scorer.documents import job_json, job_of
from headrace_servicekit.errors import PreconditionFailed
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLAN = Plan((), ("a",), (), 1, "input")


def job(**how: Any) -> Job:
    told: dict[str, Any] = {
        "id": 7,
        "model": "fraud",
        "spec": Spec(Location("tables", "in")),
        "version": Version("v1", "d" * 64, "f" * 64, 10, ""),
        "output": Location("tables", "out/fraud/job-7"),
        "client": "ada",
        "create_time": NOW,
    }
    return Job(**{**told, **how})


def test_a_job_is_planned_once_and_scored_then():
    planning = jobs.begin(job(), NOW)
    assert (planning.job.state, planning.job.attempts, planning.job.start_time) == (State.PLANNING, 1, NOW)
    running = jobs.planned(planning.job, PLAN, rows=10, shards=2, input_bytes=5).job
    assert (running.state, running.progress.rows, running.progress.shards) == (State.RUNNING, 10, 2)
    paused = jobs.pause(running, "ada", "").job
    resumed = jobs.resume(paused, "ada", "").job
    again = jobs.begin(resumed, NOW)
    assert [event.type for event in again.events] == ["running"]
    assert again.job.state is State.RUNNING


def test_a_lost_process_is_followed_until_it_is_the_jobs_fault():
    running = job(state=State.RUNNING, plan=PLAN)
    for _ in range(jobs.MAX_LOSSES):
        begun = jobs.begin(running, NOW)
        assert [event.type for event in begun.events] == ["recovered"]
        running = begun.job
    progressed = jobs.advanced(running, Progress(rows_done=1, shards_done=1), 64).job
    assert (progressed.losses, progressed.batch_rows) == (0, 64)
    assert jobs.begin(running, NOW).job.failure == "PROCESS_LOST"


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.CANCELLING])
def test_nothing_follows_what_is_over(state: State):
    ended = job(state=state)
    for act in (jobs.pause, jobs.resume):
        with pytest.raises(PreconditionFailed) as refused:
            act(ended, "ada", "")
        assert refused.value.reason == "SCORING_JOB_OVER"


@pytest.mark.parametrize("state", [State.CANCELLING, State.CANCELLED])
def test_cancelling_twice_changes_nothing(state: State):
    assert jobs.cancel(job(state=state), "ada", "").job == job(state=state)


def test_only_what_failed_is_tried_again_and_not_with_another_input():
    failed = jobs.fail(job(plan=PLAN), "MODEL_FAILED", "it broke", NOW).job
    again = jobs.retry(failed, "ada", "mended").job
    assert (again.state, again.failure, again.end_time, again.plan) == (State.QUEUED, "", None, PLAN)
    for wrong, reason in (
        (job(), "SCORING_JOB_NOT_FAILED"),
        (replace(failed, failure="INPUT_CHANGED"), "INPUT_CHANGED"),
    ):
        with pytest.raises(PreconditionFailed) as refused:
            jobs.retry(wrong, "ada", "")
        assert refused.value.reason == reason


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=20))
def test_rows_done_never_decrease(reports: list[int]):
    one, seen = job(state=State.RUNNING), 0
    for rows in reports:
        one = jobs.advanced(one, Progress(rows_done=rows, shards_done=rows), 0).job
        assert one.progress.rows_done >= seen
        seen = one.progress.rows_done
    assert seen == max(reports)


def test_a_job_is_kept_as_it_is():
    whole = jobs.fail(job(plan=PLAN, state=State.RUNNING), "MODEL_FAILED", "it broke", NOW).job
    assert job_of(job_json(whole)) == whole


def test_few_rejected_rows_say_little_until_the_end():
    strict = job(spec=Spec(Location("tables", "in"), options=Options(max_rejected_share=0.01)))
    assert not jobs.too_many_rejected(strict, 100, 2, last=False)
    assert jobs.too_many_rejected(strict, 100, 2, last=True)
    assert jobs.too_many_rejected(strict, 10_000, 101, last=False)
    assert not jobs.too_many_rejected(strict, 10_000, 100, last=False)
    assert not jobs.too_many_rejected(strict, 0, 0, last=True)


def done(number: int, rows: int, rejected: int = 0) -> Done:
    shard = Shard(number, f"in/{number}", "e", 9, 0, 1, 0, 10)
    return Done(shard, rows, rejected, f"out/{number}", "a" * 64, 3, f"bad/{number}" if rejected else "", "b" * 64)


def test_a_manifest_balances_shard_by_shard():
    running = job(plan=PLAN, start_time=NOW - timedelta(seconds=20))
    manifest = manifests.balanced(running, [done(0, 10, 2), done(1, 10)], NOW, "1")
    assert (manifest.rows_in, manifest.rows_out, manifest.rows_rejected) == (20, 18, 2)
    assert (manifest.files, manifest.duration_s) == (3, 20.0)
    with pytest.raises(manifests.NotBalanced, match="has 10 rows, not 9"):
        manifests.balanced(running, [done(0, 9), done(1, 11)], NOW, "1")


def test_that_a_job_is_late_is_said_once_at_the_latest_when_it_is_over():
    windowed = job(plan=PLAN, state=State.RUNNING, spec=Spec(Location("t", "in"), options=Options(window=HOUR)))
    said = jobs.late(windowed, timedelta(minutes=3))
    assert said.job.late
    (event,) = said.events
    assert event.type == "late"
    assert "3 min after its window of 1.0 h" in event.reason
    assert jobs.late(said.job, HOUR).events == ()

    manifest = manifests.balanced(windowed, [done(0, 10)], NOW, "1")
    after = jobs.succeed(windowed, manifest, NOW + 2 * HOUR)
    assert after.job.late
    assert [event.type for event in after.events] == ["late", "succeeded"]
    again = jobs.succeed(said.job, manifest, NOW + 2 * HOUR)
    assert [event.type for event in again.events] == ["succeeded"]
    assert not jobs.succeed(windowed, manifest, NOW + HOUR).job.late


@pytest.mark.parametrize("state", [State.CANCELLING, State.CANCELLED, State.FAILED, State.SUCCEEDED])
def test_what_is_over_or_about_to_be_is_not_called_late(state: State):
    ended = job(state=state, spec=Spec(Location("t", "in"), options=Options(window=HOUR)))
    assert jobs.late(ended, HOUR) == Transition(ended)


def test_the_time_that_is_left_goes_by_the_rate_of_late():
    rate = Rate(0.0)
    assert rate.add(10.0, 1000) == 100
    assert rate.add(20.0, 3000) == 200
    assert rate.add(100.0, 900) == pytest.approx(900 / 80)
    assert jobs.remaining_s(Progress(rows=100, rows_done=40, rows_per_second=10)) == 6
    assert jobs.remaining_s(Progress(rows=None, rows_per_second=10)) is None
