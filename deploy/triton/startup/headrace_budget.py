"""Limits of a model's load, enforced by the kernel: the process belongs to the one model.

Past the CPU time the kernel ends the process; past the memory the loader's allocations fail. The soft limits are set
and taken back; serving has none of them.
"""

import contextlib
import json
import resource
import time

_SPARE_BYTES = 1024**3 + 64 * 1024**2


def of(model_config):
    """Return seconds of a processor and bytes of memory, None where a model's configuration (JSON) has none."""
    given = json.loads(model_config).get("parameters", {})
    cpu_s = given.get("headrace_load_cpu_s", {}).get("string_value")
    memory_bytes = given.get("headrace_load_memory_bytes", {}).get("string_value")
    return (None if cpu_s is None else float(cpu_s)), (None if memory_bytes is None else int(memory_bytes))


@contextlib.contextmanager
def kept(cpu_s, memory_bytes):
    """Limit this process, on top of what it has used and holds, until the block ends. Raises MemoryError.

    ONNX Runtime ignores a constant, of at most a GiB, that it cannot allocate: the limit exceeds the budget by a GiB,
    so that a model over budget is measured as such.
    """
    limits = {resource.RLIMIT_CORE: 0}  # who is ended at the limit leaves no core
    if cpu_s is not None:
        # Whole seconds are counted: a part of one is given on top.
        limits[resource.RLIMIT_CPU] = int(time.process_time() + cpu_s) + 1
    allowed = None if memory_bytes is None else _status_bytes("VmSize") + memory_bytes
    if allowed is not None:
        limits[resource.RLIMIT_AS] = allowed + _SPARE_BYTES
    before = {which: resource.getrlimit(which) for which in limits}
    for which, limit in limits.items():
        soft, hard = before[which]
        lowest = min(one for one in (limit, soft, hard) if one != resource.RLIM_INFINITY)
        resource.setrlimit(which, (lowest, hard))
    try:
        yield
        if allowed is not None and _status_bytes("VmPeak") > allowed:
            raise MemoryError(f"bad allocation: more than {memory_bytes} bytes")
    finally:
        for which, limit in before.items():
            resource.setrlimit(which, limit)


def _status_bytes(name):
    with open("/proc/self/status") as opened:
        line = next(line for line in opened if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
