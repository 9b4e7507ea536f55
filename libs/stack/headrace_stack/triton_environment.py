"""Builds Triton's own environment below `.headrace/triton-venv`: its wheel wants numpy < 2, which the services do not.

The wheel carries the server, the Python backend and that backend's stub for each Python in three places. A backend
directory is put together from them, with deploy/triton/backend/model.py as the backend `onnxruntime`; models' processes
start with what is in deploy/triton/startup.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from headrace_stack import environments

_BACKEND = Path("backend", "model.py")
_STARTUP = tuple(Path("startup", name) for name in ("sitecustomize.py", "headrace_turns.py", "headrace_budget.py"))


def build(checkout: Path) -> bool:
    """Build the environment; return False when it was there already. Raises CalledProcessError when uv fails."""
    ours = checkout / "deploy" / "triton"
    return environments.build(
        checkout,
        "triton-venv",
        ours / "requirements.txt",
        ours / _BACKEND,
        *(ours / file for file in _STARTUP),
        finish=lambda made: compose(made, ours),
    )


def compose(environment: Path, ours: Path) -> None:
    """Put the Python backend with this Python's stub, and the backend `onnxruntime`, below `triton-backends`.

    ours: deploy/triton.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    site = environment / "lib" / f"python{version}" / "site-packages"
    server = site / "pytriton" / "tritonserver"
    target = environment / "triton-backends"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(server / "backends" / "python", target / "python")
    shutil.copy2(server / "python_backend_stubs" / version / "triton_python_backend_stub", target / "python")
    (target / "onnxruntime").mkdir()
    shutil.copy2(ours / _BACKEND, target / "onnxruntime" / "model.py")
    for file in _STARTUP:
        shutil.copy2(ours / file, site)


def main(arguments: Sequence[str]) -> None:
    """Build the environment of this checkout, or compose the backends of one that an image is built with."""
    if arguments[:1] == ["--compose"]:
        compose(Path(arguments[1]), Path("deploy", "triton"))
    else:
        build(Path.cwd())


if __name__ == "__main__":
    main(sys.argv[1:])
