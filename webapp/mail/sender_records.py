"""What the name system says of a sender's domain: the records by which other mail servers trust its mails."""

from collections.abc import Iterable, Iterator
from typing import Final

from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer, Resolver

PATIENCE: Final = 5.0  # seconds for each question
SELECTORS: Final = (  # the names under which servers and services usually publish their keys
    "default", "dkim", "mail", "google", "selector1", "selector2", "s1", "s2", "k1", "k2", "fm1", "mxvault", "smtp",
)  # fmt: skip


def hints(addresses: Iterable[str], resolver: Resolver | None = None) -> list[str]:
    """What is missing of SPF, DKIM and DMARC for these senders, a sentence each. Asks the name system; local domains,
    which nobody else can look up, are left out.
    """
    ask = resolver or Resolver()
    domains = sorted({address.rpartition("@")[2].lower() for address in addresses})
    return [hint for domain in domains if "." in domain for hint in _hints(domain, ask)]


def _hints(domain: str, resolver: Resolver) -> Iterator[str]:
    try:
        spf = [text for text in _texts(domain, resolver) if text.lower().split(" ")[0] == "v=spf1"]
        policy = [text for text in _texts(f"_dmarc.{domain}", resolver) if text.lower().startswith("v=dmarc1")]
        signs = any(_texts(f"{one}._domainkey.{domain}", resolver) for one in SELECTORS)
    except DNSException as error:
        yield f"Mail from {domain}: its SPF and DKIM records can't be looked up ({type(error).__name__})."
        return
    if not spf:
        yield f"Mail from {domain}: it has no SPF record, so servers can't see that the desk's mail server may send it."
    elif len(spf) > 1:
        yield f"Mail from {domain}: it has {len(spf)} SPF records; servers take none of them. Join them into one."
    if not signs:
        yield (
            f"Mail from {domain}: no DKIM key was found under the usual names. If your server signs with another, all "
            "is well; else switch signing on, or its mails count as spam at many places."
        )
    if not policy:
        yield f"Mail from {domain}: it has no DMARC record (_dmarc.{domain}), which large mail services ask for."


def _texts(name: str, resolver: Resolver) -> list[str]:
    """The TXT records of a name; none if there is no such name."""
    try:
        answer = resolver.resolve(name, "TXT", lifetime=PATIENCE, search=False)
    except (NXDOMAIN, NoAnswer):
        return []
    return [b"".join(record.strings).decode(errors="replace") for record in answer]
