"""Where webhooks may be: the public internet by https, and what the operator's list names; nothing inside."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest
from headrace_registry.settings import RegistrySettings
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.outbox.addresses import Address, is_metadata, literal, special
from headrace_servicekit.outbox.allowlist import Allowed, hosts
from headrace_servicekit.outbox.destinations import RefusedError, Rules, written
from headrace_servicekit.outbox.guard import Guard, GuardedResolver, is_own
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tests.kit.deployment import topology
from tests.kit.rows import each

PUBLIC = "93.184.216.34"
SETTING = "TOY_WEBHOOK_ALLOW"
CLOSED = Rules(setting=SETTING)


def rules(allow: str = "", *inside: str) -> Rules:
    return Rules(Allowed.parse(allow), frozenset(inside), SETTING)


def is_refused(url: str, by: Rules = CLOSED) -> str:
    """Return why a URL is refused by its text; empty when it is not."""
    try:
        written(url, by)
    except RefusedError as error:
        return str(error)
    return ""


@each(
    "url,refused",
    [
        ("https://example.org/hook", ""),
        ("https://example.org:8443/hook?a=b", ""),
        (f"https://{PUBLIC}/", ""),
        ("https://[2606:2800:220:1::1]/", ""),
        (f"https://[64:ff9b::{PUBLIC}]/", ""),
        (f"http://{PUBLIC}/", "http://"),
        ("http://[2606:2800:220:1::1]/", "http://"),
        ("https://127.0.0.1/", "loopback"),
        ("https://127.255.255.254/", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "loopback"),
        ("https://[::ffff:7f00:1]/", "loopback"),
        ("https://[64:ff9b::127.0.0.1]/", "loopback"),
        ("https://[2002:7f00:1::]/", "reserved"),
        ("https://[2002:a9fe:a9fe::1]/", "credentials"),
        ("https://[::127.0.0.1]/", "reserved"),
        ("https://[::ffff:0:127.0.0.1]/", "reserved"),
        ("https://[64:ff9b:1::7f00:1]/", "reserved"),
        ("https://[2001:0:7f00:1::]/", "reserved"),
        ("https://2130706433/", "loopback"),
        ("https://0x7f000001/", "loopback"),
        ("https://0x7F.0.0.1/", "loopback"),
        ("https://017700000001/", "loopback"),
        ("https://0177.0.0.01/", "loopback"),
        ("https://127.1/", "loopback"),
        ("https://127.0.0.1./", "loopback"),
        ("https://0/", "unspecified"),
        ("https://0.0.0.0/", "unspecified"),
        ("https://[::]/", "unspecified"),
        ("https://10.1.2.3/", "private"),
        ("https://172.16.0.1/", "private"),
        ("https://172.31.255.255/", "private"),
        ("https://192.168.0.1/", "private"),
        ("https://100.64.0.1/", "private"),
        ("https://100.127.255.255/", "private"),
        ("https://[fd00::1]/", "private"),
        ("https://[fec0::1]/", "private"),
        ("https://169.254.1.1/", "link-local"),
        ("https://[fe80::1]/", "link-local"),
        ("https://[fe80::1%25eth0]/", "name a host"),
        ("https://224.0.0.1/", "multicast"),
        ("https://[ff02::1]/", "multicast"),
        ("https://255.255.255.255/", "reserved"),
        ("https://198.18.0.1/", "reserved"),
        ("https://203.0.113.7/", "reserved"),
        ("https://[2001:db8::1]/", "reserved"),
        ("https://localhost/", "own network"),
        ("https://LOCALHOST./", "own network"),
        ("https://a.localhost/", "own network"),
        ("https://registry:8082/", "own network"),
        ("https://registry.headrace.svc.cluster.local/", "own network"),
        ("https://registry.headrace.svc/", "own network"),
        ("http://169.254.169.254/latest/meta-data", "credentials"),
        ("https://[::ffff:169.254.169.254]/", "credentials"),
        ("https://[64:ff9b::a9fe:a9fe]/", "credentials"),
        ("https://2852039166/", "credentials"),
        ("https://100.100.100.200/", "credentials"),
        ("https://metadata.google.internal./", "metadata"),
        ("ftp://example.org/", "must begin with"),
        ("https://user:word@example.org/", "name or password"),
        ("https://example.org\\@127.0.0.1/", "name or password"),
        ("https://example.org\\127.0.0.1/", "name a host"),
        ("https://example.org/#there", "fragment"),
        ("https://", "name a host"),
        ("https://1.2.3.4.5/", "name a host"),
        ("https://example.0x/", "name a host"),
        ("https://127.0.0.256/", "name a host"),
        ("https://%31%32%37.0.0.1/", "name a host"),
        ("https://example.org:99999/", "not a URL"),
        ("https://example.org:0/", "a port between"),
        ("https://hooks.slack.com/…", "printable ASCII"),
        ("https://①②⑦.⓪.⓪.①/", "printable ASCII"),
        ("https://example.org/\r\nHost: other", "printable ASCII"),
        ("", "must begin with"),
    ],
)
def test_a_webhook_may_only_be_where_it_does_no_harm(url: str, refused: str):
    assert refused in is_refused(url)
    assert bool(refused) == bool(is_refused(url))


@each("service", topology.services().values())
def test_no_port_of_the_installation_is_one(service: topology.Service):
    loopback = ("127.0.0.1", "127.0.0.1.", "127.1", "127.8.9.10", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1")
    wrapped = ("[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0", "0.0.0.0", "[::]")
    names = ("localhost", "LocalHost.", "ip6-localhost", service.name, f"{service.name}.", f"{service.name}-data")
    inside = (*loopback, *wrapped, *names, f"{service.name}.headrace.svc", f"{service.name}.headrace.svc.cluster.local")
    for port in service.ports.values():
        for host in inside:
            for scheme in ("http", "https"):
                assert SETTING in is_refused(f"{scheme}://{host}:{port}/drain_listeners"), (scheme, host, port)


@given(st.ip_addresses())
def test_what_python_calls_not_global_is_special(address: Address):
    # Python's answer is the less strict one; what wraps an IPv4 address is judged as that.
    wrapped = address.version == 6 and (address.ipv4_mapped or address in ipaddress.ip_network("64:ff9b::/96"))
    if not wrapped and (not address.is_global or address.is_multicast or address.is_reserved):
        assert special(address)


@given(st.ip_addresses(v=4))
def test_an_address_is_the_same_however_it_is_written(address: ipaddress.IPv4Address):
    number = int(address)
    last = number & 0xFF_FFFF
    ways = [str(number), hex(number), f"0{number:o}", str(address), f"{address}.", f"{number >> 24}.{last}"]
    assert {literal(way) for way in ways} == {address}
    wrapped = [
        ipaddress.IPv6Address(number | 0xFFFF << 32),
        ipaddress.IPv6Address(number | 0x64FF9B << 96),
    ]
    assert {special(one) for one in wrapped} == {special(address)}
    for one in (*wrapped, ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1)):
        assert is_metadata(one) == is_metadata(address)


@given(st.text())
def test_any_text_is_judged_and_never_breaks(text: str):
    for url in (text, f"https://{text}", f"https://{text}/", f"https://[{text}]:1/"):
        is_refused(url)


# Forms of the public list PayloadsAllTheThings, "Server Side Request Forgery", and of the generator ip.py beside it.
@each("url", [
        "http://0000::1:80/", "https://[0:0:0:0:0:ffff:127.0.0.1]/", "https://o177.0.0.1/", "https://0o177.0.0.1/",
        "https://q177.0.0.1/", "https://127.0.1/", "https://127.1.1.1:80\\@127.2.2.2:80/",
        "https://127.1.1.1:80:\\@@127.2.2.2:80/", "https://127.1.1.1:80#\\@127.2.2.2:80/",
        "https://1.1.1.1 &@2.2.2.2# @3.3.3.3/", "https://0x7f.0x0.0x0.0x1:80?@example.org/",
        "https://example.org+&@127.0.0.1:80#+@example.org/", "https://127.0.0.1:80:80/", "https://127.0.0.1:80%09x.org/",
        "https://127.0.0.1:80\\tx.org/", "https://127.0.0.1:80%2509example.org/", "https://localhost:+11211aaa/",
        "https://00000177.0000000.0000.00001/", "https://383.0.0.1/", "https://127。0。0。1/", "jar:http://127.0.0.1!/",
        "gopher://127.0.0.1:6379/_save", "dict://127.0.0.1:6379/SAVE", "file:///etc/passwd", "//127.0.0.1/",
        "0://evil.com:80;http://google.com:80/", "https:/\\127.0.0.1/", "https:///127.0.0.1/", "https://kubernetes/",
        "127.0.0.1", "https://example.org[::1]/",
    ])  # fmt: skip
def test_known_ways_around_filters_are_refused(url: str):
    assert is_refused(url)


PARTS = ["127.0.0.1", "example.org", "[::1]", *"@\\#?/:.;[]x", "//", "80", "%09", "%2f", "+&@"]


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join))
def test_what_is_judged_is_what_is_connected_to(rest: str):
    url = f"https://{rest}"
    try:
        to = written(url, rules("127.0.0.1, example.org, ::1"))
    except RefusedError:
        return
    used = URL(url)
    assert ((used.raw_host or "").removesuffix("."), used.port) == (to.host, to.port)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_what_is_allowed_as_a_network_is_allowed_and_its_neighbours_are_not(address: Address, port: int):
    host = f"[{address}]" if address.version == 6 else str(address)
    allowed = Allowed.parse(f"{host}:{port}")
    assert allowed.address(address, port)
    assert not allowed.address(address, port % 65535 + 1)
    assert not allowed.address(type(address)(int(address) ^ 1), port)


@each(
    "allow,url,refused",
    [
        ("alerts.internal", "http://alerts.internal:9000/", ""),
        ("ALERTS.internal.", "http://alerts.INTERNAL./", ""),
        ("alerts.internal:8443", "https://alerts.internal:8443/", ""),
        ("alerts.internal:443", "https://alerts.internal/", ""),
        ("alerts.internal:8443", "https://alerts.internal/", "own network"),
        ("alerts.internal", "https://x.alerts.internal/", "own network"),
        ("10.20.0.0/16, relay", "http://10.20.3.4:80/", ""),
        ("10.20.0.0/16, relay", "https://relay/", ""),
        ("10.20.0.0/16", "https://10.21.0.1/", "private"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000/", ""),
        ("127.0.0.1:9000", "http://2130706433:9000/", ""),
        ("127.0.0.1:9000", "http://[::ffff:127.0.0.1]:9000/", ""),
        ("127.0.0.1:9000", "http://127.0.0.1:8081/drain_listeners", "loopback"),
        ("[::1]:9000", "http://[::1]:9000/", ""),
        ("::1", "http://[::1]/", ""),
        ("fd00::/8", "https://[fd00::7]/", ""),
        ("93.184.216.34", "http://93.184.216.34/", ""),
        ("0.0.0.0/0", "http://169.254.169.254/", "credentials"),
        ("metadata.google.internal", "http://metadata.google.internal/", "metadata"),
    ],
)
def test_the_operator_says_what_else_may_be_called(allow: str, url: str, refused: str):
    found = is_refused(url, rules(allow))
    assert refused in found
    assert bool(refused) == bool(found)


@each("entry", ["10.0.0.1/8", "host:0", "host:99999", "host:x", "a b", "https://x/", "*.x", "1.2.3.4.5", "[::1"])
def test_a_list_that_cannot_be_read_is_said_at_the_start(entry: str):
    with pytest.raises(ValueError, match="host:port or CIDR"):
        told(webhook_allow=f"good.example, {entry}")


def test_what_a_service_is_told_to_call_is_inside():
    settings = told(otlp_endpoint="collector.example:4317")
    inside = hosts(settings.called)
    assert inside == {"db.example.com", "store.example.com", "collector.example"}
    for host in ("db.example.com", "STORE.example.com.", "collector.example"):
        assert "part of this installation" in is_refused(f"https://{host}/", rules("", *inside))


class Names:
    """A resolver whose answers a test gives, in turn; the last one stays."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = {name.replace("_", "."): list(told) for name, told in answers.items()}

    def __call__(self, host: str) -> tuple[Address, ...]:
        told = self.answers.get(host)
        if told is None:
            raise OSError(f"{host} is unknown")
        return tuple(map(ipaddress.ip_address, (told.pop(0) if len(told) > 1 else told[0]).split()))


