"""What pages ask the API for: all that they show, and no more."""

import html
import re
import shlex
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from headrace.autoscaler.v1 import autoscaler_pb2
from headrace.monitor.v1 import alert_pb2, experiment_pb2, monitor_pb2
from headrace.registry.v1 import registry_pb2
from headrace.rollout.v1 import rollout_pb2
from headrace.router.v1 import route_pb2
from headrace_console.recent import KEPT_S
from headrace_servicekit.errors import NotFound, PreconditionFailed

from tests.kit.clients import typed_commands
from tests.kit.clients.methods import path_of
from tests.kit.console.service import PAGES, ConsoleUnderTest, address


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


async def test_a_model_shows_how_much_traffic_its_unpromoted_versions_may_get(console: ConsoleUnderTest):
    await console.sign_in()
    for bound, said in ((0.2, True), (1.0, False)):
        model = registry_pb2.Model(name="models/digits", max_unpromoted_share=bound)
        console.api.answers[path_of("GetModel")] = lambda _, model=model: registry_pb2.GetModelResponse(model=model)
        page = (await console.browser.get("/console/models/digits")).text
        assert ("at most 20 % of the traffic by splits and experiments" in page) is said


async def test_home_a_model_and_a_version_show_traffic_over_the_time_that_the_address_says(console: ConsoleUnderTest):
    await console.sign_in()
    pages = {"/console/": "", "/console/models/digits": "models/digits"}
    pages["/console/models/digits/versions/v1"] = "models/digits/versions/v1"
    for page, parent in pages.items():
        (request,) = await asked(console, f"{page}?hours=168", "GetTrafficTimeSeries")
        length = request.range.end_time.ToDatetime() - request.range.start_time.ToDatetime()
        assert (request.parent, length) == (parent, timedelta(days=7))


async def test_a_version_was_promoted_where_the_chart_of_requests_is_marked(console: ConsoleUnderTest):
    await console.sign_in()
    series, event = monitor_pb2.GetTrafficTimeSeriesResponse(), registry_pb2.ModelEvent(version="v2", client="ada")
    for minutes, failed in ((20, 0), (10, 3)):
        part = series.parts.add(requests=10, model_errors=failed, caller_errors=1, p50_us=900, p99_us=2000)
        part.range.start_time.FromDatetime(datetime.now(UTC) - timedelta(minutes=minutes))
        part.range.end_time.FromDatetime(datetime.now(UTC) - timedelta(minutes=minutes - 10))
    event.action = registry_pb2.ModelEvent.ACTION_STAGE_CHANGED
    event.create_time.FromDatetime(datetime.now(UTC) - timedelta(minutes=10))
    console.api.answers[path_of("GetTrafficTimeSeries")] = lambda _: series
    console.api.answers[path_of("ListModelEvents")] = lambda _: registry_pb2.ListModelEventsResponse(events=[event])
    page = (await console.browser.get("/console/models/digits")).text
    for title in ("Requests a minute", "Errors, by who can mend them", "Time to answer"):
        assert f'aria-label="{title} over time"' in page
    assert "1: digits stage changed v2 by ada" in page
    assert "of the model" in page


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
    for told in ("promotion rolled out", "route ", "rollout plain plain", "experiment plain ended", "job plain plain"):
        assert told in page, told
    for told in ("scaling paused", "scaling policy put", "alerts silenced"):
        assert told in page, told
    assert "The API does not tell when a silence was made" in page
    assert "headrace models history plain" in page, "a command that works as it stands"
    assert "Nothing has “nobody did”" in (await console.browser.get("/console/audit?q=nobody+did")).text
    silence = alert_pb2.ListSilencesResponse(
        silences=[{"model": "digits", "comment": "a backfill"}, {"model": "elsewhere"}]
    )
    console.api.answers[path_of("ListSilences")] = lambda _: silence
    silenced = (await console.browser.get("/console/models/digits/audit?q=silenced")).text
    assert "a backfill" in silenced
    assert "elsewhere" not in silenced
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


