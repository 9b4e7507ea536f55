"""What is known of inputs that may have killed what runs a version."""

from headrace_batcher.decisions.suspected_requests import (
    MAX_REMEMBERED,
    REMEMBERED_S,
    SuspectedRequests,
    Verdict,
    digest_of,
)
from headrace_runtime.shapes import FIXED, ShapeKey


def test_a_verdict_is_kept_for_a_while_replaced_and_cleared():
    known = SuspectedRequests()
    known.mark(b"a", Verdict.SUSPECT, 0.0)
    known.mark(b"a", Verdict.CONDEMNED, 1.0)
    assert known.verdict(b"a", REMEMBERED_S) is Verdict.CONDEMNED
    assert known.verdict(b"a", REMEMBERED_S + 1.0) is None
    assert not known
    known.mark(b"b", Verdict.SUSPECT, 0.0)
    known.clear(b"b")
    assert known.verdict(b"b", 0.0) is None


def test_what_never_comes_again_is_forgotten_too_so_that_requests_are_not_hashed_for_ever():
    known = SuspectedRequests()
    known.mark(b"left", Verdict.SUSPECT, 0.0)
    known.mark(b"bad", Verdict.CONDEMNED, 5.0)
    assert known.verdict(b"another", REMEMBERED_S) is None
    assert len(known) == 1
    assert known.verdict(b"another", REMEMBERED_S + 5.0) is None
    assert not known


def test_the_oldest_are_forgotten_when_there_are_too_many():
    known = SuspectedRequests()
    for number in range(MAX_REMEMBERED + 1):
        known.mark(number.to_bytes(4, "big"), Verdict.SUSPECT, 0.0)
    assert len(known) == MAX_REMEMBERED
    assert known.verdict((0).to_bytes(4, "big"), 0.0) is None


def test_requests_have_the_same_digest_only_if_all_their_inputs_and_shapes_are_the_same():
    digests = [
        digest_of(FIXED, [b"ab", b"c"]),
        digest_of(FIXED, [b"a", b"bc"]),
        digest_of(FIXED, [b"abc"]),
        digest_of(ShapeKey(dims=(3,)), [b"abc"]),
        digest_of(ShapeKey(absent=(1,)), [b"abc"]),
    ]
    assert len(set(digests)) == len(digests)
    assert digest_of(FIXED, [b"ab", b"c"]) == digests[0]
