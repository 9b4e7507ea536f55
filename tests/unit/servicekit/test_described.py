"""Settings as data, and as `--help` shows them."""

from pathlib import Path
from typing import Literal

from headrace_servicekit.described import described, settings_help
from headrace_servicekit.settings import StrictSettings, settings_config
from pydantic import Field


class Sample(StrictSettings):
    """One of each kind."""

    model_config = settings_config("SAMPLE_")

    url: str = Field(description="Where\n rows live.")
    folder: Path | None = Field(None, description="Where files lie.")
    wait_s: float = Field(1800.0, description="How long.")
    patience_s: float = Field(0.005, description="How long at most.")
    max_uploads: int = Field(8, description="How many.")
    mode: Literal["here", "there"] = Field("here", description="Which.")
    durable: bool = Field(True, description="Whether.")
    origins: tuple[str, ...] = Field(("a", "b"), description="From where.")


def test_a_setting_says_its_kind_unit_default_and_meaning():
    by_name = {one.variable: one[1:] for one in described(Sample)}
    assert by_name == {
        "SAMPLE_URL": ("text", "", None, True, "Where rows live."),
        "SAMPLE_FOLDER": ("path", "", None, False, "Where files lie."),
        "SAMPLE_WAIT_S": ("number", "s", "1800", False, "How long."),
        "SAMPLE_PATIENCE_S": ("number", "s", "0.005", False, "How long at most."),
        "SAMPLE_MAX_UPLOADS": ("number", "uploads", "8", False, "How many."),
        "SAMPLE_MODE": ("here, there", "", "here", False, "Which."),
        "SAMPLE_DURABLE": ("yes or no", "", "true", False, "Whether."),
        "SAMPLE_ORIGINS": ("list", "", "a,b", False, "From where."),
    }


def test_what_is_shown_as_a_default_can_be_told(monkeypatch):
    monkeypatch.setenv("SAMPLE_URL", "x")
    for one in described(Sample):
        if one.default and one.kind != "list":
            monkeypatch.setenv(one.variable, one.default)
    assert Sample.load() == Sample.model_validate({"url": "x"})


def test_help_names_every_setting_with_its_default():
    shown = settings_help(Sample)
    assert "SAMPLE_URL (required)\n      Where rows live." in shown
    assert "SAMPLE_FOLDER (unset)" in shown
    assert "SAMPLE_WAIT_S (1800, s)" in shown
