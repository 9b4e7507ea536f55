"""What pages ask the API for: all that they show, and no more."""

import time
from typing import Any

import grpc
from headrace.monitor.v1 import alert_pb2
from headrace.registry.v1 import registry_pb2
from headrace.rollout.v1 import rollout_pb2
from headrace.router.v1 import route_pb2
from headrace_console.recent import KEPT_S
from headrace_servicekit.errors import NotFound, PreconditionFailed

from tests.kit.console import ConsoleUnderTest
from tests.kit.methods import path_of


async def asked(console: ConsoleUnderTest, page: str, method: str) -> list[Any]:
    """Return what a page sends to a method."""
    before = len(console.api.asked)
    assert (await console.browser.get(page)).status_code == 200
    return [message for path, message, _ in console.api.asked[before:] if path == path_of(method)]


async def test_a_search_for_nothing_looks_into_no_model(console: ConsoleUnderTest):
    await console.sign_in()
    assert await asked(console, "/console/search?q=", "ListModelVersions") == []
    assert len(await asked(console, "/console/search?q=plain", "ListModelVersions")) == 1


async def test_of_hundreds_of_alerts_that_fire_none_is_left_out(console: ConsoleUnderTest):
    await console.sign_in()
    for page in ("/console/", "/console/alerts"):
        requests = await asked(console, page, "ListAlerts")
        firing = [request for request in requests if request.state == alert_pb2.Alert.STATE_OPEN]
        assert [request.page_size for request in firing] == [200], "a whole page of the API"


async def test_the_first_page_asks_for_as_many_models_as_it_shows_and_filters_at_the_registry(
    console: ConsoleUnderTest,
):
    await console.sign_in()
    shown, recent = await asked(console, "/console/?q=Fraud&sort=-changed&after=token", "ListModels")
    latest = registry_pb2.ListModelsRequest.ORDER_LATEST_CHANGE
    assert (shown.page_size, shown.page_token, shown.contains, shown.order) == (25, "token", "Fraud", latest)
    assert (recent.page_size, recent.order) == (8, latest)
    for page in ("/console/audit", "/console/experiments"):
        (request,) = await asked(console, page, "ListModels")
        assert (request.page_size, request.order) == (25, latest)


async def test_jobs_are_found_by_their_name_their_files_and_who_made_them(console: ConsoleUnderTest):
    await console.sign_in()
    assert len(await asked(console, "/console/search?q=plain", "ListScoringJobs")) == 1
    page = (await console.browser.get("/console/search?q=plain")).text
    assert '<h2 id="jobs">Jobs</h2>\n<p class="empty">' not in page
    assert "/console/jobs/" in page


async def test_what_is_changed_of_a_policy_is_replayed_and_the_rest_is_as_in_force(console: ConsoleUnderTest):
    await console.sign_in()
    (plain,) = await asked(console, "/console/pools/default/replay", "Replay")
    assert not plain.HasField("policy")
    (changed,) = await asked(console, "/console/pools/default/replay?hours=6&min=3&target=0.5", "Replay")
    assert (changed.policy.min_replicas, changed.policy.max_replicas, changed.policy.targets[0].value) == (3, 2, 0.5)
    assert await asked(console, "/console/pools/default/replay?min=many", "Replay") == []


