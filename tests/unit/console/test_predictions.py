"""The page of one prediction."""

from headrace.router.v1 import predict_pb2
from headrace_client.operations.explanations import Explanation
from headrace_console.pages.predictions import search_sql, waterfall_of


def test_a_step_whose_outputs_were_kept_is_not_shown_as_one_that_failed():
    told = predict_pb2.ExplainResponse(total_us=1000)
    for step, reason in (("features", "CACHED"), ("network", ""), ("trees", "NO_BACKEND")):
        told.attempts.add(pipeline_step=step, reason=reason, took_us=100)
    spans, _ = waterfall_of(Explanation.from_proto(told))
    assert {name: colour for name, _, _, colour in spans[1:]} == {"features": "", "network": "", "trees": "bad"}


def test_predictions_are_found_by_user_or_entity_model_and_version_whatever_quotes_are_in_them():
    where = "WHERE (entity_id = 'o''hara' OR unit = 'o''hara') AND model = 'digits' AND version = 'v1' ORDER BY"
    assert where in search_sql("o'hara", "digits", "v1")
    assert "FROM predictions WHERE version = 'v1' ORDER BY" in search_sql("", "", "v1")
    assert "FROM predictions ORDER BY" in search_sql("", "", "")
