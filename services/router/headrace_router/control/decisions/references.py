"""How variants and backups name their version."""

from __future__ import annotations

import enum


class Serves(enum.Enum):
    """By its id, as whatever is in production, or as whatever an alias names."""

    VERSION = "version"
    PRODUCTION = "production"
    ALIAS = "alias"
