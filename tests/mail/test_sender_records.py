"""The records of a sender's domain, asked of a name server on a real socket."""

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from dns import message, rcode, rdatatype, rrset
from dns.resolver import Resolver

from webapp.mail.sender_records import hints

WHOLE = {
    "shop.example": ["v=spf1 include:mail.example -all", "some-verification=1"],
    "google._domainkey.shop.example": ["v=DKIM1; k=rsa; p=abc"],
    "_dmarc.shop.example": ["v=DMARC1; p=none"],
}


@contextmanager
def name_server(records: Mapping[str, list[str]], code: rcode.Rcode = rcode.NXDOMAIN) -> Iterator[Resolver]:
    """A name server on this machine that knows these texts; to others it answers with this code."""

    class Answering(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            asked = message.from_wire(data)
            name = asked.question[0].name
            answer = message.make_response(asked)
            texts = records.get(name.to_text(omit_final_dot=True))
            if texts:
                answer.answer.append(rrset.from_text(name, 60, "IN", rdatatype.TXT, *(f'"{text}"' for text in texts)))
            else:
                answer.set_rcode(code)
            sock.sendto(answer.to_wire(), self.client_address)

    with socketserver.UDPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        resolver = Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], server.server_address[1]
        yield resolver
        server.shutdown()


def test_a_domain_with_all_records_has_no_hints() -> None:
    with name_server(WHOLE) as resolver:
        assert hints(["a@shop.example", "b@Shop.example", "desk@localhost"], resolver) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shop.example": []}, "no SPF record"),
        ({"shop.example": ["v=spf1 -all", "v=spf1 ~all"]}, "2 SPF records"),
        ({"google._domainkey.shop.example": []}, "no DKIM key"),
        ({"_dmarc.shop.example": []}, "no DMARC record"),
    ],
)
def test_what_is_missing_is_said(change: dict[str, list[str]], said: str) -> None:
    with name_server(WHOLE | change) as resolver:
        [hint] = hints(["a@shop.example"], resolver)
    assert said in hint


def test_a_name_server_that_fails_is_said() -> None:
    with name_server({}, rcode.SERVFAIL) as resolver:
        [hint] = hints(["a@shop.example"], resolver)
    assert "can't be looked up (NoNameservers)" in hint
