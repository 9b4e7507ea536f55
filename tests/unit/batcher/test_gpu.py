"""What Triton says of its GPUs becomes two shares, or nothing."""

import pytest
from headrace_batcher.loading.gpu import GpuLoad, GpuWatch, load_of
from headrace_servicekit.testing import free_port

# As NVIDIA's Triton 2.5x prints it, of two GPUs.
TEXT = """\
# HELP nv_gpu_utilization GPU utilization rate [0.0 - 1.0)
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="GPU-a"} 0.9
nv_gpu_utilization{gpu_uuid="GPU-b"} 0.5
# HELP nv_gpu_memory_total_bytes GPU total memory, in bytes
# TYPE nv_gpu_memory_total_bytes gauge
nv_gpu_memory_total_bytes{gpu_uuid="GPU-a"} 80000000000
nv_gpu_memory_total_bytes{gpu_uuid="GPU-b"} 80000000000
# HELP nv_gpu_memory_used_bytes GPU used memory, in bytes
# TYPE nv_gpu_memory_used_bytes gauge
nv_gpu_memory_used_bytes{gpu_uuid="GPU-a"} 60000000000
nv_gpu_memory_used_bytes{gpu_uuid="GPU-b"} 20000000000
"""


def test_the_load_is_over_all_gpus():
    assert load_of(TEXT) == GpuLoad(0.7, 0.5, 80_000_000_000)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="no GPU"),
        pytest.param(TEXT.replace("0.9", "NaN"), id="no number"),
        pytest.param(TEXT.replace("0.9", "90"), id="no share"),
        pytest.param(TEXT.replace(" 80000000000", " 0"), id="no memory, as MIG hides it"),
    ],
)
def test_what_cannot_be_is_not_told(text: str):
    assert load_of(text) is None


async def test_a_triton_that_does_not_answer_says_nothing():
    watch = GpuWatch(f"http://127.0.0.1:{free_port()}/metrics")
    watch.load = GpuLoad(0.5, 0.5)
    await watch.look()
    assert watch.load is None
