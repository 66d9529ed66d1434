"""Network addresses as the desk counts and compares them: one client's address has one form."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def parsed(address: str) -> IPv4Address | IPv6Address | None:
    """The address, without its zone; None where the text is none.

    A socket that listens on `::` sees clients of IPv4 as `::ffff:a.b.c.d`: they are what they are, IPv4.
    """
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = known.ipv4_mapped if isinstance(known, IPv6Address) else None
    return mapped or known


def bare(text: str) -> str:
    """The address in what a proxy wrote, which may have a port and brackets; empty where there is none."""
    host, closing, _ = text.strip().removeprefix("[").partition("]")
    if not closing and host.count(":") == 1:
        host = host.partition(":")[0]
    address = parsed(host)
    return str(address) if address else ""


def source_of(address: str) -> str:
    """Whose requests are counted together: an address of IPv4; of IPv6 a network, which has addresses without end."""
    known = parsed(address)
    if isinstance(known, IPv6Address):
        return str(ip_network((known, 64), strict=False))
    return str(known) if known else address
