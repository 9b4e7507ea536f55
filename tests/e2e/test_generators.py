"""A stack that takes code, with the generator of the examples: its parts through the front door, and what ends them."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from headrace_client import Client
from headrace_client.errors import HeadraceError
from headrace_client.operations.prediction import Prediction
from headrace_servicekit.testing import eventually, patience
from headrace_stack.testing import held_stack

from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.stack.running import RunningStack
from tests.kit.stores.servers import home_for_tests
from tests.kit.wire.server_sent_events import events

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(400)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "generator"
PERF_ANALYZER = Path(sys.executable).with_name("perf_analyzer")
MODEL = "words"


@pytest.fixture(scope="module")
def generating() -> Iterator[RunningStack]:
    told = {"REGISTRY_ALLOW_CODE": "true", "BATCHER_ALLOW_CODE": "true"}
    os.environ.update(told)
    try:
        with held_stack(home_for_tests(f"words-{os.getpid()}")) as settings:
            yield RunningStack(settings)
    finally:
        for name in told:
            del os.environ[name]


@pytest.fixture(scope="module")
def headrace(generating: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Headrace:
    found = Headrace(generating, tmp_path_factory.mktemp("words"), MODEL)
    contract = ("--contract", str(EXAMPLE / "contract.json"))
    found("models", "register", MODEL, "v1", str(EXAMPLE / "model.py"), *contract, *GOOD)
    found("models", "promote", MODEL, "v1")
    return found


def rows(prompt: str, words: int) -> str:
    return json.dumps([{"prompt": [prompt], "words": [words]}])


def inputs(prompt: str, words: int) -> dict[str, Any]:
    return {"prompt": np.array([[prompt.encode()]], np.object_), "words": np.array([[words]], np.int32)}


def word(part: Prediction) -> str:
    return part.outputs["word"][0, 0].decode()


def test_the_command_line_shows_each_part_and_says_what_to_do_without_stream(headrace: Headrace) -> None:
    answer = headrace("predict", MODEL, "--rows", rows("to be or not", 6), "--stream")
    assert [(one["part"], one["outputs"]["word"]) for one in answer["parts"]] == [
        (at, [[said]]) for at, said in enumerate(["to", "be", "or", "not", "to", "be"])
    ]
    refused = headrace.run("predict", MODEL, "--rows", rows("to be", 1))
    assert refused.exit_code != 0
    assert "--stream" in refused.stderr
    assert "in parts" in headrace.run("models", "show", MODEL, "v1").stdout


async def test_events_and_tritons_client_get_the_same_parts_through_the_front_door(headrace: Headrace) -> None:
    stack = headrace.stack
    bearer = {"authorization": f"Bearer {stack.token('words', scopes=['predict'])}"}
    body = {"instances": [{"prompt": ["a b c"], "words": [4]}]}
    async with (
        httpx.AsyncClient(base_url=f"http://{stack.address}", headers=bearer, timeout=patience(20)) as client,
        client.stream("POST", f"/v1/models/{MODEL}:predictStream", json=body) as response,
    ):
        *parts, end = [one async for one in events(response)]
    assert [one["predictions"] for _, one in parts] == [[["a"]], [["b"]], [["c"]], [["a"]]]
    assert end == ("end", {"parts": 4})

    def by_triton() -> list[bytes | None]:
        answers: queue.Queue[Any] = queue.Queue()
        with triton.InferenceServerClient(stack.address) as client:
            client.start_stream(lambda result, error: answers.put(error or result), headers=bearer)
            given = [triton.InferInput("prompt", [1, 1], "BYTES"), triton.InferInput("words", [1, 1], "INT32")]
            for one, value in zip(given, inputs("a b c", 4).values(), strict=True):
                one.set_data_from_numpy(value)
            client.async_stream_infer(MODEL, given, enable_empty_final_response=True)
            client.stop_stream()
        return [None if (said := answers.get().as_numpy("word")) is None else said[0, 0] for _ in range(5)]

    assert await asyncio.to_thread(by_triton) == [b"a", b"b", b"c", b"a", None]


def test_perf_analyzer_streams_a_decoupled_model_clean(headrace: Headrace) -> None:
    stack, data = headrace.stack, headrace.folder / "data.json"
    data.write_text(json.dumps({"data": [{"prompt": ["a b c"], "words": [3]}]}))
    done = subprocess.run(
        [
            str(PERF_ANALYZER), "-m", MODEL, "-u", stack.address, "-i", "grpc", "--streaming", "--async",
            "-H", f"authorization: Bearer {stack.token('perf', scopes=['predict'])}",
            "--input-data", str(data), "--shape", "prompt:1", "--shape", "words:1",
            "--request-count", "50", "--concurrency-range", "1",
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Request count: 50" in done.stdout


async def test_a_batcher_that_is_killed_in_the_middle_ends_its_answers_and_others_are_asked_next(
    headrace: Headrace,
) -> None:
    stack = headrace.stack
    with Client(stack.address, token=stack.token) as client:
        got: list[str] = []

        def received(_first_row: int, part: Prediction) -> None:
            got.append(word(part))
            if len(got) == 3:
                for pid in _batchers(stack):
                    os.kill(pid, signal.SIGKILL)

        with pytest.raises(HeadraceError) as ended:
            await asyncio.to_thread(
                client.predict_stream, MODEL, inputs("a b c", 2_000_000_000), received, timeout=patience(30)
            )
        assert ended.value.reason in ("ANSWER_CUT_OFF", "BACKEND_CRASHED"), ended.value
        assert got[:3] == ["a", "b", "c"]

        def answers() -> bool:
            again: list[str] = []
            try:
                client.predict_stream(MODEL, inputs("x", 1), lambda _row, part: again.append(word(part)), timeout=10)
            except HeadraceError:
                return False
            return again == ["x"]

        await eventually(lambda: asyncio.to_thread(answers), within=120, every=1)


def _batchers(stack: RunningStack) -> list[int]:
    """Return the processes of the stack's batchers."""
    home, found = str(stack.settings.home), []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes()
            if b"headrace_batcher" in command and home.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return found
