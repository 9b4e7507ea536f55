"""Targets whose replicas come and go: what a file lists, and the addresses of a name."""

from pathlib import Path

import pytest
from headrace_servicekit.endpoints import FileEndpoints, NamedEndpoints, endpoints_of, present_target

from tests.kit.rows import each


@each("target", ["127.0.0.1:8082", "[::1]:8082", "ipv4:127.0.0.1:1,127.0.0.1:2", "ipv6:[::1]:1", "unix:/run/x",
     "registry", "postgresql://registry@db:5432/registry", "http://127.0.0.1:8333", ""])  # fmt: skip
def test_other_targets_stay_what_they_are(target: str):
    assert endpoints_of(target) is None
    assert present_target(target) == target


@pytest.mark.parametrize("scheme", ["dns:///", "dns://10.0.0.1/", "dns:", ""])
def test_a_name_is_followed_and_grpc_resolves_it(scheme: str):
    target = f"{scheme}registry:8082"
    endpoints = endpoints_of(target)
    assert isinstance(endpoints, NamedEndpoints)
    assert endpoints.first() is None
    assert endpoints.target(frozenset({"10.0.0.2"})) == target


def test_only_addresses_that_are_new_need_a_channel_of_their_own_for_a_name():
    endpoints = endpoints_of("registry:8082")
    assert endpoints is not None
    known = frozenset({"10.0.0.1", "10.0.0.2"})
    assert not endpoints.needs_anew(known, known)
    assert not endpoints.needs_anew(known, frozenset({"10.0.0.2"}))
    assert endpoints.needs_anew(known, frozenset({"10.0.0.2", "10.0.0.3"}))


async def test_a_name_is_looked_up():
    endpoints = endpoints_of("localhost:1")
    assert endpoints is not None
    assert await endpoints.look() & {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("other=h:1;registry=127.0.0.1:8082\n", "127.0.0.1:8082"),
        ("registry=127.0.0.1:9,127.0.0.1:8\n", "ipv4:127.0.0.1:8,127.0.0.1:9"),
    ],
)
def test_a_file_lists_the_replicas_of_a_name(tmp_path: Path, text: str, target: str):
    file = tmp_path / "end#points"
    file.write_text(text)
    assert present_target(f"file:{file}#registry") == target


@pytest.mark.parametrize("text", ["", "registry=\n", "other=h:1", "registry", "\x00;=;="])
def test_a_file_without_replicas_of_the_name_says_so(tmp_path: Path, text: str):
    (tmp_path / "endpoints").write_text(text)
    endpoints = endpoints_of(f"file:{tmp_path}/endpoints#registry")
    assert isinstance(endpoints, FileEndpoints)
    with pytest.raises(ValueError, match="endpoints lists no replica of registry"):
        endpoints.first()
