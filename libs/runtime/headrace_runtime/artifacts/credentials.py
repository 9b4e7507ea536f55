"""AWS shared-credentials files."""

from __future__ import annotations

import configparser
from pathlib import Path


def read_credentials(path: Path) -> dict[str, str]:
    """Return the keys of the profile `default`, as a session takes them. Raises OSError, KeyError."""
    parsed = configparser.ConfigParser(interpolation=None)
    with path.open(encoding="utf-8") as file:
        parsed.read_file(file)
    profile = parsed["default"]
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return {name: profile[name] for name in names if name in profile}
