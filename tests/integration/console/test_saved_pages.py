"""Pages as files: by their link and by a program with a token, read without the console."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from headrace.monitor.v1 import alert_pb2, monitor_pb2
from headrace_client import AsyncClient
from headrace_client.cli import main
from headrace_client.errors import InvalidArgument, PermissionDenied, Unauthenticated, Unavailable
from headrace_servicekit import errors

from tests.integration.console.test_abuse import BREAKING, Markup
from tests.kit.clients.methods import path_of
from tests.kit.console.service import ConsoleUnderTest

NOW = datetime.now(UTC).replace(microsecond=0)


async def saved(client: AsyncClient) -> dict[str, str]:
    """Return every page that the SDK saves."""
    return {
        "report": await client.monitor.render_report("digits"),
        "shadow": await client.monitor.render_shadow_report("digits", "v2"),
        "experiment": await client.experiments.render_report("digits", "e1"),
    }


async def test_a_saved_page_needs_no_other_file_and_no_script_whatever_names_are_in_it(console: ConsoleUnderTest):
    console.api.text = "".join(BREAKING)
    async with AsyncClient(console.url, token="t") as client:
        for name, page in (await saved(client)).items():
            elements = Markup(page).found
            tags = {tag for tag, _ in elements}
            assert {"style", "h1"} <= tags, name
            assert not tags & {"zz9", "script", "form", "button", "iframe", "img", "object"}, name
            for tag, attributes in elements:
                assert not any(one.startswith("on") or one in ("style", "src", "action") for one in attributes), tag
                target = attributes.get("href") or ""
                assert target.startswith(("data:,", f"{console.url}/console/", "#")) or not target, (name, target)
            assert "url(" not in page.split("</style>")[0], name
            assert "default-src 'none'" in page
            assert "prefers-color-scheme: dark" in page


async def test_a_person_saves_the_page_that_is_shown(console: ConsoleUnderTest):
    await console.sign_in()
    for page in ("report?hours=168", "shadow?version=v2", "experiments/e1"):
        shown = await console.browser.get(f"/console/models/digits/{page}")
        assert "saved" in shown.text, page
        link = f"/console/models/digits/{page}{'&' if '?' in page else '?'}saved=yes"
        answer = await console.browser.get(link)
        assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''"), page
        assert "<style>" in answer.text
        assert "Sign out" not in answer.text


async def test_commands_write_the_page_of_the_time_that_is_asked_for(
    console: ConsoleUnderTest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HEADRACE_ADDRESS", console.url)
    monkeypatch.setenv("HEADRACE_TOKEN", "t")
    file = tmp_path / "page.html"
    for words in (("monitor", "report", "digits", "--since", "7d"), ("experiments", "report", "digits", "e1")):
        file.unlink(missing_ok=True)
        result = await _in_a_thread(*words, "--html", str(file))
        assert (result.exit_code, "open it in a browser" in result.output) == (0, True), result.output
        assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    (request,) = [message for path, message, _ in console.api.asked if path == path_of("GetTraffic")]
    span: Any = request
    start, end = (time.ToDatetime(UTC) for time in (span.range.start_time, span.range.end_time))
    assert abs((end - start) - timedelta(days=7)) < timedelta(minutes=1)


async def test_a_program_gets_what_the_api_refuses_and_a_line_for_what_is_away(console: ConsoleUnderTest):
    async with AsyncClient(console.url, token="t") as client:
        for refusal, kind in (
            (errors.PermissionDenied("no scope", reason="SCOPE_MISSING"), PermissionDenied),
            (errors.InvalidArgument("range ends first", reason="FIELD_INVALID"), InvalidArgument),
            (errors.Unavailable("no monitor", reason="SERVICE_UNAVAILABLE"), Unavailable),
        ):
            console.api.refusal[path_of("GetTraffic")] = refusal
            with pytest.raises(kind) as refused:
                await client.monitor.render_report("digits")
            assert refused.value.reason == refusal.reason
        console.api.refusal[path_of("GetTraffic")] = errors.Unavailable("the log is away", reason="LOG_UNAVAILABLE")
        assert "The monitor does not answer: the log is away." in await client.monitor.render_report("digits")
    assert {of.get("authorization") for _, _, of in console.api.asked} == {"Bearer t"}
    async with AsyncClient(console.url) as nameless:
        with pytest.raises(Unauthenticated):
            await nameless.monitor.render_report("digits")


async def test_a_report_has_alerts_traffic_drift_and_performance_of_its_time(console: ConsoleUnderTest):
    start = NOW - timedelta(hours=3)
    alert = alert_pb2.Alert(rule="alertRules/p99", version="v2", summary="p99 is high", severity=3)  # type: ignore[arg-type]
    alert.open_time.FromDatetime(start)
    old = alert_pb2.Alert(rule="alertRules/old", summary="long over")
    old.open_time.FromDatetime(NOW - timedelta(days=9))
    old.resolve_time.FromDatetime(NOW - timedelta(days=8))
    traffic = monitor_pb2.GetTrafficResponse(
        traffic=[
            {"version": "v2", "served_from": 1, "count": 70, "p99_us": 4000},
            {"version": "v1", "code": 14, "count": 2},
            {"version": "v1", "code": 3, "count": 5},
        ]
    )
    series = monitor_pb2.GetTrafficTimeSeriesResponse()
    for at in range(3):
        part = series.parts.add(requests=7)
        part.range.start_time.FromDatetime(start + timedelta(hours=at))
        part.range.end_time.FromDatetime(start + timedelta(hours=at + 1))
    drift = monitor_pb2.Drift(
        severity=4,  # type: ignore[arg-type]
        reports=[
            {"column": "pixel_7", "test": "psi", "alarm": True, "severity": 4, "effect": 0.5, "tolerance": 0.1},
            {"column": "pixel_8", "test": "psi", "inconclusive": "too few rows"},
        ],
    )
    drift.range.start_time.FromDatetime(start)
    drift.range.end_time.FromDatetime(NOW - timedelta(minutes=1))
    answers: dict[str, Any] = {
        "ListAlerts": alert_pb2.ListAlertsResponse(alerts=[alert, old]),
        "GetTraffic": traffic,
        "GetTrafficTimeSeries": series,
        "ListDrift": monitor_pb2.ListDriftResponse(drifts=[drift]),
        "GetPerformance": monitor_pb2.GetPerformanceResponse(),
    }
    for method, answer in answers.items():
        console.api.answers[path_of(method)] = lambda _, answer=answer: answer
    async with AsyncClient(console.url, token="t") as client:
        page = await client.monitor.render_report("digits")
    told = " ".join(re.sub("<[^>]+>", " ", page.split("</style>")[1]).split())
    for text in (
        "p99 is high", "refused INVALID_ARGUMENT 5", "failed UNAVAILABLE 2", "Drift of v2", "pixel_7",
        "1 of 1 columns changed", "Not judged: 1", "too few rows", "No outcomes yet", "Requests a minute",
    ):  # fmt: skip
        assert text in told, text
    assert "long over" not in told


async def _in_a_thread(*words: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, main, words)
