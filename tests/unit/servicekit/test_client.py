"""Deadlines of child calls, and the service config of channels."""

import pytest
from headrace_servicekit.client import budget, service_config
from headrace_servicekit.errors import DeadlineExceeded


@pytest.mark.parametrize(
    ("remaining", "own_s", "expected"),
    [
        pytest.param(None, 2.0, 2.0, id="no deadline leaves our own limit"),
        pytest.param(10.0, 2.0, 2.0, id="a later deadline leaves our own limit"),
        pytest.param(1.0, 2.0, 0.99, id="an earlier deadline less the margin"),
    ],
)
def test_a_child_call_gets_the_smaller_time(remaining, own_s, expected):
    assert budget(remaining, own_s) == pytest.approx(expected)


@pytest.mark.parametrize("remaining", [0.0, -1.0, 0.005])
def test_no_child_call_is_made_when_no_time_is_left(remaining):
    with pytest.raises(DeadlineExceeded):
        budget(remaining, 2.0)


def test_only_named_methods_are_retried_and_only_when_unavailable():
    config = service_config(["a.v1.S/Get", "/b.v1.T"], health_checked=True)
    (rule,) = config["methodConfig"]
    assert rule["name"] == [{"service": "a.v1.S", "method": "Get"}, {"service": "b.v1.T"}]
    assert rule["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert config["healthCheckConfig"] == {"serviceName": ""}


def test_without_idempotent_methods_nothing_is_retried():
    config = service_config([], health_checked=False)
    assert "methodConfig" not in config
    assert "healthCheckConfig" not in config
