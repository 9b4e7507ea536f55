"""`headrace monitor` over a real connection: what is sent, and what people and scripts read."""

import csv
import io
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.monitor.v1 import alert_pb2, monitor_pb2, outcome_pb2
from headrace_client import AsyncClient, Client, InvalidArgument
from headrace_observe import Outcome
from headrace_servicekit import errors

from tests.kit.clients.fake_cli import Run, command_line, document
from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_monitor import HOSTILE, FakeMonitor

ID = "0190a1b2-0000-7000-8000-00000000000"


def test_following_alerts_of_nobody_fails_and_says_so(run: Run) -> None:
    for words in ((), ("--for", "3s", "--json")):
        result = run("alerts", "watch", "--address", "127.0.0.1:1", *words)
        assert result.exit_code == 5
    assert document(result)["error"]["code"] == "UNAVAILABLE"


@pytest.fixture
def monitor() -> FakeMonitor:
    return FakeMonitor()


@pytest.fixture
def door(monitor: FakeMonitor) -> Iterator[FrontDoor]:
    with FrontDoor.serving(monitor) as serving:
        yield serving


@pytest.fixture
def run(door: FrontDoor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `headrace monitor` with the words given, in a folder of its own."""
    (tmp_path / "labels.csv").write_text(f"prediction_id,label\n{ID}1,3\n")
    (tmp_path / "key").write_text("s3cret\n")
    return command_line(door, monkeypatch, tmp_path, "monitor")


EVERY_COMMAND = [
    ("traffic", "digits"),
    ("traffic", "digits", "--over-time"),
    ("drift", "digits", "v1"),
    ("drift", "digits", "v1", "--all", "--since", "2h", "--until", "1h"),
    ("drifts", "digits", "v1"),
    ("reference", "show", "digits", "v1"),
    ("reference", "freeze", "digits", "v1", "--seasonal"),
    ("performance", "digits", "--slice-by", "country"),
    ("query", "SELECT 1"),
    ("shadow", "digits"),
    ("shadow", "digits", "v3", "--since", "2h"),
    ("outcomes", "record", "digits", "labels.csv"),
    ("outcomes", "record", "digits", "--prediction-id", f"{ID}1", "--label", "3"),
    ("alerts", "list"),
    ("alerts", "watch", "--for", "200ms"),
    ("alerts", "resolve", "a-1"),
    ("alerts", "rules"),
    ("alerts", "put-rule", "p99", "--signal", "latency_p99_us", "--above", "20000", "--hold", "5m", "--freeze"),
    ("alerts", "delete-rule", "p99"),
    ("alerts", "silence", "digits", "--for", "2h"),
    ("alerts", "silences"),
    ("alerts", "unsilence", "s-1"),
    ("alerts", "webhooks"),
    ("alerts", "put-webhook", "team", "https://example.com/x", "--secret-file", "key"),
    ("alerts", "delete-webhook", "team"),
]


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_every_command_answers_people_in_words_and_scripts_in_one_document(run: Run, words: tuple[str, ...]) -> None:
    people, scripts = run(*words), run(*words, "--json")
    assert (people.exit_code, scripts.exit_code) == (0, 0), people.output + scripts.output
    assert people.stdout.strip()
    assert "\x1b" not in people.output, "no terminal obeys what somebody called a column"
    assert "\u202e" not in people.output
    assert isinstance(document(scripts), dict)


def test_hostile_names_are_shown_as_they_are(run: Run) -> None:
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    for words in (("drift", "digits", "v1"), ("query", "SELECT 1"), ("alerts", "list"), ("traffic", "digits")):
        assert shown in run(*words).output
    assert shown in run("shadow", "digits").output


def test_rows_of_a_query_come_as_a_table_as_csv_as_json_and_as_a_file(
    run: Run, monitor: FakeMonitor, tmp_path: Path
) -> None:
    monitor.rows = pa.table(
        {
            "n": [1, None, 3],
            "x": [0.1, math.nan, -math.inf],
            "of": [["a"], [], []],
            "t": pa.array([datetime(2031, 2, 3, tzinfo=UTC)] * 3),
        }
    )
    monitor.truncated = True
    text = run("query", "SELECT 1", "--csv").stdout
    assert text.splitlines() == [
        "n,x,of,t", '1,0.1,"[""a""]",2031-02-03T00:00:00+00:00', ",NaN,[],2031-02-03T00:00:00+00:00",
        "3,-inf,[],2031-02-03T00:00:00+00:00",
    ]  # fmt: skip
    assert [str(float(row["x"])) for row in csv.DictReader(io.StringIO(text))] == ["0.1", "nan", "-inf"]
    told = json.loads(run("query", "SELECT 1", "--json").stdout)
    assert told["rows"][1] == {"n": None, "x": None, "of": [], "t": "2031-02-03T00:00:00+00:00"}
    assert told["truncated"] is True
    written = run("query", "SELECT 1", "--parquet", "rows.parquet", "--since", "1h", "--max-rows", "5")
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 3
    assert "there are more rows" in written.stderr
    assert "read 2 files" in written.stderr
    asked = monitor.told(monitor_pb2.QueryPredictionsRequest)[-1]
    assert asked.max_rows == 5
    assert datetime.now(UTC) - asked.range.start_time.ToDatetime(UTC) < timedelta(hours=1, minutes=5)
    assert not asked.range.HasField("end_time")
    assert run("query", "SELECT 1", "--csv", "--json").exit_code == 2


def test_a_query_that_the_engine_refuses_is_told_in_its_words_with_a_remedy(run: Run, door: FrontDoor) -> None:
    door.fail(
        "QueryPredictions", errors.InvalidArgument('Parser Error: at or near "selekt"\nLINE 1', reason="QUERY_INVALID")
    )
    failed = run("query", "selekt")
    assert failed.exit_code == 2
    assert 'at or near "selekt"\nLINE 1' in failed.stderr
    assert "DESCRIBE predictions" in failed.stderr


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_outcomes_of_a_file_are_sent_and_rows_that_cannot_be_are_listed_by_line(
    run: Run, monitor: FakeMonitor, tmp_path: Path, ending: str
) -> None:
    rows = [
        {"prediction_id": f"{ID}1", "label": 3, "observe_time": "2031-02-03T04:05:06+01:00"},
        {"prediction_id": f"{ID}2", "label": "seven"},
        {"prediction_id": "", "label": 4},
        {"prediction_id": f"{ID}4", "label": None},
        {"prediction_id": f"{ID}5", "label": 99},
        {"prediction_id": f"{ID}6", "label": 5, "observe_time": "yesterday"},
    ]
    file = tmp_path / f"labels.{ending}"
    first = 1
    if ending == "csv":
        cells = [[str(row.get(name) or "") for name in ("prediction_id", "label", "observe_time")] for row in rows]
        file.write_text("\n".join(map(",".join, [["prediction_id", "label", "observe_time"], *cells])))
        first = 2
    elif ending == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(
            pa.Table.from_pylist([{**row, "label": row["label"] and str(row["label"])} for row in rows]), file
        )
    monitor.reject = 99.0
    told = run("outcomes", "record", "digits", file.name, "--json")
    assert told.exit_code == 2
    document = json.loads(told.stdout)
    assert document["counts"] == {"recorded": 2, "repeated": 0, "outdated": 0, "waiting": 0, "rejected": 4}
    assert [one["line"] - first for one in document["rejected"]] == [2, 3, 4, 5]
    assert [one["field"] for one in document["rejected"]] == ["prediction_id", "label", "prediction_id", "observe_time"]
    assert f"line {first + 4} prediction_id" in run("outcomes", "record", "digits", file.name).stdout

    (sent, again) = monitor.told(outcome_pb2.RecordOutcomesRequest)
    assert sent == again, "sending a file again says the same"
    three, seven, _ = sent.outcomes
    assert (three.number, three.kind) == (3.0, "label")
    assert three.observe_time.ToDatetime(UTC) == datetime(2031, 2, 3, 3, 5, 6, tzinfo=UTC)
    assert seven.text == "seven"
    assert seven.observe_time.ToDatetime(UTC) == datetime.fromtimestamp(file.stat().st_mtime, UTC)


def test_a_large_file_goes_in_requests_of_a_bounded_size_and_lines_stay_right(
    run: Run, monitor: FakeMonitor, tmp_path: Path
) -> None:
    lines = [json.dumps({"entity_id": f"e{at}", "value": "bad" if at == 4321 else at}) for at in range(5000)]
    (tmp_path / "many.jsonl").write_text("\n".join(lines))
    monitor.reject = "bad"
    told = json.loads(run("outcomes", "record", "digits", "many.jsonl", "--entity-window", "7d", "--json").stdout)
    requests = monitor.told(outcome_pb2.RecordOutcomesRequest)
    assert [len(request.outcomes) for request in requests] == [2000, 2000, 1000]
    assert {request.entity_window.ToTimedelta() for request in requests} == {timedelta(days=7)}
    assert (told["counts"]["recorded"], told["rejected"][0]["line"]) == (4999, 4322)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.txt", b"", "ends neither in .csv"),
        ("x.csv", b"id,label\n1,2\n", "'prediction_id' nor 'entity_id'"),
        ("x.csv", b"prediction_id,label\n\xff,1\n", "not UTF-8"),
        ("x.parquet", b"PAR1", "is not a table in Parquet"),
    ],
)
def test_a_file_that_is_none_is_refused(run: Run, tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    told = run("outcomes", "record", "digits", name)
    assert told.exit_code == 2
    assert words in told.stderr


def test_a_rule_a_silence_and_a_webhook_are_sent_as_they_were_typed(run: Run, monitor: FakeMonitor) -> None:
    run(
        "alerts",
        "put-rule",
        "accuracy",
        "--model",
        "digits",
        "--signal",
        "accuracy",
        "--below",
        "0.9",
        "--window",
        "1h",
    )
    run("alerts", "put-rule", "drift", "--signal", "drift", "--at-least", "medium", "--retrain")
    accuracy, drift = (request.rule for request in monitor.told(alert_pb2.PutAlertRuleRequest))
    assert (accuracy.name, accuracy.model, accuracy.below) == ("alertRules/accuracy", "digits", 0.9)
    assert not accuracy.HasField("above")
    assert accuracy.window.ToTimedelta() == timedelta(hours=1)
    assert (drift.model, drift.at_least, drift.retrain) == ("*", monitor_pb2.SEVERITY_MEDIUM, True)
    run("alerts", "put-webhook", "team", "https://example.com/x", "--format", "slack", "--secret-file", "key")
    (webhook,) = (request.webhook for request in monitor.told(alert_pb2.PutWebhookRequest))
    assert (webhook.name, webhook.secret) == ("webhooks/team", "s3cret")
    run("alerts", "silence", "digits", "--for", "2h", "--rule", "p99")
    (silence,) = (request.silence for request in monitor.told(alert_pb2.SilenceAlertsRequest))
    assert silence.rule == "p99"


async def test_programs_record_outcomes_beside_their_predictions(door: FrontDoor, monitor: FakeMonitor) -> None:
    async with AsyncClient(door.address, token="t") as client:
        told = await client.outcomes.record(
            "digits", [Outcome(7, f"{ID}1"), Outcome("yes", entity_id="ada", kind="sold")]
        )
        assert (told.counts["recorded"], told.rejected) == (2, ())
        answer = await client.monitor.query("SELECT 1")
        assert answer.table().num_rows == 2
    monitor.reject = 8.0
    with Client(door.address, token="t") as client, pytest.raises(InvalidArgument, match="prediction_id"):
        client.outcomes.record_one("digits", 8, prediction_id=f"{ID}1")


def test_a_query_whose_stream_breaks_begins_anew(door: FrontDoor, monitor: FakeMonitor) -> None:
    door.fail("QueryPredictions", errors.Unavailable("not now"))
    with Client(door.address, token="t") as client:
        assert client.monitor.query("SELECT 1").table().num_rows == 2
    assert door.methods() == ["QueryPredictions", "QueryPredictions"]
