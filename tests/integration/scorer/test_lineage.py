"""RunEvents of OpenLineage on their way to whoever collects them."""

from __future__ import annotations

from pathlib import Path

import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit.registry.lineage import Collector
from tests.kit.scorer.service import ScorerRig, created, features, over, parquet, scorer


@pytest.mark.long
async def test_a_run_is_told_from_its_start_to_its_end_in_order(scoring: ScorerRig, tmp_path: Path):
    key = tmp_path / "key"
    key.write_text("secret\n")
    scoring.put("in/a.parquet", parquet(features(1_000)))
    with Collector.started() as collector:
        collector.refuses = True
        told = {
            "SCORER_LINEAGE_URL": collector.url,
            "SCORER_LINEAGE_KEY_FILE": str(key),
            "SCORER_WEBHOOK_ALLOW": collector.address,
            "SCORER_WEBHOOK_RETRY_S": "0.2",
        }
        async with scorer(scoring, told) as (_, stub):
            name = (await created(stub, scoring.spec())).name
            await eventually(lambda: collector.refused, within=60)
            collector.refuses = False
            job = await over(stub, name)
            assert job.state == pb.ScoringJob.STATE_SUCCEEDED
            await eventually(lambda: collector.events and collector.events[-1]["eventType"] == "COMPLETE", within=60)
    types = [event["eventType"] for event in collector.events]
    assert (types[0], types[-1]) == ("START", "COMPLETE")
    assert "RUNNING" in types
    assert len({event["run"]["runId"] for event in collector.events}) == 1
    assert collector.keys == {"Bearer secret"}
    (output,) = collector.events[-1]["outputs"]
    assert f"{output['namespace']}/{output['name']}" == job.output_uri
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 1_000