async def refused_at(guard: Guard, url: str) -> str:
    try:
        await guard.check(url)
    except RefusedError as error:
        return str(error)
    return ""


@each(
    "url,allow,refused",
    [
        ("https://good.example/", "", ""),
        ("http://good.example/", "", "http://"),
        ("http://good.example/", "good.example", ""),
        ("https://inner.example/", "", "private"),
        ("https://inner.example/", "10.0.0.0/8", ""),
        ("https://inner.example/", "inner.example", ""),
        ("https://mixed.example/", "", "loopback"),
        ("https://mapped.example/", "", "loopback"),
        ("https://cloud.example/", "cloud.example", "credentials"),
        ("https://store.example/", "", "of this installation"),
        ("https://sameplace.example/", "", "of this installation"),
        ("https://sameplace.example/", "8.8.4.4", ""),
        ("https://nowhere.example/", "", ""),
        ("http://nowhere.example/", "", "http://"),
        ("https://nowhere/", "10.0.0.0/8", "own network"),
    ],
)
async def test_a_name_is_judged_by_every_address_that_it_leads_to(url: str, allow: str, refused: str):
    names = Names(
        good_example=[PUBLIC],
        inner_example=["10.0.0.7"],
        mixed_example=[f"{PUBLIC} 127.0.0.1"],
        mapped_example=["::ffff:127.0.0.1"],
        cloud_example=["169.254.169.254"],
        sameplace_example=["8.8.4.4"],
        store_example=["8.8.4.4"],
    )
    async with Guard(rules(allow, "store.example"), SystemClock(), names) as guard:
        found = await refused_at(guard, url)
    assert refused in found
    assert bool(refused) == bool(found)
    assert "10.0.0.7" not in found  # who asks learns nothing of our names


