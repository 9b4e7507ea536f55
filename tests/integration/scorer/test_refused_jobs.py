"""Jobs that cannot be: everything that does not fit is said before anything is queued."""

from __future__ import annotations

import pytest
from headrace.registry.v1 import registry_pb2
from headrace.scorer.v1 import scorer_pb2 as pb

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.scorer.service import MODEL, ScorerRig, created, features, parquet, scorer

Columns, Expression = pb.ScoringSpec.TensorColumns, pb.ScoringSpec.ColumnExpression


@pytest.mark.long
async def test_what_does_not_fit_is_said_before_a_job_is_queued(scoring: ScorerRig):
    whole = parquet(features(100))
    scoring.put("in/a.parquet", whole)
    scoring.put("cut/a.parquet", whole[:-100])
    scoring.put("nothing/_SUCCESS", b"")
    scoring.put("odd/a.txt", b"x")
    async with scorer(scoring) as (_, stub):

        async def reason(prefix: str = "in", **how: object) -> str:
            return await reason_of(created(stub, scoring.spec(prefix, **how)))

        wrong = await refused(
            created(
                stub,
                scoring.spec(
                    tensors=[Columns(tensor="features", columns=["x0", "id"]), Columns(tensor="other", columns=["x1"])],
                    keep_columns=["gone"],
                    output_columns=[Expression(column="y", expression="random()")],
                ),
            )
        )
        assert wrong.reason == "MAPPING_MISMATCH"
        told = " ".join(one.description for one in wrong.violations)
        for part in (
            "no input 'other'",
            "2 columns are named",
            "column 'id' has string",
            "no column 'gone'",
            "random()",
        ):
            assert part in told
        assert {one.field for one in wrong.violations} == {
            "spec.tensors",
            "spec.keep_columns",
            "spec.output_columns",
        }
        assert await reason(derived_columns=[Expression(column="d", expression="x0 +")]) == "MAPPING_MISMATCH"
        assert await reason("cut") == "INPUT_UNREADABLE"
        assert await reason("nothing") == "INPUT_EMPTY"
        assert await reason("odd") == "FORMAT_UNKNOWN"
        elsewhere = await refused(
            created(stub, scoring.spec(input=pb.ScoringSpec.Input(uri="s3://headrace-monitor/log")))
        )
        assert (elsewhere.reason, elsewhere.violations[0].field) == ("SPEC_INVALID", "spec.input.uri")
        assert "SCORER_BUCKETS" in elsewhere.public_message
        assert await reason(version="v9") == "VERSION_NOT_FOUND"
        assert await reason(version="", alias="champion") == "ALIAS_NOT_FOUND"
        scoring.registry.versions[MODEL]["v1"].artifacts[0].name = "model.pt"
        scoring.registry.versions[MODEL]["v1"].format = registry_pb2.FORMAT_TORCHSCRIPT
        assert await reason() == "FORMAT_NOT_SCORED"
        scoring.registry.versions[MODEL]["v1"].artifacts[0].name = "model.onnx"
        scoring.registry.versions[MODEL]["v1"].pipeline.SetInParent()
        assert await reason() == "FORMAT_NOT_SCORED"
        scoring.registry.versions[MODEL]["v1"].pipeline.fuse = True  # one file of all steps, run like any model
        scoring.registry.versions[MODEL]["v1"].contract.decoupled = True
        for engine in (pb.ScoringOptions.ENGINE_WORKERS, pb.ScoringOptions.ENGINE_POOL):
            several = await refused(created(stub, scoring.spec(options=pb.ScoringOptions(engine=engine))))
            assert (several.reason, "answers in parts" in several.public_message) == ("FORMAT_NOT_SCORED", True)
        scoring.registry.versions[MODEL]["v1"].contract.decoupled = False

        checked = await created(stub, scoring.spec(version=""), validate_only=True)
        assert (checked.version, checked.state) == ("v1", pb.ScoringJob.STATE_QUEUED)
        listed = await stub.ListScoringJobs(pb.ListScoringJobsRequest(), timeout=10)
        assert not listed.jobs
        assert not scoring.registry.holds
        assert (
            await reason_of(
                stub.GetScoringJob(pb.GetScoringJobRequest(name=f"models/{MODEL}/scoringJobs/7"), timeout=10)
            )
            == "SCORING_JOB_NOT_FOUND"
        )
