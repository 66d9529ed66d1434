"""Addresses of clients: one form for each, and whose requests are counted together."""

import pytest

from webapp.addresses import bare, source_of


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("203.0.113.5", "203.0.113.5"),
        (" 203.0.113.5:4711", "203.0.113.5"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:99", "2001:db8::1"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("fe80::1%eth0", "fe80::1"),
        *((none, "") for none in ("", "a:b", "unknown", "_hidden", "[]:1", ":", "203.0.113.500", "1.2.3.4:5:6")),
    ],
)
def test_what_a_proxy_tells_is_an_address_or_nothing(told: str, address: str) -> None:
    assert bare(told) == address


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("2001:db8:0:1:2::3", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_a_source_is_an_address_of_ipv4_or_a_network_of_ipv6(address: str, source: str) -> None:
    assert source_of(address) == source
