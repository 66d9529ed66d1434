"""Numbers of documents: gapless for each shop and kind of document.

A number is drawn in the transaction that issues its document, under the lock of its sequence's row: if the transaction
is rolled back, the number is given again. The lock is the last one that a transaction takes, and of several sequences
it takes them in the order of their shops.
"""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import update

from webapp.billing.contract import DocumentKind
from webapp.channels.models import NumberSequence
from webapp.channels.shops import get_shop, sequence_of
from webapp.db import db, insert_into

PREFIXES = {  # before the prefix of the shop's order numbers
    DocumentKind.INVOICE: "INV-",
    DocumentKind.CREDIT_MEMO: "CM-",
}


def draw_numbers(kind: DocumentKind, shop_ids: Sequence[int]) -> list[str]:
    """The next number of each of these shops, in their order, within the open unit of work."""
    counts = Counter(shop_ids)
    drawn = {shop_id: iter(_draw(kind, shop_id, counts[shop_id])) for shop_id in sorted(counts)}
    return [next(drawn[shop_id]) for shop_id in shop_ids]


def _draw(kind: DocumentKind, shop_id: int, count: int) -> list[str]:
    statement = (
        update(NumberSequence)
        .where(NumberSequence.shop_id == shop_id, NumberSequence.kind == kind.value)
        .values(next=NumberSequence.next + count)
        .returning(NumberSequence.prefix, NumberSequence.padding, NumberSequence.next)
        .execution_options(synchronize_session=False)
    )
    row = db.session.execute(statement).one_or_none()
    if row is None:
        _begin(kind, shop_id)
        row = db.session.execute(statement).one()
    return [f"{row.prefix}{number:0{row.padding}d}" for number in range(row.next - count, row.next)]


def _begin(kind: DocumentKind, shop_id: int) -> None:
    """Create the shop's sequence of this kind; another transaction may do so at the same time.

    Its prefix contains that of the shop's order numbers, so that the numbers of two shops can never meet: a prefix that
    a shop ever had is kept for it.
    """
    of_orders = sequence_of(get_shop(shop_id))
    row = {
        "shop_id": shop_id,
        "kind": kind.value,
        "prefix": PREFIXES[kind] + of_orders.prefix,
        "padding": of_orders.padding,
        "next": 1,
    }
    made = insert_into(NumberSequence).values(row)
    db.session.execute(made.on_conflict_do_nothing(index_elements=["shop_id", "kind"]))
