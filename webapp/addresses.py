"""Network addresses as the desk counts and compares them: one client's address has one form."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def parsed(address: str) -> IPv4Address | IPv6Address | None:
    """The address, without its zone; None if the text is not an address.

    A socket that listens on `::` sees IPv4 clients as `::ffff:a.b.c.d`; they are returned as IPv4 addresses.
    """
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = known.ipv4_mapped if isinstance(known, IPv6Address) else None
    return mapped or known


def bare(text: str) -> str:
    """The address in a proxy's header, which may have a port and brackets; empty if there is none."""
    host, closing, _ = text.strip().removeprefix("[").partition("]")
    if not closing and host.count(":") == 1:
        host = host.partition(":")[0]
    address = parsed(host)
    return str(address) if address else ""


def source_of(address: str) -> str:
    """The group in which requests are counted: an IPv4 address; for IPv6 a network, which has countless addresses."""
    known = parsed(address)
    if isinstance(known, IPv6Address):
        return str(ip_network((known, 64), strict=False))
    return str(known) if known else address
