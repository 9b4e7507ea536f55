"""The command line as somebody beside the stack uses it."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from headrace_client.cli import main

from tests.kit.models import onnx_models
from tests.kit.stack.running import RunningStack

GOOD = ("--metric", "accuracy=0.95", "--metric", "latency_p99_ms=2")
"""Metrics that meet the gates that every model has."""
ROWS = "[[0, 1, 2, 3]]"


class Headrace:
    """The command line as somebody beside the stack uses it; `model` is a name of this test's own."""

    def __init__(self, stack: RunningStack, folder: Path, model: str) -> None:
        self.stack, self.folder, self.model = stack, folder, model

    def __call__(self, *words: str, code: int = 0, token: str | None = None) -> Any:
        """Run with --json, expect the exit code, and return the document. token: None for the stack's own."""
        done = self.run(*words, "--json", token=token)
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    def run(self, *words: str, token: str | None = None) -> Any:
        """Run as a person would."""
        # Whatever the caller's environment says of another stack.
        others = {"HEADRACE_ADDRESS": None, "HEADRACE_BASE_PORT": None, "HEADRACE_TOKEN": token}
        return CliRunner().invoke(main, words, env={"HEADRACE_STATE_DIR": str(self.stack.settings.home), **others})

    def two_versions(self, production: str) -> None:
        """Register small models of three scores as v1 and v2, and have one of them in production."""
        for version, seed in (("v1", 1), ("v2", 2)):
            file = self.file(f"{version}.onnx", onnx_models.linear(seed=seed))
            self("models", "register", self.model, version, file, *GOOD)
        self("models", "promote", self.model, production)

    def predict(self, *words: str, code: int = 0) -> Any:
        """Ask for a prediction of one row."""
        return self("predict", self.model, "--rows", ROWS, *words, code=code)

    def file(self, name: str, model: onnx_models.TinyModel) -> str:
        """Write a model file and return its path."""
        path = self.folder / name
        path.write_bytes(model.content)
        return str(path)


@pytest.fixture
def headrace(stack: RunningStack, tmp_path: Path, request: pytest.FixtureRequest) -> Headrace:
    return Headrace(stack, tmp_path, own_model(request.node.nodeid))


def own_model(node: str) -> str:
    """Return the name of a test's own model. Tests of two files may have one name, and share the stack."""
    name = node.rpartition("::")[2].removeprefix("test_").lower()
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)[:48].strip("-")
    return f"{name}-{zlib.crc32(node.encode()):08x}"
