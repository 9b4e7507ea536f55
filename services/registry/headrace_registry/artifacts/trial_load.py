"""Loading a model once, in the process that reads what strangers upload: what never ends there reaches no batcher.

A model that ONNX Runtime says it cannot load is taken all the same: the pool that is to serve it may have another
runtime, or operators of its own.
"""

from __future__ import annotations

import resource
import time

# As much as a batcher gives a version.
CPU_S = 30.0
_FATAL = 4
_NO_MEMORY = ("bad_alloc", "bad allocation", "MemoryError")


def load(path: str) -> bool:
    """Load a file with ONNX Runtime; return whether it does. Raises MemoryError.

    The kernel ends this process by SIGXCPU when that takes more than `CPU_S` of a processor.
    """
    import onnxruntime  # what is refused before does not need it

    before = resource.getrlimit(resource.RLIMIT_CPU)
    limit, most = int(time.process_time() + CPU_S) + 1, before[1]
    resource.setrlimit(resource.RLIMIT_CPU, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    try:
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError from None
        return False
    finally:
        # The budget is the load's: a process that lives on (tests check files in their own) is not to die of it later.
        resource.setrlimit(resource.RLIMIT_CPU, before)
    return True
