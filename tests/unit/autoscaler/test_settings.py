"""What the autoscaler can be told."""

import pytest
from headrace_autoscaler.settings import AutoscalerSettings
from pydantic import ValidationError


def test_the_database_has_to_be_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AUTOSCALER_DATABASE_URL", raising=False)
    with pytest.raises(ValidationError, match="database_url"):
        AutoscalerSettings()  # pyright: ignore[reportCallIssue]
