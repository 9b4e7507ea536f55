"""Results in a real store: under a name once, and whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.messages import Access
from headrace_scorer.engine.objects import Objects, OutputTaken

from tests.kit.scorer.service import ScorerRig


@pytest.fixture
def objects(scoring: ScorerRig) -> Objects:
    keys = scoring.environment["SCORER_S3_CREDENTIALS_FILE"]
    return Objects(Access(scoring.s3.endpoint, scoring.s3.region, keys, scoring.s3.bucket))


def content(rig: ScorerRig, key: str) -> bytes:
    return rig.client.get_object(Bucket=rig.s3.bucket, Key=key)["Body"].read()


async def test_what_is_there_with_the_same_digest_is_left_and_all_else_refused(
    scoring: ScorerRig, objects: Objects, tmp_path: Path
):
    at, file = Location(scoring.s3.bucket, "out/part-0.parquet"), tmp_path / "part"
    file.write_bytes(b"results")
    assert objects.metadata(at) is None
    for _ in range(2):
        objects.create(at, file, {"sha256": "s1"})
    assert objects.metadata(at) == {"sha256": "s1", "size": "7"}
    with pytest.raises(OutputTaken):
        objects.create(at, b"another", {"sha256": "s2"})
    assert content(scoring, at.prefix) == b"results"


@pytest.mark.parametrize("digest", ["s1", "of answers whose last bits were others"])
@pytest.mark.parametrize("kept", [b"", b"res"])
async def test_what_a_store_kept_of_an_upload_that_was_cut_off_is_no_result_and_is_written_anew(
    scoring: ScorerRig, objects: Objects, kept: bytes, digest: str
):
    at = Location(scoring.s3.bucket, "out/part-0.parquet")
    told = {"sha256": "s1", "size": "7"}
    scoring.client.put_object(Bucket=at.bucket, Key=at.prefix, Body=kept, Metadata=told | {"sha256": digest})
    assert objects.metadata(at) is None
    objects.create(at, b"results", {"sha256": "s1"})
    assert objects.metadata(at) == told
    assert content(scoring, at.prefix) == b"results"
