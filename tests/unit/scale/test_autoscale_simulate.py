"""`headrace autoscale simulate`: traces and policies that people bring, and what it prints."""

import json
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from headrace_client.cli import main
from headrace_client.errors import InvalidArgument
from headrace_scale.cli.autoscale.trace_files import log_query, of_log, read_trace
from headrace_scaling import documents
from headrace_scaling.decisions import presets
from headrace_scaling.decisions.policies import PoolPolicy


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["autoscale", "simulate", *words])


def test_policies_stand_side_by_side_without_any_server(tmp_path: Path):
    policy = tmp_path / "mine.json"
    policy.write_text(documents.to_json(presets.headrace(400.0)))
    picture = tmp_path / "step.svg"
    words = ("step", "--seconds", "600", "--policy", str(policy), "--policy", "fixed-4", "--policy", "threshold")
    shown = run(*words, "--picture", str(picture))
    assert shown.exit_code == 0, shown.output
    assert [line.split()[0] for line in shown.stdout.splitlines()[2:5]] == ["mine", "fixed-4", "threshold"]
    assert picture.read_text().startswith("<svg")
    told = json.loads(run(*words, "--json").stdout)
    assert [one["name"] for one in told["outcomes"]] == ["mine", "fixed-4", "threshold"]
    assert told["outcomes"][0]["violations"] < told["outcomes"][1]["violations"]


def test_a_file_of_ones_own_is_replayed(tmp_path: Path):
    csv, parquet = tmp_path / "trace.csv", tmp_path / "trace.parquet"
    csv.write_text("time,requests\n" + "".join(f"{1_789_948_800 + 10 * i},{4000}\n" for i in range(60)))
    times = pyarrow.array([1_789_948_800_000_000 + 10_000_000 * i for i in range(60)], pyarrow.timestamp("us", "UTC"))
    pyarrow.parquet.write_table(pyarrow.table({"timestamp": times, "count": [4000] * 60}), parquet)
    assert read_trace(csv).requests.tolist() == read_trace(parquet).requests.tolist() == [400.0] * 600
    assert read_trace(csv).start == read_trace(parquet).start
    for file in (csv, parquet):
        assert run(str(file), "--policy", "headrace").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give a TRACE"),
        (("step", "--log", "digits"), "give a TRACE"),
        (("nothing",), "neither a shape"),
        (("missing.csv",), "cannot read missing.csv"),
        (("step", "--policy", "hpa"), "there is no policy 'hpa'"),
        (("step", "--policy", "missing.json"), "cannot read missing.json"),
        (("step", "--curve", "8"), "is not ROWS=TIME"),
        (("step", "--curve", "8=1ms,8=2ms"), "each once"),
        (("step", "--slo", "2s"), "slo_s must be positive and not above deadline_s"),
        (("step", "--low", "10", "--high", "5"), "must not be below --low"),
        (("step", "--low", "0", "--high", "0.5", "--seconds", "60", "--skip", "1h"), "shorter than the trace"),
        (("step", "--high", "inf"), "--high: requests/s must be between 0 and"),
        (("step", "--low", "nan"), "--high: requests/s must be between 0 and"),
        (("step", "--capacity", "inf"), "--capacity: requests/s must be a positive number"),
        (("step", "--capacity", "nan"), "--capacity: requests/s must be a positive number"),
        (("step", "--mtbf", "0s"), "--mtbf: hours_between_failures must be positive"),
        (("step", "--seconds", "60", "--skip", "1h"), "shorter than the trace"),
        (("step", "--seconds", "60", "--picture", "no/such/folder.svg"), "cannot write"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_the_remedy(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    refused = run(*words)
    assert refused.exit_code != 0
    assert message in " ".join(refused.output.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"targets": []}', "must name at least one target"),
        ('{"targets": [{"metric": "requests_per_s", "value": 5}], "maximum": 3}', "has no field 'maximum'"),
        ("[", "not JSON"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused_by_field(tmp_path: Path, text: str, message: str):
    policy = tmp_path / "mine.json"
    policy.write_text(text)
    assert message in " ".join(run("step", "--policy", str(policy)).output.split())


def test_the_log_is_asked_for_online_predictions_by_second():
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE predictions AS SELECT * FROM (VALUES"
            " (TIMESTAMPTZ '2026-09-21 00:00:00.2Z', 'digits', 'online', 0, 0.5),"
            " (TIMESTAMPTZ '2026-09-21 00:00:00.9Z', 'fraud', 'online', 0, 1.0),"
            " (TIMESTAMPTZ '2026-09-21 00:00:00.9Z', 'fraud', 'online', 1, 1.0),"
            " (TIMESTAMPTZ '2026-09-21 00:00:01.1Z', 'digits', 'cache', 0, 1.0),"
            " (TIMESTAMPTZ '2026-09-21 00:00:03.0Z', 'digits', 'online', 0, 0.1),"
            " (TIMESTAMPTZ '2026-09-21 00:00:03.0Z', 'other', 'online', 0, 0.1)"
            ") AS log(answer_time, model, served_from, row, probability)"
        )
        table = connection.sql(log_query(("digits", "fraud"))).to_arrow_table()
    trace = of_log("both", table)
    assert trace.requests.tolist() == [3.0, 0.0, 0.0, 10.0]
    assert trace.start == 1_789_948_800.0


def test_a_name_that_no_model_has_is_never_put_into_sql():
    with pytest.raises(InvalidArgument, match="no name of a model"):
        log_query(("digits' OR 'a' = 'a",))


def test_advice_names_a_policy_that_can_be_simulated(tmp_path: Path):
    course, policy = tmp_path / "pool.csv", tmp_path / "gpu.json"
    course.write_text("\n".join(["300"] * 7200 + ["1500"] * 3600 + ["300"] * 3600))
    advised = CliRunner().invoke(main, ["autoscale", "advise", str(course), "--replicas", "6", "--write", str(policy)])
    assert advised.exit_code == 0, advised.output
    said = " ".join(advised.stdout.split())
    assert "6 replicas had 12 replica-hours" in said
    assert "would have been enough without scaling" in said
    assert run(str(course), "--policy", str(policy)).exit_code == 0
    told = json.loads(
        CliRunner().invoke(main, ["autoscale", "advise", str(course), "--replicas", "6", "--json"]).stdout
    )
    assert told["idle"]["idle_share"] > 0.5
    assert documents.to_json(documents.from_plain(PoolPolicy, told["policy"])) == policy.read_text().strip()
