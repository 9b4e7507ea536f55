"""Scoring jobs as people see them."""

import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_bulk.cli.job_views import show_job
from headrace_client.cli.output import Output


def shown(capsys: pytest.CaptureFixture[str], **how: object) -> str:
    tensors = [pb.ScoringSpec.TensorColumns(tensor="[bold]x", columns=["a", "b"])]
    job = pb.ScoringJob(name="models/fraud/scoringJobs/7", spec=pb.ScoringSpec(tensors=tensors), **how)  # pyright: ignore[reportArgumentType]
    show_job(Output(as_json=False), job)
    return capsys.readouterr().out


def test_a_job_that_is_late_says_so_and_another_does_not(capsys: pytest.CaptureFixture[str]):
    assert "late" in shown(capsys, late=True)
    assert "late" not in shown(capsys)


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]):
    assert "[bold]x = a, b" in shown(capsys)
