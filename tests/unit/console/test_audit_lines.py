"""What services wrote down, as lines of one table."""

from datetime import UTC, datetime

from headrace.autoscaler.v1 import autoscaler_pb2, policy_pb2
from headrace.monitor.v1 import alert_pb2, experiment_pb2
from headrace.rollout.v1 import rollout_pb2
from headrace.scorer.v1 import scorer_pb2
from headrace_console.pages import audit_lines
from headrace_console.pages.audit import fits
from headrace_console.pages.audit_lines import AuditLine

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def test_what_a_rollout_was_told_is_told_apart_from_what_it_did():
    events = [
        rollout_pb2.RolloutEvent(type="paused", client="ada", reason="lunch", rollout={"version": "v2", "percent": 10}),
        rollout_pb2.RolloutEvent(type="rolled_back", reason="errors"),
    ]
    asked, did = audit_lines.of_rollout("models/digits/rollouts/3", events)
    assert (asked.who, asked.what, asked.detail, asked.why) == ("ada", "rollout 3 paused", "v2 at 10 %", "lunch")
    assert (did.who, did.what, did.what_page) == ("by itself", "rollout 3 rolled back", "/console/rollouts/digits/3")


def test_an_experiment_is_made_started_and_ended_as_far_as_it_has_come():
    one = experiment_pb2.Experiment(name="models/feed/experiments/e1", owner="eve", hypothesis="more clicks")
    assert [line.what for line in audit_lines.of_experiments("feed", [one])] == ["experiment e1 made"]
    one.start_time.FromDatetime(NOON)
    one.end_time.FromDatetime(NOON)
    one.end_reason, one.stopped = "refunds rose", True
    *_, ended = audit_lines.of_experiments("feed", [one])
    assert (ended.who, ended.why, ended.when) == ("by itself", "refunds rose", NOON)


def test_a_job_and_a_pool_have_lines_that_lead_to_them():
    (line,) = audit_lines.of_job(
        "models/digits/scoringJobs/7", [scorer_pb2.ScoringJobEvent(type="created", client="bob")]
    )
    assert (line.who, line.what, line.what_page) == ("bob", "job 7 created", "/console/jobs/digits/7")
    held = audit_lines.of_pause(
        autoscaler_pb2.Pool(name="pools/gpu", desired_replicas=3, pause_reason="eve: load test")
    )
    assert (held.about, held.page, held.why) == ("pool gpu", "/console/pools/gpu", "eve: load test")


def test_a_policy_in_force_says_who_put_it_and_what_it_allows():
    policy = policy_pb2.ScalingPolicy(min_replicas=1, max_replicas=8, revision=4, updated_by="eve")
    policy.update_time.FromDatetime(NOON)
    line = audit_lines.of_policy("gpu", policy)
    assert (line.when, line.about, line.page, line.who) == (NOON, "pool gpu", "/console/pools/gpu", "eve")
    assert line.detail == "1 to 8 replicas, revision 4"


def test_a_silence_says_who_made_it_why_and_until_when_but_not_since_when():
    silence = alert_pb2.Silence(model="digits", rule="drift", client="ada", comment="backfill")
    silence.expire_time.FromDatetime(NOON)
    line = audit_lines.of_silence(silence)
    assert (line.when, line.about, line.page) == (None, "digits", "/console/models/digits")
    assert (line.who, line.why, line.detail) == ("ada", "backfill", "drift until 2026-11-29 12:00 UTC")
    every = audit_lines.of_silence(alert_pb2.Silence(model="*"))
    assert (every.about, every.page) == ("every model", "/console/alerts")
    assert every.detail.startswith("every rule until")


def test_a_line_is_found_by_words_of_anything_in_it():
    line = AuditLine(NOON, "digits", "", "rollout 3 paused", "v2 at 10 %", "Ada", "lunch")
    assert fits(line, "ADA paused")
    assert fits(line, "")
    assert not fits(line, "ada promoted")
