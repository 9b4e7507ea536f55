"""What a promotion would be asked, as a terminal shows it."""

import pytest
from headrace.registry.v1 import approval_pb2 as pb
from headrace_client.cli.output import Output
from headrace_release.cli.approval_views import show_review


def test_a_review_says_how_many_have_to_agree_and_what_would_be_replaced(capsys: pytest.CaptureFixture[str]):
    review = pb.PromotionReview(
        missing_approvals=2,
        production_version="v1",
        signature_breaks=["output 'y' is gone"],
        obstacles=["gate accuracy is not met"],
    )
    show_review(Output(as_json=False), review)
    printed = capsys.readouterr().out
    for expected in ("2 approvals", "v1", "output 'y' is gone", "gate accuracy is not met"):
        assert expected in printed