async def test_pools_are_sorted_and_paged_on_the_server(console: ConsoleUnderTest):
    def told(_: route_pb2.ListBatchersRequest) -> route_pb2.ListBatchersResponse:
        names = [f"p{number:02}" for number in range(30)]
        batchers = [route_pb2.Batcher(process=f"{name}-b", pool=name) for name in [*names, "p07"]]
        return route_pb2.ListBatchersResponse(batchers=batchers)

    await console.sign_in()
    console.api.answers[path_of("ListBatchers")] = told
    console.api.answers[path_of("ListPools")] = lambda _: autoscaler_pb2.ListPoolsResponse()
    page = (await console.browser.get("/console/pools")).text
    assert "page 1 of 2, 30 pools" in page
    assert page.index("/console/pools/p00") < page.index("/console/pools/p24")
    assert "/console/pools/p25" not in page
    most = (await console.browser.get("/console/pools?sort=-batchers")).text
    assert most.index("/console/pools/p07") < most.index("/console/pools/p00")
    assert 'aria-sort="descending"' in most


async def test_every_command_on_every_page_is_one_to_copy(console: ConsoleUnderTest):
    await console.sign_in()
    asked = [
        *map(address, PAGES),
        "/console/?q=fraud&sort=-changed",
        "/console/search?q=fraud",
        "/console/predictions?id=0197d4d5-0000-7000-8000-000000000001&model=digits",
        "/console/predictions?id=ada",
        "/console/models/digits/route?user=ada&attributes=country=DE",
        "/console/alerts?model=digits",
    ]
    found: set[str] = set()
    for console.api.nothing in (False, True):
        for page in asked:
            answer = await console.browser.get(page)
            assert answer.status_code in (200, 404), (page, answer.text)
            shown = {html.unescape(one) for one in re.findall("<code>(headrace .*?)</code>", answer.text)}
            assert shown or answer.status_code == 404, f"{page} says no command"
            found |= shown
    for command in found:
        typed_commands.check(command)
        left = [word for word in shlex.split(command) if re.fullmatch("[A-Z][A-Z_]{2,}", word)]
        assert not left, f"{command} leaves {left} to whoever reads it"
    assert len(found) > len(PAGES)


async def test_the_what_if_box_asks_for_the_user_the_entity_and_the_facts_and_says_why(console: ConsoleUnderTest):
    await console.sign_in()
    page = "/console/models/digits/route"
    assert await asked(console, page, "AssignUnit") == []
    assert await asked(console, f"{page}?user=&entity=&attributes=", "AssignUnit") == []
    here = f"{page}?user=ada&entity=e7&attributes=country=DE+app=ios"
    (request,) = await asked(console, here, "AssignUnit")
    assert (request.name, request.user_id, request.entity_id) == ("routes/digits", "ada", "e7")
    assert dict(request.attributes) == {"country": "DE", "app": "ios"}
    by_weight = route_pb2.AssignUnitResponse(variant="new", version="v2", bucket=41_000, generation=7)
    console.api.answers[path_of("AssignUnit")] = lambda _: by_weight
    shown = (await console.browser.get(here)).text
    assert "To <b>new</b>, version <b>v2</b>: bucket 41000 of generation 7." in shown
    assert 'name="user" value="ada"' in shown
    assert "headrace routes assign digits --user ada --entity e7 --attribute country=DE --attribute app=ios" in shown
    by_weight.rule = "country=DE -> v2"
    assert "rule <code>country=DE -&gt; v2</code>" in (await console.browser.get(here)).text
    console.api.refusal[path_of("AssignUnit")] = (grpc.StatusCode.INVALID_ARGUMENT, "user_id is too long")
    refused = await console.browser.get(here)
    assert refused.status_code == 200, "the route is shown all the same"
    assert "The control plane refuses this: user_id is too long." in refused.text


