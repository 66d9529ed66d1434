"""Numbers of documents: gapless for each shop and kind of document, or for each year of these.

A number is drawn in the transaction that issues its document, under the lock of its sequence's row: if the transaction
is rolled back, the number is given again. The lock is the last one that a transaction takes, and of several sequences
it takes them in the order of their shops. Which sequence a shop draws from follows its settings (`number_settings`):
once these name another prefix, the sequence so far is kept, and an earlier one goes on where it stopped.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import and_, case, or_, select, update

from webapp.billing.contract import DocumentKind
from webapp.billing.number_settings import NAME, PREFIXES, USUAL, YEARLY, Form, every_sequence, kind_of, meet
from webapp.channels.models import NumberSequence, Shop
from webapp.channels.shops import ORDERS, get_shop
from webapp.clock import now
from webapp.db import db, hold_name


def draw_numbers(kind: DocumentKind, shop_ids: Sequence[int], at: datetime | None = None) -> list[str]:
    """The next number of each of these shops, in their order, within the open unit of work. `at` is the moment that
    `hold_sequences` gave for them.
    """
    at = at or hold_sequences(kind, shop_ids)
    counts = Counter(shop_ids)
    drawn = {shop_id: iter(_draw(kind, get_shop(shop_id), counts[shop_id], at)) for shop_id in sorted(counts)}
    return [next(drawn[shop_id]) for shop_id in shop_ids]


def hold_sequences(kind: DocumentKind, shop_ids: Sequence[int]) -> datetime:
    """Lock the sequences from which these shops draw, and return the moment of issue: no later document has an earlier
    one, and a number's year is that of its document.
    """
    ids = sorted(set(shop_ids))
    query = select(NumberSequence.id).where(NumberSequence.shop_id.in_(ids), NumberSequence.kind == kind.value)
    while True:
        wanted = _current(kind, ids)
        if len(wanted) < len(ids):
            hold_name(NAME)  # before any lock of a row
            wanted = _current(kind, ids, begin=True)
        held = db.session.scalars(query.order_by(NumberSequence.shop_id).with_for_update()).all()
        if sorted(held) == sorted(wanted.values()):
            return now()


def hold_issuing(shop_ids: Collection[int]) -> None:
    """Wait for the documents of these shops that are being issued, and hold further ones back until the transaction
    ends.
    """
    own = select(NumberSequence.kind).where(NumberSequence.shop_id.in_(shop_ids))
    own = own.where(NumberSequence.kind.in_([kind.value for kind in DocumentKind]))
    if len(db.session.scalars(own).all()) < len(DocumentKind) * len(shop_ids):
        hold_name(NAME)  # the first documents begin a sequence; before any lock of a row
    db.session.scalars(own.order_by(NumberSequence.kind, NumberSequence.shop_id).with_for_update()).all()


def _current(kind: DocumentKind, shop_ids: Sequence[int], *, begin: bool = False) -> Mapping[int, int]:
    """The ids of the sequences by shop, where they are as the shop's settings say. With `begin`, all are: another
    transaction begins none meanwhile.
    """
    known, found = every_sequence(shop_ids), {}
    for shop_id in shop_ids:
        shop, own = get_shop(shop_id), [row for row in known if row.shop_id == shop_id]
        current = next((row for row in own if row.kind == kind.value), None)
        if current is not None and _is_wanted(kind, shop, current, own):
            found[shop_id] = current.id
        elif begin:
            found[shop_id] = _begin(kind, shop, current, own).id
    return found


def _is_wanted(kind: DocumentKind, shop: Shop, current: NumberSequence, own: Sequence[NumberSequence]) -> bool:
    """Whether the sequence is as the settings say. Without a prefix of its own, it keeps that with which it began,
    also if the prefix of the order numbers changed since: a prefix that a shop ever had is kept for it.
    """
    if current.yearly != YEARLY[kind].of(shop):
        return False
    if given := PREFIXES[kind].of(shop):
        return current.prefix == given
    return any(current.prefix.startswith(USUAL[kind] + row.prefix) for row in own if kind_of(row) == ORDERS)


def _begin(
    kind: DocumentKind, shop: Shop, current: NumberSequence | None, own: Sequence[NumberSequence]
) -> NumberSequence:
    """Draw from another sequence from now on, an earlier one if there is one; the present one is kept."""
    if current is not None:
        current.kind = _retired(kind, Form(current.prefix, current.yearly))
        db.session.flush()  # a shop has one sequence of each kind at any moment
    of_orders = next(row for row in own if row.kind == ORDERS)
    form = Form(PREFIXES[kind].of(shop), YEARLY[kind].of(shop))
    if not form.prefix:
        form = _free(form._replace(prefix=USUAL[kind] + of_orders.prefix), kind, shop)
    found = next((row for row in own if row.kind == _retired(kind, form)), None)
    if found is None:
        found = NumberSequence(shop_id=shop.id, padding=of_orders.padding, prefix=form.prefix, yearly=form.yearly)
        db.session.add(found)
    found.kind = kind.value
    db.session.flush()
    return found


def _free(form: Form, kind: DocumentKind, shop: Shop) -> Form:
    """The usual form, made different from every other sequence: another shop may have been given its prefix."""
    others = [
        Form(row.prefix, row.yearly)
        for row in every_sequence()
        if kind_of(row) != ORDERS and (row.shop_id, kind_of(row)) != (shop.id, kind.value)
    ]
    while any(meet(form, other) for other in others):
        form = form._replace(prefix=f"{form.prefix}{shop.id}-")
    return form


def _retired(kind: DocumentKind, form: Form) -> str:
    """The kind of a sequence from which the shop no longer draws."""
    return f"{kind.value}:{'yearly:' if form.yearly else ''}{form.prefix}"


def _draw(kind: DocumentKind, shop: Shop, count: int, at: datetime) -> list[str]:
    year = at.astimezone(ZoneInfo(shop.zone)).year
    begins = and_(NumberSequence.yearly, or_(NumberSequence.year.is_(None), NumberSequence.year < year))
    statement = (
        update(NumberSequence)
        .where(NumberSequence.shop_id == shop.id, NumberSequence.kind == kind.value)
        .values(
            next=case((begins, 1), else_=NumberSequence.next) + count,
            year=case((begins, year), else_=NumberSequence.year),
        )
        .returning(NumberSequence.prefix, NumberSequence.padding, NumberSequence.next, NumberSequence.year)
        .execution_options(synchronize_session=False)
    )
    row = db.session.execute(statement).one()
    prefix = row.prefix if row.year is None else f"{row.prefix}{row.year}-"
    return [f"{prefix}{number:0{row.padding}d}" for number in range(row.next - count, row.next)]
