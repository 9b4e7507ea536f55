"""Where model files come from and are kept: what the process that fetches them is started with."""

from __future__ import annotations

import configparser
import json
from dataclasses import asdict, dataclass
from pathlib import Path

# A list of all the versions that a process holds.
LINE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where files come from, and where they are kept. endpoint: None means AWS; credentials: the file's path.

    max_bytes: of files that nothing wants any more. fetch_timeout_s: longest time that one download may take.
    """

    root: str
    endpoint: str | None
    bucket: str
    region: str
    credentials: str | None
    max_bytes: int
    fetch_timeout_s: float

    def to_json(self) -> str:
        """Return it as the argument of the process."""
        return json.dumps(asdict(self))


def read_credentials(path: Path) -> dict[str, str]:
    """Return the keys of the profile `default` of an AWS shared-credentials file, as a session takes them.

    Raises OSError, KeyError.
    """
    parsed = configparser.ConfigParser(interpolation=None)
    with path.open(encoding="utf-8") as file:
        parsed.read_file(file)
    profile = parsed["default"]
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return {name: profile[name] for name in names if name in profile}
