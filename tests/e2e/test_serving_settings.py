"""Serving settings of a version in production change under load: no request fails, and nothing of the version moves."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
from headrace_client import Client, RetryPolicy

from tests.kit.clients.headrace_cli import Headrace


def test_settings_change_under_load_without_a_failed_request_and_say_when_they_are_in_force(
    headrace: Headrace,
) -> None:
    headrace.two_versions(production="v1")
    before = headrace("models", "settings", f"{headrace.model}@v1")
    assert [one["serving_revision"] for one in before["batchers"]]
    stop, rows = threading.Event(), itertools.count()

    def ask() -> int:
        """Ask for rows that nobody asked for before, until it is over; return how many were answered."""
        once = RetryPolicy(max_attempts=1)
        with Client(headrace.stack.address, token=headrace.stack.token("people"), retry=once) as client:
            answered = 0
            while not stop.is_set():
                client.predict(headrace.model, {"features": np.full((1, 4), next(rows), np.float32)})
                answered += 1
        return answered

    with ThreadPoolExecutor(2) as threads:
        asking = [threads.submit(ask) for _ in range(2)]
        try:
            wait = ("--max-wait", "1ms", "--reason", "quicker")
            quick = headrace("models", "settings", headrace.model, "v1", *wait)
            # More instances and rows: Triton loads the model again beside itself.
            more = headrace("models", "settings", headrace.model, "v1", "--instances", "2", "--max-batch-rows", "64")
        finally:
            stop.set()
        answered = sum(one.result() for one in asking)
    assert answered > 20
    assert (quick["in_force"], more["in_force"]) == (True, True)
    assert {one["serving_revision"] for one in more["batchers"]} == {3}
    assert more["version"]["digest"] == before["version"]["digest"]
    assert (more["version"]["serving"]["instances"], more["version"]["serving"]["max_wait"]) == (2, "0.001s")

    headers = {"authorization": f"Bearer {headrace.stack.token('people')}"}
    url = f"{headrace.stack.url}/v1/models/{headrace.model}/versions/v1/serving"
    body = {"serving": {"max_wait": "0.002s"}, "validate_only": True}
    by_rest = httpx.patch(url, json=body, headers=headers, timeout=20).json()["version"]
    assert (by_rest["serving"]["max_wait"], by_rest["serving_revision"]) == ("0.002s", 4)

    stale = headrace("models", "settings", headrace.model, "v1", "--instances", "3", "--etag", "stale", code=4)
    assert stale["error"]["reason"] == "ETAG_MISMATCH"
    would = headrace("models", "settings", headrace.model, "v1", "--instances", "4", "--dry-run")
    assert would["version"]["serving_revision"] == 4
    assert headrace("models", "settings", headrace.model, "v1")["version"]["serving_revision"] == 3
    line = headrace("models", "history", headrace.model)["events"][0]
    assert (line["action"], line["serving_change"]["revision"]) == ("ACTION_SERVING_CHANGED", 3)
