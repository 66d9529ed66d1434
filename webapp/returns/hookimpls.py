"""What returns register, and listen to: the words of their events, their list, and credit memos that settle them."""

from webapp.audit.actor import Actor
from webapp.billing.contract import DocumentIssued, DocumentKind
from webapp.hooks import hookimpl
from webapp.lists.contract import Subject
from webapp.orders.events import EventWords
from webapp.returns.return_list import COLUMNS, KEYS, ORDER_KEYS, RETURN_LIST
from webapp.returns.services import WORDS, close_settled
from webapp.search.contract import Column, QueryKey


@hookimpl
def register_event_words() -> list[EventWords]:
    return list(WORDS)


@hookimpl
def register_list_subjects() -> list[Subject]:
    return [RETURN_LIST]


@hookimpl
def register_columns() -> list[Column]:
    return list(COLUMNS)


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return [*KEYS, *ORDER_KEYS]


@hookimpl
def documents_issued(documents: list[DocumentIssued]) -> None:
    if memos := [one.id for one in documents if one.kind is DocumentKind.CREDIT_MEMO]:
        close_settled(memos, actor=Actor.job("returns"))
