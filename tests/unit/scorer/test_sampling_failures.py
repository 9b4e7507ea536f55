"""Why a sample cannot be scored is said, and is not a process that was lost."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.engine import estimate
from headrace_scorer.engine.expressions import WrongExpression
from headrace_scorer.engine.messages import Access, Checked, EstimateOrder, Work, to_json


def raises(error: Exception) -> object:
    raise error


@pytest.mark.parametrize(
    ("error", "failure", "told"),
    [
        (OSError(28, "No space left on device"), "DISK_FULL", "more room"),
        (WrongExpression("column 'x' takes too much memory"), "EXPRESSION_FAILED", "column 'x'"),
    ],
)
def test_what_is_wrong_with_a_sample_is_answered(
    error: Exception,
    failure: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
):
    access = Access("http://127.0.0.1:1", "us-east-1", None, "headrace")
    work = Work("models/a/scoringJobs/0", Spec(Location("b", "in")), "", "", Location("b", "out"), access)
    order = to_json(EstimateOrder(work, Checked(), (), 0, ""))
    monkeypatch.setattr(estimate.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(order)))
    monkeypatch.setattr(estimate, "begin", lambda: None)
    monkeypatch.setattr(estimate, "_sampled", lambda *_: raises(error))
    estimate.main()
    answer = json.loads(capsysbinary.readouterr().out)
    assert (answer["failure"], told in answer["reason"]) == (failure, True)
