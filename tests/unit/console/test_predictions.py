"""The page of one prediction."""

from headrace.router.v1 import predict_pb2
from headrace_client.operations.explanations import Explanation
from headrace_console.pages.predictions import waterfall_of


def test_a_step_whose_outputs_were_kept_is_not_shown_as_one_that_failed():
    told = predict_pb2.ExplainResponse(total_us=1000)
    for step, reason in (("features", "CACHED"), ("network", ""), ("trees", "NO_BACKEND")):
        told.attempts.add(pipeline_step=step, reason=reason, took_us=100)
    spans, _ = waterfall_of(Explanation.from_proto(told))
    assert {name: colour for name, _, _, colour in spans[1:]} == {"features": "", "network": "", "trees": "bad"}