async def test_results_of_a_job_are_published_let_through_and_taken_back_with_a_reason(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    acts = {
        "publish": "PublishScoringJob",
        "approve": "ApproveScoringPublication",
        "revert": "RevertScoringPublication",
    }
    for action, method in acts.items():
        form = {"form_token": form_token, "action": action, "reason": "as planned", "entity": "user"}
        answer = await console.browser.post("/console/jobs/digits/7/publication", data=form)
        assert answer.headers["location"] == f"/console/jobs/digits/7?done={action}"
        message: Any
        (message,) = [message for path, message, _ in console.api.asked if path == path_of(method)]
        assert message.name.startswith("models/digits/scoringJobs/7")
        assert message.reason == "as planned"


async def test_a_job_whose_results_are_nowhere_yet_says_what_publishing_is(console: ConsoleUnderTest):
    await console.sign_in()
    console.api.refusal[path_of("GetScoringPublication")] = (grpc.StatusCode.NOT_FOUND, "none")
    page = (await console.browser.get("/console/jobs/digits/7")).text
    assert "Once it has succeeded, its results can be published" in page


async def test_an_experiment_is_concluded_with_what_is_rolled_out_and_why(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    page = "/console/models/digits/experiments/e1"
    form = {"form_token": form_token, "promote": "new", "anyway": "yes", "reason": "it is cheaper"}
    answer = await console.browser.post(f"{page}/conclude", data=form)
    assert answer.headers["location"] == f"{page}?done=concluded"
    message: Any
    (message,) = [message for path, message, _ in console.api.asked if path == path_of("ConcludeExperiment")]
    told = (message.name, message.promote, message.anyway, message.reason)
    assert told == ("models/digits/experiments/e1", "new", True, "it is cheaper")
    assert "Effect over time" in (await console.browser.get(page)).text


async def test_a_rollout_is_planned_before_it_starts_and_starts_by_the_strategy_that_was_chosen(
    console: ConsoleUnderTest,
):
    form_token = await console.sign_in()
    page = "/console/models/digits/rollouts"
    form = {"form_token": form_token, "version": "v2", "strategy": "shadow", "reason": "r", "request_id": "i"}
    planned = await console.browser.post(page, data={**form, "action": "plan"})
    assert "Nothing has begun" in planned.text
    assert [path for path, _, _ in console.api.asked if path == path_of("StartRollout")] == []
    await console.browser.post(page, data={**form, "action": "start"})
    message: Any
    (message,) = [message for path, message, _ in console.api.asked if path == path_of("StartRollout")]
    assert message.policy.strategy == rollout_pb2.RolloutPolicy.STRATEGY_SHADOW
    wrong = await console.browser.post(page, data={**form, "strategy": "linear", "action": "start"})
    assert wrong.status_code == 400


async def test_a_version_in_production_is_not_reviewed_for_it_which_would_lock_its_model(console: ConsoleUnderTest):
    await console.sign_in()
    serving = registry_pb2.ModelVersion(
        name="models/digits/versions/v1", stage=registry_pb2.ModelVersion.STAGE_PRODUCTION
    )
    answer = registry_pb2.GetModelVersionResponse(version=serving)
    assert len(await asked(console, "/console/models/digits/versions/v1", "ReviewPromotion")) == 1
    console.api.answers[path_of("GetModelVersion")] = lambda _: answer
    assert await asked(console, "/console/models/digits/versions/v1", "ReviewPromotion") == []


async def test_traffic_is_asked_for_once_a_second_however_often_the_first_page_is_loaded(console: ConsoleUnderTest):
    await console.sign_in()
    began, before = time.monotonic(), len(console.api.asked)
    for _ in range(10):
        assert (await console.browser.get("/console/")).status_code == 200
    readings = [path for path, _, _ in console.api.asked[before:] if path == path_of("ListTraffic")]
    assert len(readings) <= (time.monotonic() - began) / KEPT_S + 1
    # What others may see says nothing to who may see less.
    await console.sign_in("bob", models=["pl*"])
    readings = [of["authorization"] for path, _, of in console.api.asked if path == path_of("ListTraffic")]
    assert len(set(readings)) > 1


async def test_the_audit_tells_what_every_service_wrote_down_and_is_searched(console: ConsoleUnderTest):
    await console.sign_in()
    page = (await console.browser.get("/console/audit")).text
    for told in ("approval overridden", "route ", "rollout plain plain", "experiment plain ended", "job plain plain"):
        assert told in page, told
    assert "scaling paused" in page
    assert "headrace models history plain" in page, "a command that works as it stands"
    assert "Nothing has “nobody did”" in (await console.browser.get("/console/audit?q=nobody+did")).text
    of_model = (await console.browser.get("/console/models/digits/audit?q=rollout")).text
    assert "rollout plain plain" in of_model
    assert "job plain" not in of_model


async def test_how_busy_a_pool_is_is_told_by_two_reports_and_not_to_whom_models_are_hidden(console: ConsoleUnderTest):
    await console.sign_in()
    told = route_pb2.Batcher(process="b1", pool="default", versions=[route_pb2.BatcherVersion(digest="d")])
    console.api.answers[path_of("ListBatchers")] = lambda _: route_pb2.ListBatchersResponse(batchers=[told])
    told.report_time.seconds = 1_700_000_000
    assert "head-room not known yet" in (await console.browser.get("/console/pools/default")).text
    told.report_time.seconds += 10
    told.versions[0].load.compute.seconds = 4
    for page in ("", "pools", "pools/default"):
        assert "40 % busy, 60 % free" in (await console.browser.get(f"/console/{page}")).text, page
    await console.sign_in("bob", models=["digits"])
    told.report_time.seconds += 10
    assert "head-room not known yet" in (await console.browser.get("/console/pools/default")).text


async def test_a_page_that_is_not_there_leaves_the_way_to_the_others(console: ConsoleUnderTest):
    await console.sign_in()
    console.api.refusal[path_of("GetModel")] = (grpc.StatusCode.NOT_FOUND, "no such model")
    missing = await console.browser.get("/console/models/nothing")
    assert missing.status_code == 404
    assert 'href="/console/alerts"' in missing.text
    assert 'id="search"' in missing.text
    assert "Sign out" in missing.text


async def test_models_are_shown_although_nobody_says_which_changed_last(console: ConsoleUnderTest):
    def none_by_change(request: registry_pb2.ListModelsRequest) -> registry_pb2.ListModelsResponse:
        by_change = request.order == registry_pb2.ListModelsRequest.ORDER_LATEST_CHANGE
        return registry_pb2.ListModelsResponse(models=[] if by_change else [registry_pb2.Model(name="models/digits")])

    await console.sign_in()
    console.api.answers[path_of("ListModels")] = none_by_change
    page = (await console.browser.get("/console/")).text
    assert 'href="/console/models/digits"' in page
    assert "No models yet" not in page


async def test_nothing_is_replayed_with_changes_of_a_policy_that_cannot_be_read(console: ConsoleUnderTest):
    await console.sign_in()
    console.api.refusal[path_of("GetPolicy")] = (grpc.StatusCode.UNAVAILABLE, "away")
    assert len(await asked(console, "/console/pools/default/replay", "Replay")) == 1
    assert await asked(console, "/console/pools/default/replay?min=3", "Replay") == []
    page = (await console.browser.get("/console/pools/default/replay?min=3")).text
    assert "The autoscaler does not answer: away." in page
    assert "with your changes" not in page


async def test_what_is_refused_says_what_to_do_beside_the_form_and_on_a_page_of_its_own(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    console.api.refusal[path_of("PromoteModelVersion")] = PreconditionFailed("it runs", reason="ROLLOUT_RUNNING")
    form = {"form_token": form_token, "reason": "r", "version": "v2", "stage": "production"}
    refused = await console.browser.post("/console/models/digits/promote", data=form)
    assert refused.status_code == 409
    assert "Remedy: <code>headrace rollouts watch digits</code>" in refused.text
    console.api.refusal[path_of("GetModel")] = NotFound("no such model", reason="MODEL_NOT_FOUND")
    missing = await console.browser.get("/console/models/nothing")
    assert "<code>headrace models list</code> shows the models that your token may see" in missing.text