async def test_a_name_that_leads_elsewhere_later_is_refused_when_it_is_connected_to():
    names = Names(rebound_example=[PUBLIC, "127.0.0.1"])
    async with Guard(CLOSED, SystemClock(), names) as guard:
        assert await refused_at(guard, "https://rebound.example/") == ""
        with pytest.raises(RefusedError, match="loopback"):
            await GuardedResolver("https", guard).resolve("rebound.example", 443)


async def test_connections_go_to_the_addresses_that_were_judged():
    async with Guard(CLOSED, SystemClock(), Names(good_example=[f"{PUBLIC} 2606:2800:220:1::1"])) as guard:
        found = await GuardedResolver("https", guard).resolve("good.example", 443)
    assert [(one["host"], one["port"], one["hostname"]) for one in found] == [
        (PUBLIC, 443, "good.example"),
        ("2606:2800:220:1::1", 443, "good.example"),
    ]


async def test_the_systems_resolver_is_asked_for_names():
    async with Guard(rules("127.0.0.0/8, ::1"), SystemClock()) as guard:
        found = await GuardedResolver("http", guard).resolve("localhost", 80)
        assert "127.0.0.1" in [one["host"] for one in found]
    async with Guard(CLOSED, SystemClock()) as guard:
        with pytest.raises(RefusedError, match="loopback"):
            await GuardedResolver("https", guard).resolve("localhost", 80)
        with pytest.raises(OSError, match="name"):
            await GuardedResolver("https", guard).resolve("x" * 80, 80)


def test_a_machine_knows_its_own_addresses():
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address("198.51.100.7"))


def told(**settings: str) -> RegistrySettings:
    return RegistrySettings(
        database_url="postgresql://headrace@db.example.com:5432/registry",
        s3_endpoint="https://store.example.com",
        **settings,  # pyright: ignore[reportArgumentType]
    )
