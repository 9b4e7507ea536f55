"""Becomes tritonserver: sets what the wheel's binary needs and the options that never vary. Started by `launch`.

The environment that runs this file is Triton's own; its backends were put together by `make setup`.
"""

import ctypes
import glob
import os
import signal
import sys
import sysconfig
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_SHM_PREFIX = "headrace_triton_"

_OPTIONS = (
    # The batcher loads and unloads by name; nothing else changes what is served.
    "--model-control-mode=explicit",
    # A model says all it is in its config.pbtxt: nothing is guessed from the file.
    "--disable-auto-complete-config",
    "--strict-readiness=true",
    # Only gRPC, only here: the batcher is the one caller. A socket's address takes the place of this one.
    "--allow-http=false",
    "--grpc-address=127.0.0.1",
    "--metrics-address=127.0.0.1",
    "--allow-gpu-metrics=false",
    "--log-info=false",
    "--exit-timeout-secs=5",
    # As many as BATCHER_LOADS_AT_ONCE may be.
    "--model-load-thread-count=4",
    "--cuda-memory-pool-byte-size=0:0",
    "--pinned-memory-pool-byte-size=0",
)


def main(arguments):
    environment = Path(sys.prefix)
    site = Path(sysconfig.get_path("purelib"))
    server = site / "pytriton" / "tritonserver"
    backends = environment / "triton-backends"
    if not backends.is_dir():
        sys.exit(f"launch: {backends} does not exist: run `make setup`")
    die_with_parent()
    os.umask(0o077)  # a socket is for this user alone
    remove_stale_shared_memory()
    libraries = (str(site / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR"))
    variables = {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(libraries),
        # The Python backend's stub finds its packages through the python3 that comes first here.
        "PATH": f"{environment / 'bin'}:{os.environ.get('PATH', os.defpath)}",
    }
    # For the stub, whose numpy multiplies nothing: threads for that would spin for tens of milliseconds at its start.
    variables.setdefault("OPENBLAS_NUM_THREADS", "1")
    # For the stub: `startup/sitecustomize.py` acts on it.
    variables["HEADRACE_MODEL_PROCESS"] = "1"
    for name in ("PYTHONHOME", "PYTHONPATH"):  # of another environment
        variables.pop(name, None)
    binary = str(server / "bin" / "tritonserver")
    fixed = (
        f"--backend-directory={backends}",
        f"--backend-config=python,shm-region-prefix-name={_SHM_PREFIX}{os.getpid()}_",
    )
    os.execve(binary, [binary, *fixed, *_OPTIONS, *arguments], variables)


def die_with_parent():
    """Triton lives no longer than the batcher that started it."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def remove_stale_shared_memory():
    """Remove what killed Tritons of ours left in /dev/shm; the process id is part of each name."""
    for path in glob.glob(f"/dev/shm/{_SHM_PREFIX}*"):
        owner = path.removeprefix(f"/dev/shm/{_SHM_PREFIX}").split("_")[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            try:
                os.unlink(path)
            except OSError:
                continue  # another user's


if __name__ == "__main__":
    main(sys.argv[1:])
