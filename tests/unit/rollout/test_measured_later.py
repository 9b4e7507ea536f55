"""What a rollout measures of its version by itself."""

from headrace_rollout.decisions.policies import measured_later
from headrace_servicekit.identity import matches

from tests.kit.rollout.rollouts import CANARY, SHADOW


def test_only_a_rollout_with_a_shadow_measures_what_shadows_do():
    assert matches(measured_later(SHADOW), "shadow_flip_rate")
    assert not matches(measured_later(CANARY), "shadow_flip_rate")
    assert matches(measured_later(CANARY), "latency_p99_ms")


def test_nothing_that_only_people_and_pipelines_measure_is_left_for_later():
    for metric in ("accuracy", "game_day"):
        assert not matches(measured_later(SHADOW), metric)
