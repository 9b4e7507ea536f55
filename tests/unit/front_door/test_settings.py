from pathlib import Path

import pytest
from front_door.settings import FrontDoorSettings, split_address
from headrace_registry.settings import RegistrySettings
from headrace_servicekit.settings import SettingsError

from tests.kit.front_door.edge import settings_with, targets
from tests.kit.rows import each


@each(
    "told,named",
    [
        ({"targets": targets({"registry": "nowhere"})}, "host:port"),
        ({"targets": "registry"}, "service=host:port"),
        ({"targets": "registry=a:1"}, "needs .*router-control=host:port.* too"),
        ({"targets": targets({"batcher": "a:1"})}, "batcher offers nothing here; those that do are"),
        ({"targets": targets({"registry": ""})}, "at least one"),
        ({"router_data": "127.0.0.1:70000"}, "host:port"),
        ({"state_dir": Path("/s" * 60)}, "state_dir is 24 bytes too long"),
        ({"tls_cert": "/a.pem"}, "belong together"),
        ({"tls_ca": "/ca.pem"}, "tls_ca needs"),
        ({"upstream_tls_cert": "/a", "upstream_tls_key": "/b"}, "upstream_tls_ca"),
        ({"poll_s": 10}, "less than or equal to 5"),
    ],
)
def test_what_cannot_work_is_refused(told: dict, named: str):
    with pytest.raises(ValueError, match=named):
        settings_with(**told)


def test_lists_are_written_with_commas():
    settings = settings_with(targets=targets({"registry": "a:1, b:2"}), cors_origins="https://x.test")
    assert settings.behind["registry"] == ("a:1", "b:2")
    assert settings.cors_origins == ("https://x.test",)


def test_an_unknown_variable_is_refused_with_the_name_that_was_meant(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FRONT_DOOR_PROT", "1")
    monkeypatch.setenv("FRONT_DOOR_STATE_DIR", "/s")
    monkeypatch.setenv("FRONT_DOOR_JWKS_FILE", "/j")
    with pytest.raises(SettingsError, match="FRONT_DOOR_PORT"):
        FrontDoorSettings.load()


@pytest.mark.parametrize(
    ("address", "parts"), [("a:1", ("a", 1)), ("[::1]:80", ("::1", 80)), ("a", ("", 0)), ("a:x", ("a", 0))]
)
def test_addresses_are_split(address: str, parts: tuple[str, int]):
    assert split_address(address) == parts


def test_an_upload_may_be_silent_while_the_registry_looks_into_the_file():
    """Seen on a busy machine: the front door ended the call, and the registry's answer reached nobody."""
    silent_s = FrontDoorSettings.model_fields["upload_idle_timeout_s"].default
    assert silent_s > RegistrySettings.model_fields["onnx_check_timeout_s"].default
