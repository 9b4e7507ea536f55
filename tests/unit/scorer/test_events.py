"""What webhooks are told of jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace_scorer.decisions.events import event_of
from headrace_scorer.decisions.jobs import Event, Job, Version, fail, late
from headrace_scorer.decisions.specs import Location, Options, Spec
from headrace_scorer.documents import notice_json, notice_of

DELIVERY, NOW = UUID(int=1), datetime(2026, 11, 29, tzinfo=UTC)
SPEC = Spec(Location("in", "day"), options=Options(window=timedelta(hours=4)))
JOB = Job(7, "fraud", SPEC, Version("v2", "d", "s", 1, "contract"), Location("out", "fraud/job-7"), "ada", NOW)


def test_a_job_that_will_be_late_is_a_warning_that_says_by_how_much():
    found = late(JOB, timedelta(minutes=90))
    told = event_of(DELIVERY, *notice_of(notice_json(found.events[0], found.job)), NOW)
    assert (told.type, told.subject, told.level) == ("headrace.scoring.late", "models/fraud/scoringJobs/7", "warning")
    assert told.about == "fraud v2, job 7"
    assert "1.5 h after its window of 4.0 h" in told.summary
    assert (told.data["late"], told.data["input_uri"]) == (True, "s3://in/day")


def test_what_succeeds_ends_the_incident_that_the_delay_opened():
    delayed = event_of(DELIVERY, Event("late", ""), JOB, NOW)
    ended = event_of(DELIVERY, Event("succeeded", ""), JOB, NOW)
    assert (delayed.incident, delayed.ends, ended.incident, ended.ends) == (ended.incident, False, ended.incident, True)


def test_a_failure_says_its_code():
    failed = fail(JOB, "DISK_FULL", "no room", NOW)
    told = event_of(DELIVERY, failed.events[0], failed.job, NOW)
    assert (told.level, told.data["failure"], told.summary) == ("error", "DISK_FULL", "no room")
