"""What a batcher refuses to start with."""

import pytest
from headrace_batcher.settings import BatcherSettings
from headrace_batcher.triton_link import options_of


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


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        pytest.param("unix:/run/triton/grpc", "does not end with a colon and a number", id="no number"),
        pytest.param("127.0.0.1:70000", "does not end with a colon and a number", id="no port"),
        pytest.param("unix:triton/grpc:1", "not an absolute path", id="a relative path"),
        pytest.param(f"unix:/{'x' * 105}:1", "has 108 bytes, and a socket's path at most 107", id="a long path"),
        pytest.param("gpu-3:8001", "not on this machine", id="another machine"),
    ],
)
def test_triton_is_on_this_machine_at_an_address_that_it_can_have(target: str, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        BatcherSettings.model_validate({"control_target": "a:1", "state_dir": "/tmp", "triton_target": target})


@pytest.mark.parametrize("target", ["unix:/run/triton/grpc:1", f"unix:/{'x' * 104}:1", "127.0.0.1:8001", "[::1]:8001"])
def test_a_target_is_an_address_and_a_port_of_triton(target: str):
    given = {"control_target": "a:1", "state_dir": "/tmp", "triton_target": target}
    address, port = options_of(BatcherSettings.model_validate(given).triton_target)
    assert f"{address.removeprefix('--grpc-address=')}:{port.removeprefix('--grpc-port=')}" == target


def test_a_version_may_be_named_beside_the_model():
    given = {"control_target": "a:1", "state_dir": "/tmp", "backend": "oip", "oip_target": "b:2"}
    named = {"oip_model_name": "{model}", "oip_model_version": "{version}"}
    assert BatcherSettings.model_validate({**given, **named}).oip_model_version == "{version}"
