"""Log lines: one JSON object each, with the call, without secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from headrace_servicekit.calls import Call, enter_call
from headrace_servicekit.logs import hide_secrets, set_up_logs

from tests.kit.rows import each


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def _lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_line_has_service_level_time_and_the_call(stream):
    set_up_logs("toy", stream=stream)
    enter_call(Call("r-1", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
    structlog.get_logger().info("rollout advanced", weight=0.25)
    (line,) = _lines(stream)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "event": "rollout advanced",
        "level": "info",
        "service": "toy",
        "weight": 0.25,
        "request_id": "r-1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }


def test_the_standard_library_writes_the_same_lines(stream):
    set_up_logs("toy", stream=stream)
    logging.getLogger("asyncpg").warning("slow %s", "query")
    (line,) = _lines(stream)
    assert (line["event"], line["level"], line["logger"], line["service"]) == (
        "slow query",
        "warning",
        "asyncpg",
        "toy",
    )


def test_lines_below_the_level_are_not_written(stream):
    set_up_logs("toy", level="warning", stream=stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in _lines(stream)] == ["loud"]


def test_a_request_of_httpx_that_succeeds_is_no_line(stream):
    set_up_logs("toy", stream=stream)
    logging.getLogger("httpx").info("HTTP Request: GET http://docker/containers/json")
    logging.getLogger("httpx").warning("kept")
    assert [line["event"] for line in _lines(stream)] == ["kept"]


def test_an_exception_is_one_line_with_its_stack(stream):
    set_up_logs("toy", stream=stream)
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = _lines(stream)
    assert "ValueError: boom" in line["exception"]


@each(
    "field,value,shown",
    [
        ("password", "hunter2", "[hidden]"),
        ("s3_secret_key", "hunter2", "[hidden]"),
        ("authorization", "hunter2", "[hidden]"),
        ("url", "postgres://u:hunter2@h/d", "postgres://u:[hidden]@h/d"),
        ("url", "valkey://:hunter2@h:6379", "valkey://:[hidden]@h:6379"),
        ("header", "Bearer hunter2.abc", "Bearer [hidden]"),
        ("model", "hunter2-model", "hunter2-model"),
        ("url", "http://h/d", "http://h/d"),
    ],
)
def test_secrets_do_not_reach_a_line(field, value, shown):
    assert hide_secrets(None, "info", {field: value})[field] == shown


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_secret_beside_an_exception_does_not_reach_a_line(stream, log_format):
    set_up_logs("toy", log_format=log_format, stream=stream)
    unrelated = "hunter2, of a local variable"
    try:
        raise ValueError(f"no {len(unrelated)}")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert "ValueError: no 28" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_secret_in_an_exception_does_not_reach_a_line(stream, log_format):
    set_up_logs("toy", log_format=log_format, stream=stream)
    try:
        raise ValueError("cannot connect to postgres://u:hunter2@h/d")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "hunter2" not in stream.getvalue()


def test_the_console_format_is_for_reading(stream):
    set_up_logs("toy", log_format="console", stream=stream)
    structlog.get_logger().info("started", port=1)
    assert "started" in stream.getvalue()
    assert "port=1" in stream.getvalue()
