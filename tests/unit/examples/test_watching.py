"""When the demo sends noise: so that people need not wait for it, however long the windows of an installation are."""

from datetime import UTC, datetime, timedelta

import pytest

from examples.digits.watching import Look, Noise, plan_noise

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ends_in_s", "rows", "expected"),
    [
        pytest.param(10, 2400, Noise(10.0, 1, 540, alone=True), id="a window of seconds: noise has the next to itself"),
        pytest.param(-1, 2400, Noise(0.0, 1, 540, alone=True), id="it is over: no wait"),
        pytest.param(1800, 2400, Noise(0.0, 4, 2400 + 4 * 540, alone=False), id="an hour: about half of it is noise"),
        pytest.param(1800, 100, Noise(0.0, 1, 640, alone=False), id="an hour with few rows: each image once"),
    ],
)
def test_noise_is_planned(ends_in_s: float, rows: int, expected: Noise):
    assert plan_noise(Look(rows, NOW + timedelta(seconds=ends_in_s), ()), 540, NOW) == expected
