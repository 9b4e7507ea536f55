"""Results of scoring jobs on the whole stack: scored in S3, published as one generation, found online, reverted."""

from __future__ import annotations

import pytest
from headrace.scorer.v1 import scorer_pb2
from headrace_client import Client

from tests.kit.clients.headrace_cli import Headrace
from tests.kit.scorer.publications import Publication, job_of, over, put, reached, scored, served
from tests.kit.stack import processes


@pytest.mark.long
def test_a_table_in_s3_is_scored_published_found_online_and_reverted(headrace: Headrace) -> None:
    headrace.two_versions(production="v1")
    with Client(headrace.stack.url, token=headrace.stack.token()) as client:
        job = scored(headrace, job_of(put(headrace, "monday", range(300), seed=1)))
        published = over(client, job["name"])
        assert published.state == Publication.STATE_PUBLISHED, published.reason
        assert (published.entities, published.parity.differing) == (300, 0)
        source, scores = served(headrace, "u7")
        assert source == "precomputed"
        # What computed the answers travels with them.
        why = headrace("explain", headrace.predict("--entity", "u7", "--explain")["prediction_id"])
        assert (why["publish"], why["origin"]["run"]) == (published.publish, job["name"])
        assert why["origin"]["manifest_digest"] == job["manifest"]["digest"]
        reverted = client.publications.revert(job["name"], reason="scores of a wrong day")
        assert reverted.state == Publication.STATE_REVERTED
        # The row that was asked about is not the user's of the table.
        assert served(headrace, "u7")[1] != scores
        short = f"{headrace.model}/{job['name'].rpartition('/')[2]}"
        again = headrace("jobs", "publish", short, "--reason", "the right day after all")
        assert again["state"] == "STATE_PUBLISHED", again
        assert served(headrace, "u8")[0] == "precomputed", "of u7 the cache has what was computed meanwhile"


# Of three jobs each takes some seconds, most of them on a busy machine.
@pytest.mark.long
def test_what_the_next_table_lacks_is_kept_and_what_is_distributed_otherwise_waits(
    headrace: Headrace,
) -> None:
    headrace.two_versions(production="v1")
    kept = scorer_pb2.Publishing.DISAPPEARED_KEPT
    with Client(headrace.stack.url, token=headrace.stack.token()) as client:
        first = scored(headrace, job_of(put(headrace, "monday", range(3000), seed=1)))
        published = over(client, first["name"])
        assert published.state == Publication.STATE_PUBLISHED, published.reason
        assert (published.entities, published.parity.rows, published.parity.differing) == (3000, 200, 0)
        source, monday = served(headrace, "u7")
        assert source == "precomputed"

        # The next table lacks users, whose answers are kept, and has new ones.
        second = scored(headrace, job_of(put(headrace, "tuesday", range(1000, 4000), seed=2), disappeared=kept))
        published = over(client, second["name"])
        assert published.state == Publication.STATE_PUBLISHED, published.reason
        assert (published.entities, published.kept_entities, published.compared_with) == (4000, 1000, first["name"])
        assert served(headrace, "u7") == ("precomputed", monday)
        tuesday = served(headrace, "u2000")
        assert served(headrace, "u3999")[0] == "precomputed"

        # Answers that are distributed otherwise wait for somebody's approval.
        third = scored(headrace, job_of(put(headrace, "odd", range(3000), seed=3, shift=2.0)))
        held = over(client, third["name"])
        assert (held.state, held.failure) == (Publication.STATE_HELD, "DRIFT"), held.reason
        assert served(headrace, "u2000") == tuesday
        client.publications.approve(third["name"], reason="odd as planned")
        assert over(client, third["name"]).state == Publication.STATE_PUBLISHED
        assert served(headrace, "u2000") != tuesday

        # One call takes it back, and repeating it changes nothing.
        for _ in range(2):
            reverted = client.publications.revert(third["name"], reason="scores of a wrong day")
            assert reverted.state == Publication.STATE_REVERTED
        assert (served(headrace, "u2000"), served(headrace, "u7")) == (tuesday, ("precomputed", monday))
        history = client.jobs.history(f"{headrace.model}/{third['name'].rsplit('/', 1)[-1]}")
        told = [(event.type, event.reason) for event in history if event.type.startswith("publication")]
        assert told == [("publication_reverted", "scores of a wrong day"), ("publication_approved", "odd as planned")]


@pytest.mark.faults
@pytest.mark.long
def test_a_scorer_that_is_killed_while_it_publishes_goes_on_and_nothing_is_half_published(headrace: Headrace) -> None:
    headrace.two_versions(production="v1")
    with Client(headrace.stack.url, token=headrace.stack.token()) as client:
        first = scored(headrace, job_of(put(headrace, "monday", range(1000), seed=1)))
        assert over(client, first["name"]).state == Publication.STATE_PUBLISHED
        second = scored(headrace, job_of(put(headrace, "tuesday", range(500, 60_500), seed=2)))
        reached(client, second["name"], Publication.STATE_PUBLISHING, Publication.STATE_PUBLISHED)
        was = processes.kill(headrace.stack, "scorer")
        # Either generation answers, and each of them whole.
        seen = headrace("precompute", "status", headrace.model)["answers"][0]["active"]
        assert seen["entity_count"] in ("1000", "60000")
        published = over(client, second["name"])
        assert published.state == Publication.STATE_PUBLISHED, published.reason
        assert processes.identity_of(headrace.stack, "scorer") != was
    kept = headrace("precompute", "status", headrace.model)["answers"][0]
    assert (kept["active"]["entity_count"], kept["active"]["name"]) == ("60000", published.publish)
    assert kept["previous"]["entity_count"] == "1000"
    assert kept.get("open", []) == []
    assert served(headrace, "u60499")[0] == "precomputed"
    assert served(headrace, "u7")[0] != "precomputed"
