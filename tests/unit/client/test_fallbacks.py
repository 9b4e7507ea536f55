"""Fallbacks as people write them: read, shown as they were written, and sent."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from headrace_client.durations import duration_text, parse_duration
from headrace_client.errors import InvalidArgument
from headrace_client.fallbacks import Backup, Constant, EntityTable, FallbackStep, Precomputed, Stale, named
from headrace_client.operations.routes import Alias, Production, Version
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each


@each(
    "text,step",
    [
        ("backup:v1", FallbackStep(Backup(Version("v1")))),
        ("backup:v1@cpu", FallbackStep(Backup(Version("v1"), "cpu"))),
        ("backup@cpu", FallbackStep(Backup(None, "cpu"))),
        ("backup:production@cpu", FallbackStep(Backup(Production(), "cpu"))),
        ("backup:@champion@cpu", FallbackStep(Backup(Alias("champion"), "cpu"))),
        ("precomputed", FallbackStep(Precomputed())),
        ("stale:10m", FallbackStep(Stale(timedelta(minutes=10)))),
        ("old=backup:v1@cpu,left=20ms", FallbackStep(Backup(Version("v1"), "cpu"), "old", timedelta(milliseconds=20))),
        ('constant:{"y":[0.5]}', FallbackStep(Constant({"y": [0.5]}))),
        (
            'last=constant:{"y":[0.5,1.0],"z":["a"]},left=5ms',
            FallbackStep(Constant({"y": [0.5, 1.0], "z": ["a"]}), "last", timedelta(milliseconds=5)),
        ),
    ],
)
def test_what_is_written_is_read_shown_alike_and_sent(text: str, step: FallbackStep):
    assert FallbackStep.parse(text) == step
    assert str(step) == text
    assert FallbackStep.from_proto(step.to_proto()) == step


def test_files_hold_a_row_or_rows_by_entity(tmp_path: Path):
    constant, table = tmp_path / "row.json", tmp_path / "rows.json"
    constant.write_text('{"scores": [[1, 2], [3, 4]], "label": "a", "sure": true}')
    table.write_text('{"ada": {"scores": [0.9]}, "bob": {"scores": [0.1]}}')
    sent = FallbackStep.parse(f"constant:{constant},left=1s").to_proto()
    assert list(sent.constant.outputs["scores"].numbers) == [1, 2, 3, 4]
    assert list(sent.constant.outputs["label"].strings) == ["a"]
    assert list(sent.constant.outputs["sure"].numbers) == [1]
    step = FallbackStep.parse(f"popular=table:{table}")
    assert step.source == EntityTable({"ada": {"scores": [0.9]}, "bob": {"scores": [0.1]}})
    assert str(step) == "popular=table:(2 entities)"
    assert list(step.to_proto().entity_table.rows["ada"].outputs["scores"].numbers) == [0.9]


def test_arrays_are_sent_row_major():
    sent = FallbackStep(Constant({"y": np.arange(4.0).reshape(2, 2)}), "last").to_proto()
    assert list(sent.constant.outputs["y"].numbers) == [0, 1, 2, 3]


@each(
    "text,word",
    [
        ("", "kind"),
        ("backup", "version"),
        ("backup:", "version"),
        ("stale", "stale:10m"),
        ("stale:soon", "stale:10m"),
        ("precomputed:x", "kinds"),
        ("magic:x", "kinds"),
        ("constant", "FILE.json"),
        ("table:/nowhere.json", "No such file"),
        ("constant:{", "JSON"),
        ("precomputed,left=soon", "20ms"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, word: str):
    with pytest.raises(InvalidArgument) as caught:
        FallbackStep.parse(text)
    assert word in caught.value.violations[0].description


@pytest.mark.parametrize("row", [{"y": [1, "a"]}, {"y": None}, {"y": {"a": 1}}, 7])
def test_values_that_are_no_row_are_refused(row):
    with pytest.raises(InvalidArgument):
        FallbackStep(Constant(row), "last").to_proto()


def test_steps_without_a_name_get_one_that_says_what_they_are():
    steps = [FallbackStep.parse(text) for text in ("backup:v1@cpu", "backup:v1@cpu", "stale:1m", "stale=precomputed")]
    assert [step.name for step in named(steps)] == ["backup-v1-cpu", "backup-v1-cpu-2", "stale-2", "stale"]


@given(st.integers(0, 10**10))
def test_a_duration_is_read_back_as_it_is_shown(milliseconds: int):
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize("text", ["", "5", "ms", "-1s", "1 s", "9" * 400 + "d", "1w"])
def test_what_is_no_duration_is_none(text: str):
    assert parse_duration(text) is None
