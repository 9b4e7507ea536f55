"""How fast answers are published: random ones for a version of a model on a running stack, through the front door.

    .venv/bin/python benchmarks/precompute.py recommender --version v1 --rows 1000000

It prints one JSON object. The publish is committed and then taken back, unless --keep is given.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

import numpy as np
from headrace_client import Answers, Client
from headrace_client.chunks import Opened

BATCH_ROWS = 8192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model")
    parser.add_argument("--version", default="")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    with Client() as client:
        opened = client.precomputed.begin(arguments.model, version=arguments.version, row_count=arguments.rows)
        begun = time.monotonic()
        rows = client.precomputed.upload(opened, lambda: batches(opened, arguments.rows), total=arguments.rows)
        uploaded = time.monotonic()
        done = client.precomputed.commit(opened.name, row_count=rows)
        committed = time.monotonic()
        if not arguments.keep:
            version = opened.name.split("/")[3]
            client.precomputed.revert(arguments.model, version, generation=done.publish.generation)
    print(
        json.dumps(
            {
                "rows": rows,
                "row_bytes": sum(4 * int(np.prod(one.shape or (1,))) for one in opened.outputs),
                "upload_s": round(uploaded - begun, 2),
                "rows_per_s": round(rows / (uploaded - begun)),
                "commit_s": round(committed - uploaded, 2),
            }
        )
    )


def batches(opened: Opened, rows: int) -> Iterator[Answers]:
    """Yield rows of random floats; every output of the version has to be of floats."""
    draw = np.random.default_rng(1)
    for begin in range(0, rows, BATCH_ROWS):
        count = min(BATCH_ROWS, rows - begin)
        outputs = {one.name: draw.random((count, *one.shape), np.float32) for one in opened.outputs}
        yield Answers([f"item-{row}" for row in range(begin, begin + count)], outputs)


if __name__ == "__main__":
    main()
