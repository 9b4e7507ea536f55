"""A scorer with a signing policy scores by what its signers have signed, when a job is created and when it runs."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from headrace.registry.v1 import registry_pb2
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit import signing
from tests.kit.clients.refusals import reason_of
from tests.kit.scorer.service import MODEL, ScorerRig, created, over, scorer
from tests.kit.scorer.stopped_jobs import slow_job


def sign(scoring: ScorerRig, version: str, key: signing.Key, folder: Path) -> None:
    """Add a signature to a version."""
    artifacts = scoring.registry.versions[MODEL][version].artifacts
    stored = scoring.client.get_object(Bucket=scoring.s3.bucket, Key=f"blobs/sha256/{artifacts[0].sha256}")
    content = key.sign_files(folder, {"model.onnx": stored["Body"].read()})
    sha256 = hashlib.sha256(content).hexdigest()
    scoring.registry.uploads[sha256] = content
    artifacts.add(name="signature.json", type=registry_pb2.Artifact.TYPE_JSON, sha256=sha256, size_bytes=len(content))


@pytest.mark.long
async def test_a_job_of_an_unsigned_version_is_refused_and_one_of_a_revoked_key_ends(
    scoring: ScorerRig, tmp_path: Path
):
    key, policy = signing.key_in(tmp_path, "release"), tmp_path / "policy.toml"
    policy.write_text(signing.policy({"release": key}, serving=["release"]))
    spec = slow_job(scoring)
    async with scorer(scoring, {"SCORER_SIGNING_POLICY_FILE": str(policy)}) as (_, stub):
        assert await reason_of(created(stub, spec)) == "NOT_SIGNED"
        await asyncio.to_thread(sign, scoring, "v2", key, tmp_path / "signed")
        job = await created(stub, spec)
        await stub.PauseScoringJob(pb.PauseScoringJobRequest(name=job.name), timeout=10)

        revoked = signing.policy({"release": key}, revoked={"release": "laptop stolen"}, serving=["release"])
        await asyncio.to_thread(policy.write_text, revoked)

        async def refused() -> bool:
            try:
                await created(stub, spec, validate_only=True)
            except Exception as error:
                return "laptop stolen" in str(error)
            return False

        await eventually(refused, within=15, every=0.2)
        await stub.ResumeScoringJob(pb.ResumeScoringJobRequest(name=job.name), timeout=10)
        ended = await over(stub, job.name)
        assert (ended.state, ended.failure) == (pb.ScoringJob.STATE_FAILED, "SIGNER_REVOKED")
        assert "laptop stolen" in ended.reason
