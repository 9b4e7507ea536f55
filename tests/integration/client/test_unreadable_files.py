"""Whatever lies where the command line reads a file, it says in a sentence which file and what to do: no traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from headrace_client.cli.answer_files import open_answers
from headrace_client.errors import InvalidArgument
from headrace_stack import identity as stack_identity

from tests.kit.clients.fake_cli import Run

Broken = Callable[[Path], object]

BROKEN: dict[str, Broken] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "blank": lambda path: path.write_bytes(b" \n"),
    "no text": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "nested deeply": lambda path: path.write_bytes(b"[" * 100_000),
    "a list": lambda path: path.write_bytes(b"[]"),
    "a number": lambda path: path.write_bytes(b"7"),
    "cut off": lambda path: path.write_bytes(b'{"keys": [{"ki'),
    "of something else": lambda path: path.write_bytes(b'{"other": null}'),
    "nothing in it": lambda path: path.write_bytes(b'{"keys": null, "subjects": [1], "inputs": 7}'),
    "a folder": lambda path: path.mkdir(),
    "a loop of links": lambda path: path.symlink_to(path),
    "half a table": lambda path: path.write_bytes(b"PAR1" + bytes(60) + b"PAR1"),
    "half an array": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': F"),
    "half an archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(40) + b"PK\x05\x06" + bytes(18)),
}

ISSUER = ("issuer.key.pem", "jwks.json", "deny.json")
READERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "private key": ("issuer.key.pem", ("token",)),
    "key set": ("jwks.json", ("token",)),
    "deny list, read": ("deny.json", ("token", "denied")),
    "deny list, written": ("deny.json", ("token", "deny", "mallory")),
    "token": ("token", ("models", "list", "--token-file", "token")),
    "authorities": ("ca.pem", ("models", "list", "--ca", "ca.pem")),
    "model": ("broken.onnx", ("models", "register", "digits", "v3", "broken.onnx")),
    "artifact": (
        "validation.json",
        ("models", "register", "digits", "v3", "model.onnx", "--artifact", "validation.json=validation.json"),
    ),
    "contract": ("contract.json", ("models", "register", "digits", "v3", "model.onnx", "--contract", "contract.json")),
    "rows": ("rows.json", ("predict", "digits", "--input", "rows.json")),
    "array": ("rows.npy", ("predict", "digits", "--input", "rows.npy")),
    "arrays": ("rows.npz", ("predict", "digits", "--input", "rows.npz")),
    "outcomes, csv": ("outcomes.csv", ("monitor", "outcomes", "record", "digits", "outcomes.csv")),
    "outcomes, json": ("outcomes.jsonl", ("monitor", "outcomes", "record", "digits", "outcomes.jsonl")),
    "outcomes, parquet": ("outcomes.parquet", ("monitor", "outcomes", "record", "digits", "outcomes.parquet")),
    "answers, parquet": ("answers.parquet", ("precompute", "publish", "digits", "answers.parquet")),
    "fallback table": ("table.json", ("routes", "fallback", "set", "digits", "table:table.json")),
    "webhook secret": (
        "secret",
        ("monitor", "alerts", "put-webhook", "ops", "https://ops.example", "--secret-file", "secret"),
    ),
}
"""Every file that a command reads, by the command."""

# What is no fault: `make up` makes what is missing, a list or a number is a token or a secret as far as anybody
# knows, and what a registry makes of a model's bytes is the registry's to say.
FINE = {
    ("key set", "missing"), ("deny list, read", "missing"), ("deny list, written", "missing"),
    ("token", "nested deeply"), ("token", "a list"), ("token", "a number"),
    # It was read, and the entity is named whose row is none.
    ("fallback table", "of something else"), ("fallback table", "nothing in it"),
    *(("webhook secret", kind) for kind in BROKEN if kind not in ("missing", "empty", "blank", "no text", "a folder")),
}  # fmt: skip
TAKEN_AS_IT_IS = {"model", "artifact"}
# Each line is a row of its own, which is told with its number: others are recorded.
BY_LINE = {"outcomes, json"}


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "identity"
    folder.mkdir()
    stack_identity.create(folder)
    monkeypatch.setenv("HEADRACE_IDENTITY_DIR", str(folder))
    return folder


def told(result: Result) -> str:
    return " ".join((result.stdout + result.stderr).split())


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(
    run: Run, tmp_path: Path, identity: Path, reader: str, broken: str
):
    name, words = READERS[reader]
    path = (identity if name in ISSUER else tmp_path) / name
    path.unlink(missing_ok=True)
    BROKEN[broken](path)
    result = run(*words)  # which fails the test for any exception that a command lets out
    assert "Traceback" not in told(result)
    if (reader, broken) in FINE:
        return
    if reader in TAKEN_AS_IT_IS and path.is_file() and path.stat().st_size:
        return
    if reader in BY_LINE and path.is_file():
        assert "line 1" in told(result) or "no rows" in told(result)
        return
    assert result.exit_code == 2, told(result)
    assert name in told(result)
    assert "remedy" in result.stderr or "Usage:" in result.stderr or "usage" in told(result).lower()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_one_may_not_read_is_named_with_what_to_do(run: Run, tmp_path: Path, identity: Path, reader: str):
    name, words = READERS[reader]
    path = (identity if name in ISSUER else tmp_path) / name
    path.touch()
    path.chmod(0)
    result = run(*words)
    assert result.exit_code == 2, told(result)
    assert name in told(result)


@pytest.mark.parametrize("broken", BROKEN)
def test_answers_that_cannot_be_read_name_their_file_or_line(tmp_path: Path, broken: str):
    path = tmp_path / "answers.jsonl"
    BROKEN[broken](path)
    if path.is_file() and not path.read_bytes().strip():
        assert not list(open_answers(path, "entity").batches(("scores",)))
        return
    with pytest.raises(InvalidArgument, match=r"answers\.jsonl|line 1"):
        list(open_answers(path, "entity").batches(("scores",)))


def test_a_key_set_without_anything_in_it_leads_to_a_token_that_the_remedy_mends(run: Run, identity: Path):
    (identity / "jwks.json").write_bytes(b"")
    result = run("token")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "jwks.json is empty; remove it and run `make up`" in told(result)
