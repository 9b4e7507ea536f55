"""Typed errors keep what they say through `google.rpc.Status` and JSON."""

import subprocess
import sys
from urllib.parse import quote

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from headrace_servicekit import error_details, errors
from headrace_servicekit.errors import Code, FieldViolation, ServiceError
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]
CLASSES.remove(ServiceError)


def test_there_is_one_class_for_every_code_but_ok():
    assert {kind.code for kind in CLASSES} == set(Code) - {Code.OK}
    assert len(CLASSES) == len(Code) - 1


def test_the_codes_have_the_numbers_of_grpc():
    assert {code.name: int(code) for code in Code} == {code.name: code.value[0] for code in grpc.StatusCode}


@each("kind", CLASSES)
def test_a_bare_error_carries_its_code_message_and_a_reason(kind):
    status = error_details.to_status(kind("it is so"))
    info = error_details_pb2.ErrorInfo()
    assert (status.code, status.message) == (kind.code, "it is so")
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (kind.code.name, "headrace.dev")


_text = st.text(max_size=30)
_violations = st.lists(st.builds(FieldViolation, _text, _text), max_size=4)


@given(
    kind=st.sampled_from(CLASSES),
    message=_text,
    reason=st.sampled_from(["GATE_FAILED", "X"]),
    violations=_violations,
    metadata=st.dictionaries(_text, _text, max_size=3),
    retry_after_s=st.none() | st.integers(0, 10_000).map(lambda ms: ms / 1000),
)
def test_an_error_survives_the_wire(kind, message, reason, violations, metadata, retry_after_s):
    sent = kind(message, reason=reason, violations=violations, metadata=metadata, retry_after_s=retry_after_s)
    got = error_details.from_status(status_pb2.Status.FromString(error_details.to_status(sent).SerializeToString()))
    assert type(got) is kind
    assert (got.public_message, got.reason, got.metadata) == (message, reason, metadata)
    assert got.violations == tuple(violations)
    assert got.retry_after_s == pytest.approx(retry_after_s)


def test_a_failed_precondition_names_its_subjects_as_preconditions():
    error = errors.PreconditionFailed(
        "gates", reason="PROMOTION_GATE_FAILED", violations=[FieldViolation("gates.accuracy", "0.8 < 0.85")]
    )
    failure = error_details_pb2.PreconditionFailure()
    assert error_details.to_status(error).details[1].Unpack(failure)
    assert (failure.violations[0].type, failure.violations[0].subject) == ("PROMOTION_GATE_FAILED", "gates.accuracy")


@pytest.mark.parametrize("count", [0, 1, 100, 5000])
def test_a_status_stays_small_enough_for_a_header_and_counts_what_it_leaves_out(count):
    error = errors.InvalidArgument("wrong", violations=[FieldViolation(f"f[{i}]", "too long") for i in range(count)])
    status = error_details.to_status(error)
    assert status.ByteSize() <= error_details.MAX_STATUS_BYTES
    shown = error_details.from_status(status).violations
    assert len(shown) == count or shown[-1].description == f"and {count - len(shown) + 1} more"


def test_of_a_million_violations_only_those_that_may_fit_are_looked_at():
    looked_at = 0

    class Violation(FieldViolation):
        def __getattribute__(self, name: str) -> str:
            nonlocal looked_at
            looked_at += name == "description"
            return "too long"

    error = errors.InvalidArgument("wrong", violations=[Violation("f", "too long")] * 1_000_000)
    shown = error_details.from_status(error_details.to_status(error)).violations
    assert shown[-1].description == f"and {1_000_000 - len(shown) + 1} more"
    assert looked_at < 1000


def test_metadata_too_large_for_a_header_is_dropped_but_the_reason_stays():
    error = errors.Aborted("stale", reason="STALE_ETAG", metadata={"etag": "x" * 10_000}, retry_after_s=2)
    status = error_details.to_status(error)
    got = error_details.from_status(status)
    assert status.ByteSize() <= error_details.MAX_STATUS_BYTES
    assert (got.reason, got.metadata, got.retry_after_s) == ("STALE_ETAG", {}, 2)


