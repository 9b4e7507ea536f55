"""The life of a publication: what is refused, what is held, who lets it through, and what follows what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from headrace_scorer.decisions import publications
from headrace_scorer.decisions.comparisons import Drifted, Pair, Parity
from headrace_scorer.decisions.publications import Publication, State, judged
from headrace_scorer.decisions.publish_specs import PublishSpec
from headrace_servicekit.errors import PreconditionFailed
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 29, tzinfo=UTC)
BEGUN = Publication(7, "digits", "v1", PublishSpec("user"), "ada")
GOOD = Parity(200, 0)
BAD = Parity(200, 3, (Pair("u1", "scores", 2, "0.5", "0.7", 400.0),))
DRIFT = (Drifted("scores[1]", "psi", 0.4, 0.05, "high"),)

PARITIES = st.sampled_from([None, Parity(0, 0), GOOD, BAD])
DRIFTS = st.sampled_from([(), DRIFT])


def test_a_sample_that_agrees_and_no_drift_publishes() -> None:
    after = judged(BEGUN, GOOD, "", (), 6)
    assert (after.state, after.parity, after.compared_with) == (State.PUBLISHING, GOOD, 6)


def test_a_sample_that_differs_is_refused_with_its_worst_pair() -> None:
    after = judged(BEGUN, BAD, "", (), None)
    assert (after.state, after.failure) == (State.REFUSED, "PARITY")
    assert "3 of 200" in after.reason
    assert "entity 'u1', scores[2]: 0.5 was scored, 0.7 is answered" in after.reason


def test_drift_holds_until_somebody_approves() -> None:
    held = judged(BEGUN, GOOD, "", DRIFT, 6)
    assert (held.state, held.failure) == (State.HELD, "DRIFT")
    assert "job 6" in held.reason
    let = publications.approved(held, "grace")
    assert (let.state, let.approved) == (State.PUBLISHING, "grace")
    assert publications.approved(let, "grace") == let


def test_a_version_that_nobody_can_ask_online_holds() -> None:
    held = judged(BEGUN, None, "the route does not name v1", (), None)
    assert (held.state, held.failure) == (State.HELD, "PARITY_UNKNOWN")
    assert "the route does not name v1" in held.reason
    without = replace(BEGUN, spec=PublishSpec("user", parity_rows=0))
    assert judged(without, None, "", (), None).state is State.PUBLISHING


@given(PARITIES, DRIFTS, st.booleans())
def test_nothing_that_differs_is_ever_published_approved_or_not(
    parity: Parity | None, drift: tuple[Drifted, ...], approved: bool
) -> None:
    after = judged(replace(BEGUN, approved="grace" if approved else ""), parity, "", drift, 6)
    if parity is not None and parity.differing:
        assert after.state is State.REFUSED
        with pytest.raises(PreconditionFailed):
            publications.approved(after, "grace")
    elif approved:
        assert after.state is State.PUBLISHING
    assert bool(after.failure) == (after.state is not State.PUBLISHING)


def test_every_attempt_has_a_request_id_of_its_own_and_each_the_same_one_for_whoever_goes_on() -> None:
    lost = publications.lost(replace(BEGUN, state=State.PUBLISHING), "given up after an hour")
    assert lost.state is State.PUBLISHING
    assert lost.request_id != BEGUN.request_id
    again = publications.again(replace(lost, state=State.REFUSED), None, "ada")
    assert again.state is State.CHECKING
    assert again.request_id not in (lost.request_id, BEGUN.request_id)
    assert replace(lost, reason="another process").request_id == lost.request_id


def test_only_what_is_published_is_reverted_and_only_once() -> None:
    with pytest.raises(PreconditionFailed, match="only what is published"):
        publications.reverted(BEGUN, "ada")
    counts = publications.published(BEGUN, "models/digits/versions/v1/publishes/3", 10, 2, NOW)
    assert "2 of them from the generation before" in counts.reason
    gone = publications.reverted(counts, "ada")
    assert publications.reverted(gone, "ada").state is State.REVERTED
    assert publications.again(gone, None, "ada").attempt == 2


@pytest.mark.parametrize("state", [State.CHECKING, State.PUBLISHING, State.PUBLISHED])
def test_what_is_on_its_way_or_counts_is_not_begun_again(state: State) -> None:
    with pytest.raises(PreconditionFailed):
        publications.again(replace(BEGUN, state=state), None, "ada")


def test_a_process_that_is_lost_again_and_again_ends_the_publication() -> None:
    waiting = publications.disturbed(BEGUN, "exit code -9", publications.MAX_LOSSES - 1)
    assert (waiting.state, waiting.reason) == (State.CHECKING, "waits: exit code -9")
    over = publications.disturbed(waiting, "exit code -9", publications.MAX_LOSSES)
    assert (over.state, over.failure) == (State.FAILED, "PROCESS_LOST")
    assert publications.disturbed(over, "exit code -9", 99) == over
    assert publications.again(over, None, "ada").state is State.CHECKING
