"""What a signature of a version that is code signs: its name, its format, and every file by its SHA-256."""

from __future__ import annotations

from headrace_registry.decisions.models import Version

SIGNATURE_FILE = "signature.json"
FIRST_LINE = "headrace code 1"


def statement(version: Version) -> bytes:
    """Return the bytes that are signed, the same wherever they are made (`headrace_client/code_signing.py`)."""
    files = sorted((one.name, one.sha256) for one in version.artifacts if one.name != SIGNATURE_FILE)
    lines = [FIRST_LINE, f"models/{version.ref.model}/versions/{version.ref.version}", str(version.format)]
    return "\n".join([*lines, *(f"{sha256} {name}" for name, sha256 in files)]).encode()
