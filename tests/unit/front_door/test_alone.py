"""An Envoy with only the data plane in it: what it answers, and what it must not do to callers of many front doors."""

import json

import pytest
from front_door import alone, data_plane
from front_door.alone import DataPlaneSettings
from front_door.api import Api
from front_door.shapes import Json


@pytest.fixture
def told(tmp_path) -> DataPlaneSettings:
    return DataPlaneSettings(state_dir=tmp_path, jwks_file=tmp_path / "jwks.json", predict_timeout_max_s=3)


def _manager(config: Json) -> Json:
    listener, _ = config["static_resources"]["listeners"]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def test_it_answers_predictions_and_how_it_is_and_nothing_else(told: DataPlaneSettings, api: Api):
    *answered, rest = _manager(alone.bootstrap(told, api))["route_config"]["virtual_hosts"][0]["routes"]
    assert [route["match"] for route in answered[:-1]] == list(data_plane.matches())
    assert answered[-1]["match"]["path"] == alone.READY_PATH
    assert all(route["typed_per_filter_config"].keys() <= {*data_plane.FILTERS} for route in answered)
    assert rest == {"match": {"prefix": "/"}, "direct_response": {"status": 404}}


def test_callers_who_leave_early_cost_the_others_nothing(told: DataPlaneSettings, api: Api):
    config = alone.bootstrap(told, api)
    assert "premature_reset" not in json.dumps(config)
    # The data plane refuses with a reason long before Envoy would keep requests waiting.
    assert _manager(config)["http2_protocol_options"]["max_concurrent_streams"] > 16_384


def test_nothing_that_hangs_is_kept_for_long_after_its_deadline(told: DataPlaneSettings, api: Api):
    assert _manager(alone.bootstrap(told, api))["stream_idle_timeout"] == "8s"


def test_what_is_validated_does_not_load_the_data_plane(told: DataPlaneSettings, api: Api):
    assert not any(f'"{name}"' in json.dumps(alone.whole(told, api)) for name in data_plane.FILTERS)
    assert data_plane.FILTER in json.dumps(alone.bootstrap(told, api))
