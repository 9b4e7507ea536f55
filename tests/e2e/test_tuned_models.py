"""A version is tuned by measuring a copy on the real pool: few runs, and at most one change of the version."""

import pytest

from tests.kit.clients.headrace_cli import Headrace


# What is faster than what it measures, for which a machine must have time.
@pytest.mark.long
def test_few_runs_on_the_real_pool_find_settings_that_are_put_into_force(headrace: Headrace) -> None:
    headrace.two_versions(production="v1")
    before = headrace("models", "settings", f"{headrace.model}@v1")["version"]
    history = headrace("models", "history", headrace.model)["events"]
    quick = ("--slo-p99-ms", "200", "--seconds", "0.5", "--max-rate", "60", "--max-rows", "16", "--max-instances", "2")
    tried = headrace("models", "tune", f"{headrace.model}@v1", *quick, "--runs", "1")
    assert (len(tried["runs"]), tried["grid"], tried["applied"]) == (1, 50, False)
    assert set(tried["service_ms"]) == {"1", "2", "4", "8", "16"}
    unchanged = headrace("models", "settings", f"{headrace.model}@v1")["version"]
    assert (unchanged["serving"], unchanged["serving_revision"]) == (before["serving"], before["serving_revision"])
    assert headrace("models", "history", headrace.model)["events"] == history
    assert "-tune-" not in str(headrace("models", "list")), "the copy is gone"

    # One row at a time is worse than what any search finds, at more than that can answer.
    headrace("models", "settings", f"{headrace.model}@v1", "--max-batch-rows", "1", "--reason", "slow")
    more = (*quick, "--slo-p99-ms", "60", "--max-rate", "1500", "--seconds", "1.5")
    done = headrace("models", "tune", f"{headrace.model}@v1", *more, "--runs", "2", "--apply", "--reason", "tuned")
    assert done["applied"]
    assert done["best"]["goodput_per_s"] > done["present"]["goodput_per_s"] > 20
    after = headrace("models", "settings", f"{headrace.model}@v1")
    assert after["version"]["serving"]["max_batch_rows"] == done["best"]["max_batch_rows"]
    assert after["version"]["digest"] == before["digest"]
    assert {one["serving_revision"] for one in after["batchers"]} == {after["version"]["serving_revision"]}
    line, slow, *others = headrace("models", "history", headrace.model)["events"]
    assert line["serving_change"]["after"] == after["version"]["serving"]
    assert (line["reason"], slow["reason"], others) == ("tuned", "slow", history), "a tuning is one change"
    traffic = headrace("monitor", "traffic", headrace.model)
    assert not traffic["traffic"], "callers of the model saw none of the load"
