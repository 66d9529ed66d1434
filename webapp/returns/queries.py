"""Reading returns: every query starts from what the actor may see, or from an order that was found so."""

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload, selectinload

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo
from webapp.db import among, db, once_a_transaction
from webapp.errors import NotFound
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.orders.queries import AROUND, visible_of
from webapp.returns.models import PREFIX, Return, ReturnLine

_MEMOS = selectinload(Return.memos).options(selectinload(CreditMemo.lines), joinedload(CreditMemo.opposite))
_WHOLE = (joinedload(Return.lines), joinedload(Return.person), _MEMOS)
_MOST = 2**31 - 1  # of an id


class UnknownReturn(NotFound):
    """No return has this number or id, or none that this person may see."""

    code = "unknown_return"
    sentence = _l("There is no return “%(name)s”.")


def returns_of(order: Order) -> Sequence[Return]:
    """The order's returns with their lines, people and credit memos, oldest first."""
    name = f"returns of {order.id} {order.version}"  # a new return raises the version
    query = select(Return).where(Return.order_id == order.id).order_by(Return.id).options(*_WHOLE)
    return once_a_transaction(name, lambda: list(db.session.scalars(query).unique()))


def return_of(order: Order, return_id: int) -> Return:
    """The order's return with this id, as it is now; raises `NotFound`."""
    query = select(Return).where(Return.id == return_id, Return.order_id == order.id).options(*_WHOLE)
    query = query.execution_options(populate_existing=True)
    row = db.session.scalars(query).unique().one_or_none() if 0 < return_id <= _MOST else None
    if row is None:
        raise UnknownReturn(name=return_id)
    return row


def list_returns(actor: Actor, *, limit: int = 200) -> Sequence[Return]:
    """Returns with their lines and orders, newest first."""
    query = _read(visible_of(Return, actor)).order_by(Return.requested_at.desc(), Return.id.desc())
    return list(db.session.scalars(query.limit(limit)).unique())


def find_return(number: str, actor: Actor) -> Return:
    """The return with this number, such as R-000012; raises `NotFound`."""
    found = None
    if id_ := id_of(number):
        found = db.session.scalars(_read(visible_of(Return, actor)).where(Return.id == id_)).unique().one_or_none()
    if found is None:
        raise UnknownReturn(name="".join(letter if letter.isprintable() else "�" for letter in number.strip()))
    return found


def returns_by_id(ids: Sequence[int], actor: Actor) -> list[Return]:
    """Those of the returns that the actor may see, in this order and as they are now, with all that acts read."""
    query = _read(visible_of(Return, actor)).where(among(Return.id, ids))
    query = query.options(joinedload(Return.order).options(*AROUND))
    found = {row.id: row for row in db.session.scalars(query.execution_options(populate_existing=True)).unique()}
    return [found[id_] for id_ in ids if id_ in found]


def id_of(number: str) -> int | None:
    """The id within a number such as R-000012 or r-12; None for other texts."""
    digits = number.strip().upper().removeprefix(PREFIX)
    known = digits.isascii() and digits.isdecimal() and len(digits) < 11 and int(digits) <= _MOST
    return int(digits) if known else None


def _read(query: Select[Return]) -> Select[Return]:
    lines = selectinload(Return.lines).joinedload(ReturnLine.line)
    around = (lines, joinedload(Return.person), joinedload(Return.order))
    return query.options(*around, _MEMOS)