def comparison(**also: Any) -> monitor_pb2.ShadowComparison:
    return monitor_pb2.ShadowComparison(version="v1", shadow_version="v2", pairs=2000, rows=4000, **also)


async def test_the_shadow_page_shows_flips_slices_and_the_pairs_that_are_furthest_apart(console: ConsoleUnderTest):
    await console.sign_in()
    compared = comparison(
        labelled_rows=3900,
        flips=117,
        flip_rate_low=0.02,
        flip_rate_high=0.04,
        difference={"p50": 0.01, "p95": 0.2, "p99": 0.31},
        largest_difference=0.875,
        rank_correlation=0.9871,
        took_us={"p50": 900, "p95": 2000, "p99": 4000},
        shadow_took_us={"p50": 1500, "p95": 3000, "p99": 9000},
        errors={14: 3, 4: 2},
        unlike=6,
        nan_rows=7,
        slices=[{"name": "country=DE", "rows": 800, "flips": 80}],
        worst=[{"prediction_id": "p-1", "row": 3, "answer": "cat 0.9", "shadow_answer": "dog 0.8"}],
    )
    report = monitor_pb2.GetShadowReportResponse(comparisons=[compared])
    console.api.answers[path_of("GetShadowReport")] = lambda _: report
    (request,) = await asked(console, "/console/models/digits/shadow", "GetShadowReport")
    assert request.parent == "models/digits"
    page = (await console.browser.get("/console/models/digits/shadow")).text
    told = " ".join(re.sub("<[^>]+>", " ", page).split())
    for text in (
        "v2 beside v1",
        "2,000, 4,000 rows",
        "117 of 3,900, 3 % (2 % to 4 %)",
        "0.01 · 0.2 · 0.31, at most 0.875",
        "Rank correlation 0.9871",
        "900 µs · 2 ms · 4 ms",
        "5 failed DEADLINE_EXCEEDED 2 UNAVAILABLE 3 , 6 of another form, 7 with NaN",
        "country=DE 80 of 800 rows, 10 %",
        "p-1 row 3 cat 0.9 dog 0.8",
    ):
        assert text in told, text
    assert 'href="/console/predictions?id=p-1"' in page


async def test_what_could_not_be_compared_is_not_shown_as_no_difference(console: ConsoleUnderTest):
    await console.sign_in()
    report = monitor_pb2.GetShadowReportResponse(comparisons=[comparison(unlike=2000)])
    console.api.answers[path_of("GetShadowReport")] = lambda _: report
    page = (await console.browser.get("/console/models/digits/shadow")).text
    assert "2,000 of another form" in page
    for absent in ("Other labels", "Difference, p50", "Rank correlation", "Time, p50", "By slice", "Furthest apart"):
        assert absent not in page, absent


async def test_a_model_without_a_shadow_says_how_to_get_one_and_a_model_that_is_not_there_is_not_found(
    console: ConsoleUnderTest,
):
    await console.sign_in()
    console.api.refusal[path_of("GetShadowReport")] = (grpc.StatusCode.NOT_FOUND, "none")
    without = await console.browser.get("/console/models/digits/shadow")
    assert without.status_code == 200
    assert "headrace routes shadow digits v2 --share 0.1" in without.text
    console.api.refusal[path_of("GetModel")] = (grpc.StatusCode.NOT_FOUND, "no such model")
    assert (await console.browser.get("/console/models/digits/shadow")).status_code == 404


async def test_a_page_that_does_not_exist_leads_a_signed_in_person_to_others(console: ConsoleUnderTest):
    assert "/console/rollouts" not in (await console.browser.get("/console/nothing")).text
    await console.sign_in()
    answer = await console.browser.get("/console/nothing")
    assert answer.status_code == 404
    assert 'href="/console/rollouts"' in answer.text


