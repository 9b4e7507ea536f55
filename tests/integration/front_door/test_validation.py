"""Envoy itself accepts what is rendered, in every shape that the settings can give it."""

from pathlib import Path
from typing import Any

import pytest
from front_door import identities
from front_door.api import read_api
from front_door.bootstrap import files, whole
from front_door.identities import Identities
from front_door.process import ConfigurationRefused, find_binary, validate
from front_door.publish import publish
from front_door.settings import FrontDoorSettings

from tests.kit.front_door.edge import targets
from tests.kit.identity.issuer import Issuer, write_denied, write_jwks
from tests.kit.wire.certificates import Authority


def _settings(directory: Path, **told: Any) -> FrontDoorSettings:
    write_jwks(directory, Issuer(), Issuer())
    write_denied(directory, "bob", 'quo"te', "alice")
    return FrontDoorSettings(
        state_dir=directory / "state", jwks_file=directory / "jwks.json", deny_file=directory / "deny.json", **told
    )


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"targets": targets({"registry": "registry:1,other:2"}), "router_rest": "data:3"}, id="names"),
        pytest.param({"cors_origins": "https://a.test,https://b.test"}, id="origins"),
        pytest.param({"cors_origins": "*", "otlp_endpoint": "collector:4317"}, id="traces"),
        pytest.param({"targets": targets({"router-control": "[::1]:9000"}), "concurrency": 2}, id="IPv6"),
    ],
)
async def test_envoy_accepts_what_is_rendered(tmp_path: Path, told: dict[str, Any]):
    settings = _settings(tmp_path, **told)
    await _validated(settings)


async def test_envoy_accepts_certificates_on_both_sides(tmp_path: Path):
    authority = Authority(tmp_path)
    pem = authority.issue("front-door")
    settings = _settings(
        tmp_path, tls_cert=pem.cert, tls_key=pem.key, tls_ca=authority.ca, upstream_tls_ca=authority.ca,
        upstream_tls_cert=pem.cert, upstream_tls_key=pem.key, targets=targets({"registry": "registry:1"}),
    )  # fmt: skip
    await _validated(settings)


async def test_keys_that_are_no_keys_are_refused_by_envoy(tmp_path: Path):
    settings = _settings(tmp_path)
    api = read_api(settings.descriptors)
    publish(settings.state_dir, files(settings, api, Identities('{"keys": []}')))
    with pytest.raises(ConfigurationRefused, match=r"(?i)jwks"):
        await validate(find_binary(settings), whole(settings, api, Identities('{"keys": [{"kty": "EC"}]}')))


async def _validated(settings: FrontDoorSettings) -> None:
    api = read_api(settings.descriptors)
    believed = identities.read(settings.jwks_file, settings.deny_file)
    publish(settings.state_dir, files(settings, api, believed))
    await validate(find_binary(settings), whole(settings, api, believed))
