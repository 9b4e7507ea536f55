"""Makes the secrets of a local installation in Kubernetes: those that Compose's `init` makes, in a folder here.

.venv/bin/python deploy/kubernetes/make_secrets.py [FOLDER]     default: deploy/kubernetes/overlays/local/secrets

What exists is never overwritten. `headrace` makes tokens with HEADRACE_IDENTITY_DIR=FOLDER/identity.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from headrace_stack import description

HERE = Path(__file__).resolve().parent
FOLDERS = ("postgres", "s3", "valkey", "issuer", "identity")


def make(folder: Path) -> None:
    """Make what is missing."""
    services = description.own(description.read(HERE.parent / "topology.toml"))
    for name in (*FOLDERS, *(f"postgres-{one.database}" for one in services if one.database)):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    spec = importlib.util.spec_from_file_location("compose_init", HERE.parent / "tools" / "init.py")
    assert spec is not None
    assert spec.loader is not None
    init = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(init)
    init.make(folder, folder / "given")


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if sys.argv[1:] else HERE / "overlays" / "local" / "secrets").absolute()
    make(chosen)
    sys.stdout.write(f"secrets are in {chosen}\n")
