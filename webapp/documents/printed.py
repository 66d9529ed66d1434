"""What a run prints: each kind of document that is made for many rows of a list, with its rules.

A kind says which rows its runs work on, composes their documents, and names the rows without one, each with a reason.
Making the file is done by `print_runs`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.queries import documents_by_id, orders_of_documents
from webapp.db import among, db
from webapp.documents import issued, packing, return_slips
from webapp.documents.composed import Document
from webapp.documents.invoices import DoesNotAddUp, compose
from webapp.errors import DeskError, Forbidden, Refusal
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.returns.models import Return
from webapp.returns.queries import returns_by_id


@dataclass(frozen=True, slots=True)
class OfRow:
    """A document, with the row for which it was made and the row's order."""

    row_id: int
    order_id: int
    document: Document


@dataclass(frozen=True, slots=True)
class Composed:
    """The documents of some rows, in the order of the rows, and the rows without one."""

    documents: Sequence[OfRow]
    refused: Mapping[int, DeskError] = field(default_factory=dict)


class Printed(ABC):
    """A kind of document whose rows are orders, unless it says otherwise."""

    code: str
    label: LazyString
    file_name: str  # the beginning of the name of its files
    leaves = False  # whether printing it means that the goods leave, so that the orders have to be known well

    def orders_of(self, ids: Sequence[int]) -> Mapping[int, int]:
        """The orders of these rows."""
        return dict(zip(ids, ids, strict=True))

    @abstractmethod
    def compose(self, actor: Actor, ids: Sequence[int], paper: str) -> Composed:
        """The documents of these rows, for this paper or for that of each country."""

    def refused_now(self, actor: Actor, ids: Sequence[int]) -> Mapping[int, DeskError]:
        """Those of the orders whose documents must not be used any more."""
        return {}


class PackingSlips(Printed):
    """The slips of orders that may leave."""

    code, label, file_name, leaves = "slips", _l("Packing slips"), "packing-slips", True

    def compose(self, actor: Actor, ids: Sequence[int], paper: str) -> Composed:
        found = packing.slips_for(actor, ids=ids)
        seen = {slip.order.id for slip in found.slips} | {order.id for order, _why in found.refused}
        slips = sorted(found.slips, key=lambda slip: (ids.index(slip.order.id), slip.place))
        documents = [OfRow(slip.order.id, slip.order.id, packing.composed_slip(slip, paper)) for slip in slips]
        return Composed(documents, _hidden(ids, seen) | {order.id: why for order, why in found.refused})

    def refused_now(self, actor: Actor, ids: Sequence[int]) -> Mapping[int, DeskError]:
        return {order.id: why for order, why in packing.refused_now(actor, ids)}


class ReturnSlips(Printed):
    """The return slips of orders."""

    code, label, file_name = "return_slips", _l("Return slips"), "return-slips"

    def compose(self, actor: Actor, ids: Sequence[int], paper: str) -> Composed:
        orders = return_slips.orders_with_slips(actor, ids)
        refused = {order.id: why for order in orders if (why := return_slips.return_refusal(order)) is not None}
        documents = [
            OfRow(order.id, order.id, return_slips.composed_slip(order, paper))
            for order in orders
            if order.id not in refused
        ]
        return Composed(documents, _hidden(ids, {order.id for order in orders}) | refused)


class SlipsOfReturns(Printed):
    """The slips of return requests; the rows are returns."""

    code, label, file_name = "slips_of_returns", _l("Return slips"), "return-slips"

    def orders_of(self, ids: Sequence[int]) -> Mapping[int, int]:
        return dict(db.session.execute(select(Return.id, Return.order_id).where(among(Return.id, ids))).all())

    def compose(self, actor: Actor, ids: Sequence[int], paper: str) -> Composed:
        rows = returns_by_id(ids, actor)
        composed = compose_slips(rows, paper)
        return Composed(composed.documents, _hidden(ids, {row.id for row in rows}) | dict(composed.refused))


def compose_slips(rows: Sequence[Return], paper: str) -> Composed:
    """The slips of these returns, without those of denied ones."""
    documents: list[OfRow] = []
    refused: dict[int, DeskError] = {}
    for row in rows:
        try:
            slip = return_slips.composed_slip(row.order, paper, return_slips.announced(row))
            documents.append(OfRow(row.id, row.order_id, slip))
        except return_slips.NothingAnnounced as why:
            refused[row.id] = why
    return Composed(documents, refused)


class NotIssuedYet(Refusal):
    """The credit memo has no number."""

    code = "memo_not_issued_yet"
    sentence = _l("A credit memo of this order has no number yet, so it is not printed.")


class IssuedDocuments(Printed):
    """Documents of the ledger; the rows are those of their list."""

    model: type[Invoice] | type[CreditMemo]

    def orders_of(self, ids: Sequence[int]) -> Mapping[int, int]:
        return orders_of_documents(self.model, ids)

    def compose(self, actor: Actor, ids: Sequence[int], paper: str) -> Composed:
        found = documents_by_id(self.model, ids, actor)
        composed = compose_issued(found, actor, paper)
        return Composed(composed.documents, _hidden(ids, {row.id for row in found}) | dict(composed.refused))


def compose_issued(rows: Sequence[Invoice | CreditMemo], actor: Actor, paper: str) -> Composed:
    """The documents of these rows of the ledger, without those that have no number or don't add up."""
    refused: dict[int, DeskError] = {row.id: NotIssuedYet() for row in rows if row.number is None}
    numbered = [row for row in rows if row.id not in refused]
    documents: list[OfRow] = []
    for row, content in zip(numbered, issued.contents_of(numbered, actor, paper), strict=True):
        try:
            documents.append(OfRow(row.id, row.order_id, compose(content)))
        except DoesNotAddUp as why:
            refused[row.id] = why
    return Composed(documents, refused)


class Invoices(IssuedDocuments):
    code, label, file_name, model = "invoices", _l("Invoices"), "invoices", Invoice


class CreditMemos(IssuedDocuments):
    code, label, file_name, model = "credit_memos", _l("Credit memos"), "credit-memos", CreditMemo


def _hidden(ids: Sequence[int], seen: set[int]) -> dict[int, DeskError]:
    """The rows that the actor may not see, each with that as the reason."""
    return {id_: Forbidden(right=str(_l("see orders"))) for id_ in ids if id_ not in seen}


PRINTED: Mapping[str, Printed] = {
    kind.code: kind for kind in (PackingSlips(), ReturnSlips(), SlipsOfReturns(), Invoices(), CreditMemos())
}
SLIPS, RETURN_SLIPS, SLIPS_OF_RETURNS, INVOICES, CREDIT_MEMOS = PRINTED  # their codes