@pytest.mark.parametrize("character", ["x", "%", "\n", "é", "😀"])
def test_a_long_message_is_cut_to_what_a_header_takes(character: str):
    message = error_details.to_status(errors.NotFound(character * 100_000)).message
    assert message.endswith(character + "…")
    # gRPC percent-encodes what is not printable ASCII.
    assert 1000 < len(quote(message, safe="".join(map(chr, range(32, 127))).replace("%", ""))) <= 1024


@given(text=st.text(max_size=2000))
def test_a_message_that_a_header_takes_is_not_cut(text: str):
    message = error_details.to_status(errors.NotFound(text)).message
    taken = len(quote(text, safe="".join(map(chr, range(32, 127))).replace("%", "")))
    assert (message == text) == (taken <= error_details.MAX_MESSAGE_BYTES)


def test_a_violation_about_an_endless_name_still_names_its_field():
    violations = [FieldViolation("inputs[0].name", "unknown input " + "n" * 100_000), FieldViolation("x" * 9_000, "no")]
    first, second = error_details.from_status(
        error_details.to_status(errors.InvalidArgument("no", violations=violations))
    ).violations
    assert first.field == "inputs[0].name"
    assert first.description.startswith("unknown input nnn")
    assert second.field.startswith("xxx")


def test_json_has_the_shape_of_the_transcoder():
    error = errors.NotFound("model 'x' not found", reason="MODEL_NOT_FOUND", metadata={"model": "x"})
    assert error_details.to_json(error) == {
        "code": 5,
        "message": "model 'x' not found",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "MODEL_NOT_FOUND",
                "domain": "headrace.dev",
                "metadata": {"model": "x"},
            }
        ],
    }


def test_json_parses_back_to_the_same_status():
    error = errors.InvalidArgument("bad", violations=[FieldViolation("a.b", "no")], retry_after_s=1.5)
    assert json_format.ParseDict(error_details.to_json(error), status_pb2.Status()) == error_details.to_status(error)


@pytest.mark.parametrize(("code", "expected"), [(0, 200), (3, 400), (5, 404), (8, 429), (9, 400), (14, 503), (99, 500)])
def test_http_status_is_that_of_the_front_door(code, expected):
    assert error_details.http_status(code) == expected


def test_every_code_has_an_http_status():
    assert all(error_details.http_status(code) >= 400 for code in Code if code is not Code.OK)


class _PeerError:
    """What grpc raises, as far as `from_rpc_error` looks at it."""

    def __init__(self, code: grpc.StatusCode, details: str | None, trailers: tuple) -> None:
        self._code, self._details, self._trailers = code, details, trailers

    def code(self):
        return self._code

    def details(self):
        return self._details

    def trailing_metadata(self):
        return self._trailers


@pytest.mark.parametrize(
    "details", [pytest.param(b"\xff\xff", id="not a status"), pytest.param(b"\x08\x03", id="a status of another code")]
)
def test_damaged_details_of_a_peer_do_not_hide_its_code(details):
    peer = _PeerError(grpc.StatusCode.NOT_FOUND, "gone", (("grpc-status-details-bin", details),))
    error = error_details.from_rpc_error(peer)  # type: ignore[arg-type]
    assert isinstance(error, errors.NotFound)
    assert (error.public_message, error.reason) == ("gone", "NOT_FOUND")


def test_a_peer_without_details_or_message_gives_an_error_of_its_code():
    error = error_details.from_rpc_error(_PeerError(grpc.StatusCode.UNAVAILABLE, None, ()))  # type: ignore[arg-type]
    assert (type(error), error.public_message) == (errors.Unavailable, "")


def test_a_stream_that_broke_while_it_was_written_is_unavailable():
    peer = _PeerError(grpc.StatusCode.INTERNAL, "Internal error from Core", ())
    error = error_details.from_rpc_error(peer)  # type: ignore[arg-type]
    assert (type(error), error.reason) == (errors.Unavailable, "STREAM_BROKEN")


def test_the_data_plane_can_import_errors_and_identity_without_grpc():
    program = (
        "import sys, headrace_servicekit.error_details, headrace_servicekit.identity, headrace_servicekit.calls\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('grpc', 'opentelemetry', 'structlog')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
