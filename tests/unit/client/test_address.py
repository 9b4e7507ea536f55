"""Where an address leads, and whether a token may travel there in clear."""

import pytest
from headrace_client.address import Address, parse_address
from headrace_client.errors import InvalidArgument

from tests.kit.rows import each


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("127.0.0.1:8080", Address("127.0.0.1", 8080, tls=False), id="loopback is plain text"),
        pytest.param("localhost", Address("localhost", 8080, tls=False), id="the port has a default"),
        pytest.param("[::1]:9000", Address("::1", 9000, tls=False), id="IPv6 loopback"),
        pytest.param("models.example.com:443", Address("models.example.com", 443, tls=True), id="elsewhere is TLS"),
        pytest.param("http://10.0.0.3:8080", Address("10.0.0.3", 8080, tls=False), id="unless the address says http"),
        pytest.param("https://models.example.com", Address("models.example.com", 443, tls=True), id="https has 443"),
        pytest.param("http://127.0.0.1:8080/", Address("127.0.0.1", 8080, tls=False), id="a slash does no harm"),
    ],
)
def test_an_address_names_host_port_and_encryption(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


def test_a_ca_turns_tls_on_even_for_this_machine() -> None:
    assert parse_address("127.0.0.1:8080", ca_given=True).tls


def test_an_ipv6_address_gets_its_brackets_back() -> None:
    assert parse_address("[::1]:9000").target == "[::1]:9000"


@each("text", ["ftp://a:1", "http://a:1/v1/models", "a:port", ":8080", "a:99999", "https://u@a", "[::1", "a:1#b"])
def test_a_wrong_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_address(text)
    assert refused.value.violations[0].field == "address"
