"""What the scorer can be told."""

import pytest
from headrace_scorer.settings import ScorerSettings
from pydantic import ValidationError


def test_the_database_has_to_be_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SCORER_DATABASE_URL", raising=False)
    with pytest.raises(ValidationError, match="database_url"):
        ScorerSettings()  # pyright: ignore[reportCallIssue]
