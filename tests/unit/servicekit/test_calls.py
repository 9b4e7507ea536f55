"""Request ids and W3C trace context."""

import asyncio

import pytest
from headrace_servicekit.calls import Call, current_call, enter_call, make_call, outgoing_metadata, valid_traceparent

from tests.kit.rows import each

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@each(
    "header,valid",
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", True, id="the specification's example"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", True, id="not sampled"),
        pytest.param(f"01-{TRACE}-{SPAN}-01-more", True, id="a later version may have more fields"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", False, id="version 00 has four fields"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", False, id="version ff is forbidden"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", False, id="a trace id of zeros"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", False, id="a span id of zeros"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", False, id="upper case"),
        pytest.param(f"00-{TRACE}-{SPAN}", False, id="no flags"),
        pytest.param(f"00-{TRACE}-{SPAN}-01\n", False, id="a line break"),
        pytest.param("", False, id="empty"),
    ],
)
def test_a_traceparent_is_checked_as_the_specification_says(header, valid):
    assert valid_traceparent(header) is valid
    assert make_call(None, header).traceparent == (header if valid else None)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("fe", False)])
def test_the_sampled_flag_is_one_bit(flags, sampled):
    call = make_call(None, f"00-{TRACE}-{SPAN}-{flags}")
    assert (call.sampled, call.trace_id) == (sampled, TRACE)


def test_a_request_id_is_kept_when_it_is_sane():
    assert make_call("3e9e5b1a-1a8f", None).request_id == "3e9e5b1a-1a8f"


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "line\nbreak", 'quote"'])
def test_a_missing_or_odd_request_id_is_replaced(given):
    made = make_call(given, None).request_id
    assert made != given
    assert len(made) == 32
    assert make_call(given, None).request_id != made


def test_an_oversize_tracestate_is_dropped_but_the_trace_goes_on():
    call = make_call("r", f"00-{TRACE}-{SPAN}-01", "k=" + "v" * 600)
    assert (call.trace_id, call.tracestate) == (TRACE, None)


async def test_child_calls_get_the_headers_of_the_call_being_served():
    parent = f"00-{TRACE}-{SPAN}-01"

    async def serve(call: Call) -> tuple:
        enter_call(call)
        await asyncio.sleep(0)
        return outgoing_metadata()

    bare, traced = await asyncio.gather(serve(Call("a")), serve(Call("b", parent, "vendor=1")))
    assert bare == (("x-request-id", "a"),)
    assert traced == (("x-request-id", "b"), ("traceparent", parent), ("tracestate", "vendor=1"))
    assert current_call() is None
    assert outgoing_metadata() == ()
