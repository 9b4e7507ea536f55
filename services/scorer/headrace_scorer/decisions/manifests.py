"""What accounts for a job: every row that was read is in the results or rejected, and no other is. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from headrace_scorer.decisions.jobs import Job, Manifest
from headrace_scorer.decisions.shards import Shard, output_digest

FILE = "_manifest.json"


@dataclass(frozen=True, slots=True)
class Done:
    """A shard, and what became of it."""

    shard: Shard
    rows: int
    rejected: int
    key: str
    sha256: str
    size_bytes: int
    rejected_key: str
    rejected_sha256: str


class NotBalanced(Exception):
    """Rows are missing, or there are too many."""


def balanced(
    job: Job, done: Sequence[Done], now: datetime, code_version: str, price_per_cpu_hour: float = 0.0
) -> Manifest:
    """Return the manifest of a job whose shards are all done. price_per_cpu_hour: 0 for unknown. Raises NotBalanced."""
    for one in done:
        if one.shard.rows is not None and one.rows != one.shard.rows:
            raise NotBalanced(f"shard {one.shard.number} of {one.shard.key} has {one.shard.rows} rows, not {one.rows}")
    files = [(one.key, one.sha256) for one in done]
    files += [(one.rejected_key, one.rejected_sha256) for one in done if one.rejected_key]
    rows, rejected = sum(one.rows for one in done), sum(one.rejected for one in done)
    manifest = Manifest(
        rows_in=rows,
        rows_out=rows - rejected,
        rows_rejected=rejected,
        input_digest=job.plan.input_digest if job.plan is not None else "",
        output_digest=output_digest(files),
        version_digest=job.version.digest,
        digest="",
        code_version=code_version,
        duration_s=(now - (job.start_time or now)).total_seconds(),
        cpu_s=job.progress.cpu_s,
        batch_rows=job.batch_rows,
        files=len(files),
        uri=job.output.below(FILE).uri,
        cost=job.progress.cpu_s / 3600 * price_per_cpu_hour if price_per_cpu_hour else None,
    )
    whole = json.dumps(asdict(manifest), sort_keys=True).encode()
    return replace(manifest, digest=hashlib.sha256(whole).hexdigest())


def document(job: Job, manifest: Manifest, done: Sequence[Done]) -> bytes:
    """Return the manifest file, as JSON, that is stored with the results."""
    content: dict[str, Any] = {
        "job": job.name,
        "version": f"models/{job.model}/versions/{job.version.id}",
        **asdict(manifest),
        "inputs": [
            {"key": key, "etag": etag, "size_bytes": size}
            for key, etag, size in sorted({(one.shard.key, one.shard.etag, one.shard.size_bytes) for one in done})
        ],
        "files": [
            {"key": one.key, "sha256": one.sha256, "size_bytes": one.size_bytes, "rows": one.rows - one.rejected}
            for one in done
        ],
        "rejected": [
            {"key": one.rejected_key, "sha256": one.rejected_sha256, "rows": one.rejected}
            for one in done
            if one.rejected_key
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False).encode()
