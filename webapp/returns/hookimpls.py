"""What returns register, and listen to: the words of their events, and credit memos that settle them."""

from webapp.audit.actor import Actor
from webapp.billing.contract import DocumentIssued, DocumentKind
from webapp.hooks import hookimpl
from webapp.orders.events import EventWords
from webapp.returns.services import WORDS, close_settled


@hookimpl
def register_event_words() -> list[EventWords]:
    return list(WORDS)


@hookimpl
def documents_issued(documents: list[DocumentIssued]) -> None:
    if memos := [one.id for one in documents if one.kind is DocumentKind.CREDIT_MEMO]:
        close_settled(memos, actor=Actor.job("returns"))
