"""Invoices that a seller uploads for business buyers in Europe: feeds whose document is a PDF, and whose options say
what it is. Their report is a text, as that of flat files.

Amazon's code for an order that is not completely shipped is 79513; the other codes are made up. The same document again
is taken without an effect; another one with its number is refused.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from plugins.amazon.practice.feed_life import Feed
from plugins.amazon.practice.marketplaces import REGION_OF

if TYPE_CHECKING:
    from plugins.amazon.practice.practice import Practice

TYPE: Final = "UPLOAD_VAT_INVOICE"
CONTENT_TYPE: Final = "text/plain; charset=UTF-8"
NOT_SHIPPED: Final = 79513
NO_PDF: Final = 79501
BAD_OPTIONS: Final = 79502
NO_ORDER: Final = 79511
DUPLICATE: Final = 79520
NO_MARKETPLACE: Final = 79530
DOCUMENTS: Final = ("Invoice", "CreditNote")
AMOUNTS: Final = ("metadata:totalamount", "metadata:totalvatamount")
SAYING: Final = ("metadata:documenttype", *AMOUNTS)  # what a document is


class NotTaken(Exception):
    """Amazon does not take the document; its text is the report's."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def take_in(practice: "Practice", feed: Feed) -> tuple[str, bool]:
    """Record the document of a feed; returns the report and whether there was an error."""
    options = {name.lower(): value for name, value in feed.options.items()}
    code, sentence, effect = 0, "", "invoiced"
    try:
        if _check(practice, feed, options):
            effect = "same"
    except NotTaken as refused:
        code, sentence, effect = refused.code, str(refused), "refused"
    body = {"feed_id": feed.id, "reason": options.get("metadata:documenttype", "")} | {
        name.removeprefix("metadata:"): value for name, value in options.items()
    }
    order_id = options.get("metadata:orderid", "")
    practice.store.tell(feed.end_ms, order_id, TYPE, 400 if code else 200, effect, sentence, body)
    return _report(code, sentence), bool(code)


def _check(practice: "Practice", feed: Feed, options: dict[str, str]) -> bool:
    """Whether Amazon has the document; raises `NotTaken`."""
    document = practice.store.document(feed.document or "")
    if document is None or not (document.body or b"").startswith(b"%PDF-"):
        raise NotTaken(NO_PDF, "The document is not a PDF.")
    if not options.get("metadata:orderid") and not options.get("metadata:shippingid"):
        raise NotTaken(BAD_OPTIONS, "metadata:orderid or metadata:shippingid is missing.")
    number, kind = options.get("metadata:invoicenumber", ""), options.get("metadata:documenttype", "Invoice")
    if not re.fullmatch(r"[0-9A-Za-z/ ._-]{1,50}", number):
        raise NotTaken(BAD_OPTIONS, "metadata:invoicenumber is missing or not valid.")
    if kind not in DOCUMENTS:
        raise NotTaken(BAD_OPTIONS, f"metadata:documenttype {kind[:40]} is not valid.")
    for name in AMOUNTS:
        _check_amount(name, options.get(name))
    order_id = options.get("metadata:orderid", "")
    fate = practice.find(order_id, feed.end_ms)
    if fate is None or fate.order.market.region != REGION_OF[feed.seller]:
        raise NotTaken(NO_ORDER, f"Order {order_id[:40]} cannot be found.")
    if fate.order.market.id not in feed.marketplaces or fate.order.market.region != "eu":
        raise NotTaken(NO_MARKETPLACE, f"Invoices for order {order_id} are not accepted in this marketplace.")
    if fate.status != "SHIPPED":
        raise NotTaken(NOT_SHIPPED, f"Order {order_id} has not been shipped completely.")
    for told in practice.store.told(order_id):
        if told["operation"] == TYPE and told["effect"] == "invoiced" and told["body"].get("invoicenumber") == number:
            if any(told["body"].get(name.removeprefix("metadata:")) != options.get(name) for name in SAYING):
                raise NotTaken(DUPLICATE, f"Another document {number} was uploaded before.")
            return True
    return False


def _check_amount(name: str, value: str | None) -> None:
    if value is None:
        return
    try:
        Decimal(value)
    except InvalidOperation:
        raise NotTaken(BAD_OPTIONS, f"{name} is not an amount.") from None


def _report(code: int, sentence: str) -> str:
    lines = [
        "Feed Processing Summary:",
        "\tNumber of records processed\t\t1",
        f"\tNumber of records successful\t\t{0 if code else 1}",
        "",
    ]
    if code:
        lines += [
            "original-record-number\tsku\terror-code\terror-type\terror-message",
            f"1\t\t{code}\tError\t{sentence}",
        ]
    return "\r\n".join(lines) + "\r\n"
