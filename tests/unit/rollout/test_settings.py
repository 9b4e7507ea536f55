"""What the rollout service can be told."""

import pytest
from headrace_rollout.settings import RolloutSettings
from pydantic import ValidationError


def test_what_it_calls_has_to_be_named(monkeypatch: pytest.MonkeyPatch):
    needed = ("database_url", "control_target", "registry_target", "monitor_target")
    for name in needed:
        monkeypatch.delenv(f"ROLLOUT_{name.upper()}", raising=False)
    with pytest.raises(ValidationError) as refused:
        RolloutSettings()  # pyright: ignore[reportCallIssue]
    assert {error["loc"][0] for error in refused.value.errors()} == set(needed)
