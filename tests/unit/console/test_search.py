"""Jobs that the search box finds."""

import pytest
from headrace.scorer.v1 import scorer_pb2
from headrace_console.pages.search import fitting_jobs

JOB = scorer_pb2.ScoringJob(
    name="models/fraud/scoringJobs/17",
    state=scorer_pb2.ScoringJob.STATE_FAILED,
    client="ada",
    output_uri="s3://results/17",
    spec=scorer_pb2.ScoringSpec(input=scorer_pb2.ScoringSpec.Input(uri="s3://tables/Monday")),
)


@pytest.mark.parametrize("wanted", ["fraud/17", "17", "failed", "ada", "monday", "s3://results"])
def test_a_job_is_found_by_its_name_state_client_and_files(wanted: str):
    assert list(fitting_jobs([JOB], wanted)) == [JOB]


def test_others_are_not():
    assert list(fitting_jobs([JOB, scorer_pb2.ScoringJob()], "tuesday")) == []
