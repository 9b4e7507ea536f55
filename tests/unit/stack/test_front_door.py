"""When a front door counts as ready: it knows of each service behind it whether it is well."""

import pytest
from headrace_stack.components.front_door import unchecked


def stats(**clusters: tuple[int, int]) -> str:
    """Return Envoy's text about clusters, given as successes and failures."""
    lines = []
    for name, (success, failure) in clusters.items():
        lines += [
            f"cluster.{name}.health_check.attempt: {success + failure}",
            f"cluster.{name}.health_check.failure: {failure}",
            f"cluster.{name}.health_check.success: {success}",
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("success", "failure", "known"),
    [(0, 0, False), (0, 1, False), (1, 0, True), (1, 1, True), (0, 2, True), (7, 3, True)],
)
def test_a_cluster_is_known_once_it_was_well_or_failed_twice(success: int, failure: int, known: bool):
    assert unchecked(stats(registry=(success, failure))) == ([] if known else ["registry"])


def test_every_cluster_that_is_not_known_is_named():
    assert unchecked(stats(registry=(1, 0), b=(0, 1), a=(0, 0))) == ["a", "b"]
    assert unchecked("") == []
