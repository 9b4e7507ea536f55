"""What the process that fetches files is started with, and how long a line to it may be."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

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
