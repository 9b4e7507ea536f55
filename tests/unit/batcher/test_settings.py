"""The README tells the settings as they are."""

from pathlib import Path

import pytest
from headrace_batcher.settings import BatcherSettings
from headrace_servicekit.testing import assert_readme_has_settings

README = Path(__file__).parents[3] / "services" / "batcher" / "README.md"


def test_the_readme_has_the_settings_table():
    assert_readme_has_settings(README, BatcherSettings)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        pytest.param({"backend": "oip"}, "oip needs BATCHER_OIP_TARGET", id="no server"),
        pytest.param({"oip_model_name": "{model}"}, "two versions would be one", id="a name for all versions"),
        pytest.param({"oip_model_name": "{model}-{stage}"}, "only {model} and {version}", id="an unknown name"),
    ],
)
def test_a_server_of_others_must_be_known_and_tell_versions_apart(given, complaint):
    with pytest.raises(ValueError, match=complaint):
        BatcherSettings.model_validate({"control_target": "a:1", "state_dir": "/tmp", **given})


def test_a_version_may_be_named_beside_the_model():
    given = {"control_target": "a:1", "state_dir": "/tmp", "backend": "oip", "oip_target": "b:2"}
    named = {"oip_model_name": "{model}", "oip_model_version": "{version}"}
    assert BatcherSettings.model_validate({**given, **named}).oip_model_version == "{version}"
