"""What the rollout can be told."""

import pytest
from headrace_rollout.settings import RolloutSettings
from pydantic import ValidationError


def test_the_database_has_to_be_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ROLLOUT_DATABASE_URL", raising=False)
    with pytest.raises(ValidationError, match="database_url"):
        RolloutSettings()  # pyright: ignore[reportCallIssue]
