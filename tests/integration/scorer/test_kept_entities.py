"""Entities that the next generation lacks: whose answers are kept, for how long, and in one file whoever asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from headrace_scorer.decisions.manifests import Done
from headrace_scorer.decisions.publish_specs import Disappeared, PublishSpec
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.engine.kept_answers import ENTITY, kept_file
from headrace_scorer.engine.messages import Access, Work
from headrace_scorer.engine.objects import Objects
from headrace_scorer.engine.publish_orders import Answered, Peers, UploadOrder
from headrace_scorer.engine.results import batches

from tests.kit.scorer.service import ScorerRig, parquet

NOW = datetime(2026, 11, 29, tzinfo=UTC)
DAY = timedelta(days=1)


class Results:
    """Results of jobs in a bucket."""

    def __init__(self, rig: ScorerRig, folder: Path) -> None:
        self._rig, self._folder = rig, folder
        keys = rig.environment["SCORER_S3_CREDENTIALS_FILE"]
        self.access = Access(rig.s3.endpoint, rig.s3.region, keys, rig.s3.bucket)
        self.objects = Objects(self.access)

    def of(self, job: int, users: dict[str, float], computed: datetime, kept: Location | None = None) -> Answered:
        """Write the results of a job."""
        key = f"job-{job}/part-0.parquet"
        self._rig.put(key, parquet(pa.table({"user": list(users), "score": list(users.values())})))
        done = Done(Shard(0, "in", "e", 1), len(users), 0, key, "", 1, "", "")
        return Answered(job, self._rig.s3.bucket, "user", (done,), computed, kept)

    def kept(self, answered: Answered, before: Answered, keep_for: timedelta = 7 * DAY) -> Location:
        """Return the file of what is kept."""
        bucket = self._rig.s3.bucket
        output = Location(bucket, f"job-{answered.job}")
        work = Work("j", Spec(Location(bucket, "in")), "", "", output, self.access)
        spec = PublishSpec("user", disappeared=Disappeared.KEPT, keep_for=keep_for)
        folder = self._folder / f"{answered.job}-{keep_for.days}"
        folder.mkdir(exist_ok=True)
        order = UploadOrder(
            work, answered, "fraud", "v1", "d1", "", spec, "scoringJobs/1/publication/1", "run", Peers("", ""),
            str(folder), before,
        )  # fmt: skip
        found = kept_file(order, self.objects, ["score"])
        assert found is not None
        return found

    def read(self, at: Location) -> dict[str, float]:
        """Return what is kept."""
        found: dict[str, float] = {}
        for table in batches(self.objects, at, [ENTITY, "score"]):
            found |= dict(zip(table.column(ENTITY).to_pylist(), table.column("score").to_pylist(), strict=True))
        return found


@pytest.fixture
def results(scoring: ScorerRig, tmp_path: Path) -> Results:
    return Results(scoring, tmp_path)


def test_what_the_next_job_lacks_is_kept_and_what_it_has_is_not(results: Results):
    before = results.of(1, {"ada": 1.0, "bob": 2.0, "cid": 3.0}, NOW - DAY)
    at = results.kept(results.of(2, {"bob": 9.0, "dora": 9.0}, NOW), before)
    assert results.read(at) == {"ada": 1.0, "cid": 3.0}
    nobody = results.kept(results.of(3, {"ada": 1.0, "bob": 1.0, "cid": 1.0}, NOW), before)
    assert results.read(nobody) == {}


def test_what_was_kept_before_stays_until_it_is_too_old(results: Results):
    first = results.of(1, {"ada": 1.0, "bob": 2.0}, NOW - 5 * DAY)
    second = results.of(2, {"bob": 3.0, "cid": 4.0}, NOW - DAY)
    second = results.of(2, {"bob": 3.0, "cid": 4.0}, NOW - DAY, results.kept(second, first))
    third = results.of(3, {"cid": 5.0}, NOW)
    assert results.read(results.kept(third, second)) == {"ada": 1.0, "bob": 3.0}
    fourth = results.of(4, {"cid": 5.0}, NOW)
    assert results.read(results.kept(fourth, second, keep_for=2 * DAY)) == {"bob": 3.0}


def test_whoever_goes_on_finds_the_file_that_was_written_first(results: Results):
    before = results.of(1, {"ada": 1.0}, NOW - DAY)
    now = results.of(2, {"bob": 2.0}, NOW)
    at = results.kept(now, before)
    assert results.read(results.kept(now, results.of(7, {"eve": 1.0}, NOW - DAY))) == results.read(at) == {"ada": 1.0}
