"""A shadow as a user meets it: declared, compared, reported, measured for gates, and seen by no caller."""

from __future__ import annotations

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace_servicekit.testing import eventually

from tests.kit.clients.headrace_cli import Headrace
from tests.kit.models.onnx_models import linear
from tests.kit.stack.served_models import Served, register, request, serve

MODEL = "shadowed"
ASKED = 40


@pytest.fixture
def shadowed(served: Served) -> Served:
    """A model whose v1 is in production, with v2 as its shadow."""
    serve(served.client, MODEL, {"v1": linear(seed=1)})
    register(served.client, MODEL, "v2", linear(seed=2))
    served.client.routes.set_shadow(MODEL, "v2", 1.0, timeout=120.0)
    return served


def rows(count: int) -> list[np.ndarray]:
    return [np.array([[number, 1, 2, 3]], np.float32) for number in range(count)]


def asked(row: np.ndarray) -> predict_pb2.PredictRequest:
    """Return a request that takes a kept answer."""
    message = request(MODEL, features=row)
    message.ClearField("max_age")
    return message


async def test_a_shadow_is_compared_and_measured_and_reaches_no_caller(shadowed: Served, headrace: Headrace, tmp_path):
    answers = [shadowed.predict(asked(row)) for row in rows(ASKED)]
    again = [shadowed.predict(asked(row)) for row in rows(ASKED)]
    assert {one.version for one in (*answers, *again)} == {"v1"}
    assert {one.served_from for one in again} == {predict_pb2.PredictResponse.SERVED_FROM_CACHE}

    def compared() -> int:
        return sum(one.pairs for one in shadowed.client.monitor.shadow_report(MODEL, "v2").comparisons)

    await eventually(lambda: compared() >= ASKED, within=30)
    (told,) = shadowed.client.monitor.shadow_report(MODEL, "v2").comparisons
    assert (told.version, told.shadow_version, told.pairs, told.nan_rows) == ("v1", "v2", ASKED, 0)
    assert not told.errors
    assert told.largest_difference > 0 or told.flips > 0
    assert {row.prediction_id for row in told.worst} <= {one.prediction_id for one in answers}

    def counted() -> dict[str, int]:
        traffic = shadowed.client.monitor.traffic(MODEL).traffic
        return {one.version: sum(each.count for each in traffic if each.version == one.version) for one in traffic}

    # Counted, if later than pairs, are answers to callers alone: none of the version that nobody was given.
    await eventually(lambda: counted().get("v1", 0) >= 2 * ASKED, within=30)
    assert counted() == {"v1": 2 * ASKED}

    def measured() -> dict[str, float]:
        metrics = shadowed.client.versions.get(MODEL, "v2").metrics
        return {one.name: one.value for one in metrics if one.name.startswith("shadow_")}

    await eventually(lambda: measured().get("shadow_pairs") == ASKED, within=60)
    page = tmp_path / "shadow.html"
    shown = headrace.run("monitor", "shadow", MODEL, "v2", "--html", str(page))
    assert "v1 beside its shadow v2" in shown.stdout, shown.output
    assert f"Shadow of {MODEL}" in page.read_text()
