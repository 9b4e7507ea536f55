"""What the demo says of looks, and how much noise it sends where clean images are in the same window."""

from datetime import UTC, datetime, timedelta

import pytest

from examples.digits.drifting import Evaluation, rounds_beside, words

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def look(rows: int, *alarms: tuple[str, str, float]) -> Evaluation:
    return Evaluation(rows, NOON, NOON + timedelta(hours=1), alarms)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(2_400, 4, id="about as many as there are"),
        pytest.param(0, 1, id="once where there are none yet"),
    ],
)
def test_noise_beside_clean_images_is_about_as_many(rows, expected):
    assert rounds_beside(look(rows), 540) == expected


def test_looks_are_told_together_and_a_pixel_is_counted_once():
    moved = ("image.1", "psi", 0.4)
    assert words([look(300), look(540)]) == "no drift in 840 rows, 2 looks"
    assert (
        words([look(300, moved, ("image.1", "ks", 0.2)), look(540, moved)]) == "drift of 1 pixels in 840 rows, 2 looks"
    )