async def test_a_model_is_rolled_back_only_to_a_version_that_was_in_production(console: ConsoleUnderTest):
    await console.sign_in()
    for versions, form in (([], False), (["v1"], True)):
        model = registry_pb2.Model(name="models/digits", production_version="v2", rollback_versions=versions)
        console.api.answers[path_of("GetModel")] = lambda _, model=model: registry_pb2.GetModelResponse(model=model)
        page = (await console.browser.get("/console/models/digits")).text
        assert ("/console/models/digits/roll-back" in page) is form
        assert ("There is nothing to go back to" in page) is not form


async def test_the_page_about_data_names_a_command_that_works_before_the_first_evaluation(console: ConsoleUnderTest):
    await console.sign_in()
    for drifts, command in (([], "headrace monitor performance digits"), ([{}], "headrace monitor drift digits v1")):
        answer = monitor_pb2.ListDriftResponse(drifts=drifts)
        console.api.answers[path_of("ListDrift")] = lambda _, answer=answer: answer
        page = (await console.browser.get("/console/models/digits/data?version=v1")).text
        assert f"<code>{command}</code></footer>" in page


async def test_callers_are_those_of_the_model_that_the_address_names(console: ConsoleUnderTest):
    await console.sign_in()
    (of_all,) = await asked(console, "/console/usage", "GetUsage")
    (of_one,) = await asked(console, "/console/usage?model=digits&hours=1", "GetUsage")
    assert (of_all.model, of_one.model) == ("", "models/digits")
    assert of_one.range.end_time.ToDatetime() - of_one.range.start_time.ToDatetime() == timedelta(hours=1)


async def test_versions_that_the_address_names_are_side_by_side(console: ConsoleUnderTest):
    await console.sign_in()
    versions = [registry_pb2.ModelVersion(name=f"models/digits/versions/v{at}") for at in (1, 2, 3)]
    for at, version in enumerate(versions):
        version.metrics.add(name="accuracy", value=0.9 + at / 100)
    answer = registry_pb2.ListModelVersionsResponse(versions=versions)
    console.api.answers[path_of("ListModelVersions")] = lambda _: answer
    page = (await console.browser.get("/console/models/digits/comparison?version=v1&version=v3")).text
    assert re.findall(r'<td class="long">(0[.]9\d?)</td>', page) == ["0.9", "0.92"]


async def test_predictions_of_a_version_are_looked_for_in_the_time_that_the_address_names(console: ConsoleUnderTest):
    await console.sign_in()
    page = "/console/predictions?model=digits&version=v1&start=2031-02-03T12:00&end=2031-02-03T13:30"
    (query,) = await asked(console, page, "QueryPredictions")
    assert "model = 'digits' AND version = 'v1'" in query.sql
    assert query.range.start_time.ToDatetime() == datetime(2031, 2, 3, 12)  # noqa: DTZ001
    assert query.range.end_time.ToDatetime() == datetime(2031, 2, 3, 13, 30)  # noqa: DTZ001
    assert await asked(console, "/console/predictions", "QueryPredictions") == []


async def test_running_experiments_of_a_model_are_listed_with_what_their_data_say_now(console: ConsoleUnderTest):
    await console.sign_in()
    running = experiment_pb2.Experiment.STATE_RUNNING
    found = [experiment_pb2.Experiment(name=f"models/digits/experiments/e{at}", state=running) for at in range(6)]
    found.append(experiment_pb2.Experiment(name="models/digits/experiments/over", end_reason="greedy harms"))
    answer = experiment_pb2.ListExperimentsResponse(experiments=found)
    said = experiment_pb2.AnalyseExperimentResponse(variant="personal", summary="clicked more")
    console.api.answers[path_of("ListExperiments")] = lambda _: answer
    console.api.answers[path_of("AnalyseExperiment")] = lambda _: said
    assert len(await asked(console, "/console/models/digits/experiments", "AnalyseExperiment")) == 4
    page = (await console.browser.get("/console/models/digits/experiments")).text
    assert page.count("clicked more") == 4
    assert "greedy harms" in page
    assert await asked(console, "/console/experiments", "AnalyseExperiment") == []
