"""Versions that never load keep no other from loading, and are ended at their budget or when nobody wants them."""

import os
from pathlib import Path

import numpy as np
import pytest
from headrace_batcher.decisions import turns
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.hostile import slow_models
from tests.kit.models import onnx_models
from tests.kit.models.triton_processes import STUB, triton_pids

CPU_S, ATTEMPT_S = 5.0, 30.0
# Shorter than usual, so that the test is.
ALONE_S, SHARE_S = 1.0, 2.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def loading(rig: BatcherRig) -> dict[int, float]:
    """Return the processes of hostile versions, and the seconds of a processor that each has used."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        stub = b"stub" in command and b"/hostile-" in command
        if str(rig.settings["state_dir"]).encode() in command and (stub or b"onnx_trial" in command):
            found[int(process.name)] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    return found


@pytest.mark.long
async def test_a_good_version_wanted_after_six_that_never_load_is_ready_within_one_attempt(
    rig: BatcherRig, monkeypatch
):
    monkeypatch.setattr(turns, "ALONE_S", ALONE_S)
    monkeypatch.setattr(turns, "SHARE_S", SHARE_S)
    hostile = [await rig.version(f"hostile-{seed}", slow_models.billion_laughs(seed=seed), "v1") for seed in range(6)]
    good = await rig.version("zz-good", onnx_models.linear())
    rig.want(pending=hostile)
    bounds = {"load_timeout_s": ATTEMPT_S, "load_cpu_s": CPU_S}
    async with rig.running(**bounds) as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await eventually(lambda: loading(rig), within=30)
        rig.want(pending=[*hostile, good])
        await client.until_ready(good.digest, within=ATTEMPT_S)
        assert len(loading(rig)) <= 2
        reason = await rig.until_failed(hostile[0].digest, within=120)
        # On a busy machine the time is up before that much of a processor was to be had.
        assert "of a processor" in reason or "it was not loaded within" in reason
        assert all(used_s <= CPU_S + 2 for used_s in loading(rig).values())

        await eventually(lambda: loading(rig), within=60)
        rig.want(pending=[good])
        await eventually(lambda: not loading(rig), within=3)
        await client.infer(good.digest, [np.ones((1, 4), dtype=np.float32)])


@pytest.mark.long
async def test_a_warm_up_that_never_ends_is_ended_in_triton_and_keeps_no_other_from_loading(
    triton_rig: BatcherRig, monkeypatch
):
    monkeypatch.setattr(turns, "ALONE_S", 0.2)
    endless = await triton_rig.version("endless", onnx_models.slow(10**9), max_batch_rows=1)
    good = await triton_rig.version("zz-good", onnx_models.linear())
    triton_rig.want(endless, good)
    # The good one is not given the time of an attempt of the other.
    bounds = {"load_timeout_s": 60.0, "execution_timeout_s": 2.0}
    async with triton_rig.running(**bounds) as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(good.digest, within=30)
        await triton_rig.until_failed(endless.digest)
        await eventually(lambda: not triton_pids(triton_rig.models / "endless--v1", STUB), within=5)
        await client.infer(good.digest, [np.ones((1, 4), dtype=np.float32)])
