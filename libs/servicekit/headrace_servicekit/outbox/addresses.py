"""What kind of address one is: whether it is one of the public internet, also when IPv6 only wraps it. Pure functions.

The lists are IANA's registries of special-purpose addresses (RFC 6890 and its successors), written out, because what
Python answers differs between its releases.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Where clouds answer a machine's questions about itself, credentials among the answers.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
            "fd00:ec2::254", "fd00:ec2::23",
        ),
    )
)  # fmt: skip
_V4 = tuple(
    (ipaddress.IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a private address"),  # shared by carriers, and by clusters for their pods
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a reserved address"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a reserved address"),
        ("198.51.100.0/24", "a reserved address"),
        ("203.0.113.0/24", "a reserved address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)
# The first that holds it counts. What no line holds lies outside 2000::/3, of which alone addresses are given out.
_V6 = tuple(
    (ipaddress.IPv6Network(network), what)
    for network, what in (
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("fe80::/10", "a link-local address"),
        ("fc00::/7", "a private address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
        ("2001::/23", "a reserved address"),  # Teredo, which wraps IPv4, among them
        ("2001:db8::/32", "a reserved address"),
        ("2002::/16", "a reserved address"),  # 6to4, given up by RFC 7526: a whole network for each IPv4 address
        ("3fff::/20", "a reserved address"),
        ("2000::/3", ""),
        ("::/0", "a reserved address"),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Resolvers read a host whose last part is a number as an IPv4 address: 2130706433, 0x7f.1, 0177.0.0.1.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)")


def special(address: Address) -> str:
    """Return what kind of address one is, e.g. "a private address"; empty for one of the public internet."""
    address = plain(address)
    kinds = _V4 if isinstance(address, IPv4Address) else _V6
    return next((what for network, what in kinds if address in network), "")


def is_metadata(address: Address) -> bool:
    """Return whether a cloud answers there what a machine may know of itself."""
    wrapped = address.sixtofour if isinstance(address, IPv6Address) else None
    return plain(address) in _METADATA or wrapped in _METADATA


def plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address is another form of, or the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def literal(host: str) -> Address | None:
    """Return the address that a host is written as, in any way that resolvers understand; None for a name.

    Raises ValueError for what looks like an address and is none.
    """
    host = host.removesuffix(".")
    if "%" in host:
        raise ValueError("an address with a zone means nothing on another machine")
    if ":" in host:
        return ipaddress.IPv6Address(host)
    if _NUMBER.fullmatch(host) is None:
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        raise ValueError(f"{host} is no address") from None
