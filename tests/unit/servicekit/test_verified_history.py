"""Heads of a history, kept elsewhere in a file."""

import pytest
from headrace_servicekit.commands import CommandError
from headrace_servicekit.postgres.history import BrokenLine, Head, History, Verified
from headrace_servicekit.postgres.kept_heads import FolderHeads

MODELS = History("model", ("epoch", "ordinal"), "nowhere.sql", "models")
HEADS = {"fraud": Head((7, 1), "ab12"), "digits": Head((3, 0), "00")}


def test_heads_that_were_written_are_read_as_they_were(tmp_path):
    MODELS.write_heads(tmp_path / "heads.json", HEADS)
    assert MODELS.read_heads(tmp_path / "heads.json") == HEADS


def test_heads_from_when_only_models_had_chains_are_read(tmp_path):
    (tmp_path / "old.json").write_text('{"format": 1, "heads": {"fraud": {"epoch": 7, "ordinal": 1, "chain": "ab12"}}}')
    assert MODELS.read_heads(tmp_path / "old.json") == {"fraud": Head((7, 1), "ab12")}


def test_heads_of_another_history_are_refused(tmp_path):
    History("rollout", ("epoch", "ordinal"), "nowhere.sql", "rollouts").write_heads(tmp_path / "heads.json", HEADS)
    with pytest.raises(CommandError, match="it is about rollouts"):
        MODELS.read_heads(tmp_path / "heads.json")


def test_what_is_printed_names_each_line_by_its_columns():
    found = Verified(9, HEADS, [BrokenLine("digits", (2, 0), "CHANGED")])
    broken = [{"model": "digits", "epoch": 2, "ordinal": 0, "reason": "CHANGED"}]
    assert MODELS.document(found) == {"models": 2, "lines": 9, "broken": broken}


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"format": 2, "heads": {}}',
        '{"format": 1, "heads": {"a": 1}}',
        '{"format": 1, "heads": {"a": {"number": 1, "chain": ""}}}',
        "\0",
        '{"format": 1, "heads": {"a": {"epoch": 1e400, "ordinal": 0, "chain": ""}}}',
    ],
)
def test_a_file_that_no_verification_wrote_is_refused_by_its_name(tmp_path, content):
    (tmp_path / "odd.json").write_text(content)
    with pytest.raises(CommandError, match=r"odd\.json"):
        MODELS.read_heads(tmp_path / "odd.json")


async def test_files_of_heads_are_written_once_and_the_newest_counts(tmp_path):
    kept = FolderHeads(tmp_path)
    assert await kept.newest() is None
    assert await kept.keep(1, b"one")
    assert not await kept.keep(1, b"other")
    (tmp_path / "notes.txt").write_text("none of ours")
    assert await kept.newest() == (1, b"one")
    assert await kept.keep(10, b"ten")
    assert await kept.newest() == (10, b"ten")
    with pytest.raises(CommandError, match="nowhere"):
        await FolderHeads(tmp_path / "nowhere").newest()
