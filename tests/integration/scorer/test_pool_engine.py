"""Jobs that batchers score, those that answer online requests: behind callers, and with the same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import numpy as np
import pytest
from headrace.scorer.v1 import scorer_pb2 as pb

from tests.kit.batcher.service import BatcherRig, batcher_rig
from tests.kit.scorer.scripted_batchers import fleet
from tests.kit.scorer.service import MODEL, ScorerRig, created, features, over, parquet, scorer
from tests.kit.stores.servers import S3Store

ROWS = 3000


@pytest.fixture
async def batchers(s3: S3Store, tmp_path: Path, triton_command: Path) -> AsyncIterator[BatcherRig]:
    folder = tmp_path / "batcher"
    folder.mkdir()
    async with batcher_rig(s3, folder, "onnxruntime", triton_command) as rig:
        yield rig


@pytest.mark.long
async def test_a_job_of_the_pool_has_the_answers_of_the_model_and_waits_while_no_batcher_has_the_version(
    scoring: ScorerRig, batchers: BatcherRig
):
    table = features(ROWS)
    scoring.put("in/a.parquet", parquet(table, group_rows=1000))
    options = pb.ScoringOptions(shard_rows=1000, engine=pb.ScoringOptions.ENGINE_POOL, pool="default")
    spec = scoring.spec(options=options)
    estimate = pb.EstimateScoringJobRequest(parent=f"models/{MODEL}", spec=spec)
    version = await batchers.version(MODEL, scoring.model)
    scoring.registry.versions[MODEL]["v1"].digest = version.digest
    # As of a format that only batchers run.
    del scoring.registry.versions[MODEL]["v1"].artifacts[:]
    async with fleet() as (known, control), scorer(scoring, {"SCORER_CONTROL_TARGET": control}) as (_, stub):
        job = await created(stub, spec)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.EstimateScoringJob(estimate, timeout=60)
        assert "name it in the model's route" in (refused.value.details() or "")
        batchers.want(version)
        async with batchers.running() as runtime:
            known.members[runtime.servers[0].address] = version.digest
            job = await over(stub, job.name)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert set(known.asked_for) == {"default"}
    assert job.spec.options.engine == pb.ScoringOptions.ENGINE_POOL
    assert job.manifest.batch_rows == 8
    found = scoring.scored(job.output_uri)
    given = np.stack([table.column(f"x{at}").to_numpy() for at in range(4)], axis=1)
    expected = scoring.model.expected({"features": given})["scores"]
    assert found.column("id").to_pylist() == table.column("id").to_pylist()
    np.testing.assert_allclose(np.array(found.column("scores").to_pylist()), expected, rtol=1e-5, atol=1e-6)
