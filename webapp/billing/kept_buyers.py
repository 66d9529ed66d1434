"""Documents that outlive their buyers, only where the law says so: what an issued document says of its buyer is kept
under a key of its own, through the end of the year of its issue and so many more years.

A shop declares the countries of delivery with their years and the legal ground; without them nothing is kept. It is
kept when the document is issued, so that a week's end does not touch it, and at the latest when the buyer is erased,
for a country that was declared since. Nothing lists or finds it: it is opened one document at a time, by a right of its
own and for a purpose, on the record. A country that is no longer declared keeps nothing more; what outlived its buyer
already stays until its year is over, which declaring fewer years brings forward.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale
from sqlalchemy import delete, select, union, update
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.billing.contract import DocumentKind
from webapp.billing.models import CreditMemo, Invoice, KeptBuyer
from webapp.billing.numbering import hold_issuing
from webapp.billing.taxes import taxed_country
from webapp.channels.models import Shop
from webapp.clock import now
from webapp.db import among, any_row, db, insert_into
from webapp.errors import Invalid, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.settings.declared import SHOP, Setting, SettingsGroup
from webapp.settings.stored import read_anew
from webapp.vault import periods
from webapp.vault.document_keys import SealedDocument, open_document, seal_document
from webapp.vault.services import DataKeys, erased

SNAPSHOT = "invoice"  # the kind under which the buyer of a document is sealed under the order's key
ARCHIVE = "documents.archive"  # the right to open what is kept
_LINE = re.compile(r"([A-Za-z]{2})\s+(\d{1,2})\s*:\s*(\S.*)", re.ASCII)
_LONGEST = 200  # letters of a legal ground, and of a purpose
_MOST_YEARS = 30
_EVERYWHERE = timedelta(hours=12)  # after midnight in UTC, a year is over in the last time zone
Document = Invoice | CreditMemo


class NotKept(Refusal):
    """Nothing of the buyer is kept for this document, or not any more."""

    code = "buyer_not_kept"
    sentence = _l("The buyer data of this document are no longer stored.")


class Duty(NamedTuple):
    """How long the law of a country has documents kept: so many years after that of their issue, and why."""

    years: int
    ground: str


def _read(text: str) -> dict[str, Duty]:
    """The declared duties by country. Raises ValueError for a line that can't be read."""
    found: dict[str, Duty] = {}
    for line in filter(None, (one.strip() for one in text.replace("\u00a0", " ").splitlines())):  # as French has them
        parts = _LINE.fullmatch(line)
        if parts is None:
            problem = _l(
                "“%(line)s” is not valid. Enter a country, the years and the legal basis, such as “DE 8: § 14b UStG”.",
                line=line,
            )
            raise ValueError(problem)
        country, years, ground = parts[1].upper(), int(parts[2]), parts[3].strip()
        if country not in Locale("en").territories:
            raise ValueError(_l("“%(country)s” is not a country code of two letters.", country=parts[1]))
        if country in found:
            raise ValueError(_l("%(country)s is entered twice. Remove one of the lines.", country=country))
        if years > _MOST_YEARS:
            raise ValueError(
                _l("%(country)s has more than %(most)s years. Enter fewer.", country=country, most=_MOST_YEARS)
            )
        if len(ground) > _LONGEST:
            raise ValueError(_l("The legal basis of %(country)s is too long.", country=country))
        found[country] = Duty(years, ground)
    return found


COUNTRIES = Setting(
    name="kept_countries",
    label=_l("Documents that keep their buyer data, by country of delivery"),
    lines=4,
    check=_read,
    help=_l(
        "Enter a line for each country whose law requires documents to keep their buyer data: the number of "
        "years after the year of issue, then the legal basis, such as “DE 8: § 14b UStG”. If this is empty, "
        "the buyer data on documents are erased together with those of the orders."
    ),
)
KEEPING = SettingsGroup("kept_documents", _l("Documents that keep their buyer data"), (COUNTRIES,), scope=SHOP)


def duty_of(shop: Shop, country: str) -> Duty | None:
    """What the shop declares for documents of deliveries to this country; None: they lose their buyers."""
    return _read(COUNTRIES.of(shop)).get(country)


# --- Keeping ----------------------------------------------------------------------------------------------------------


def keep(documents: Sequence[Document]) -> None:
    """Keep what these documents with a number say of their buyers, where the law says so, in the open unit of work.
    What is kept already stays as it is. The caller holds the sequences of their shops.
    """
    read_anew()  # `follow_setting` may have held the sequences before
    found = [(one, taxed_country(one.order)) for one in documents if one.sealed is not None]
    due = [(one, country, duty) for one, country in found if (duty := duty_of(one.shop, country)) is not None]
    if not due:
        return
    keys = DataKeys({one.order_id for one, _country, _duty in due})
    _write(
        _row(one, country, duty.years, said)
        for one, country, duty in due
        if (said := keys.open(one.order_id, SNAPSHOT, one.sealed or b"")) is not None
    )


def keep_of_invoices(memos: Sequence[CreditMemo]) -> None:
    """Keep for memos on erased buyers what is kept of their invoices, for as long as that; a memo without such an
    invoice has no name.
    """
    bare = {memo.order_id for memo in memos if memo.sealed is None}
    gone = erased(sorted(bare)) if bare else set()
    if not gone:
        return
    query = select(KeptBuyer).where(KeptBuyer.kind == DocumentKind.INVOICE, among(KeptBuyer.order_id, sorted(gone)))
    kept = list(db.session.scalars(query.order_by(KeptBuyer.document_id)))
    rows = []
    for memo in memos:
        mine = [row for row in kept if row.order_id == memo.order_id]
        row = next((row for row in mine if row.document_id == memo.invoice_id), mine[-1] if mine else None)
        said = _opened(row) if row is not None else None
        if row is not None and said is not None:
            rows.append(_row(memo, row.country, row.kept_through - row.issued_year, said))
    _write(rows)


def keep_before_erasing(order_ids: Sequence[int]) -> None:
    """Keep what the law says of the documents of these orders, whose buyers are about to be erased, and nothing else.
    The caller holds the orders' locks; the sequences of their shops are held here, as whoever issues documents does.
    """
    first = set(order_ids) - erased(order_ids)
    documents = (Invoice, CreditMemo)
    shops = union(*(select(model.shop_id).where(among(model.order_id, sorted(first))) for model in documents))
    hold_issuing(set(db.session.scalars(shops)))
    for model in documents:
        query: Any = select(model).where(among(model.order_id, sorted(first)), model.sealed.is_not(None))
        query = query.where(model.number.is_not(None)).options(joinedload(model.order).joinedload(Order.store))
        keep(list(db.session.scalars(query.options(joinedload(model.shop)))))
    rows = select(KeptBuyer, Shop).join(Shop, Shop.id == KeptBuyer.shop_id)
    rows = rows.where(among(KeptBuyer.order_id, sorted(first)))
    _forget([row for row, shop in db.session.execute(rows) if duty_of(shop, row.country) is None])


def follow_setting(shop_id: int) -> None:
    """Keep what is kept of a shop for as long as its setting says now, also of what is being issued or erased."""
    hold_issuing([shop_id])
    for country, duty in _read(COUNTRIES.of(db.session.get_one(Shop, shop_id))).items():
        its = update(KeptBuyer).where(KeptBuyer.shop_id == shop_id, KeptBuyer.country == country)
        db.session.execute(its.values(kept_through=KeptBuyer.issued_year + duty.years))


def any_over() -> bool:
    """Whether the year is over through which something is kept."""
    return any_row(KeptBuyer, KeptBuyer.kept_through < _year())


def end_some(limit: int) -> int:
    """Delete what was kept through a year that is over, in the open unit of work; returns how much."""
    query = select(KeptBuyer).where(KeptBuyer.kept_through < _year()).order_by(KeptBuyer.kept_through).limit(limit)
    rows = list(db.session.scalars(query))
    if rows:
        _forget(rows)
        audit("kept_buyers_ended", actor=Actor.job("billing"), documents=len(rows))
    return len(rows)


def _year() -> int:
    return (now() - _EVERYWHERE).year


def _row(document: Document, country: str, years: int, said: Mapping[str, Any]) -> dict[str, Any]:
    on, issued_at = document.terms.get("issued_on"), document.issued_at or now()
    year = int(on[:4]) if on else issued_at.astimezone(ZoneInfo(document.shop.zone)).year
    kind = _kind(document)
    return {
        "kind": kind,
        "document_id": document.id,
        "order_id": document.order_id,
        "shop_id": document.shop_id,
        "country": country,
        "issued_year": year,
        "kept_through": year + years,
        **seal_document(_name(kind, document.id), said)._asdict(),
    }


def _write(rows: Iterable[dict[str, Any]]) -> None:
    if made := list(rows):
        db.session.execute(insert_into(KeptBuyer).values(made).on_conflict_do_nothing())


def _forget(rows: Sequence[KeptBuyer]) -> None:
    """Delete rows, and with them the keys of their documents; the months' own keys go once nothing needs them."""
    periods.note({row.month for row in rows})
    for kind in DocumentKind:
        ids = [row.document_id for row in rows if row.kind == kind]
        gone = delete(KeptBuyer).where(KeptBuyer.kind == kind, among(KeptBuyer.document_id, ids))
        db.session.execute(gone, execution_options={"synchronize_session": False})


def _kind(document: Document) -> DocumentKind:
    return DocumentKind.INVOICE if isinstance(document, Invoice) else DocumentKind.CREDIT_MEMO


def _name(kind: str, document_id: int) -> str:
    return f"{kind}:{document_id}"


# --- Opening ----------------------------------------------------------------------------------------------------------


def kept_through(document: Document) -> int | None:
    """The year through which a document keeps a buyer who is erased; None if it keeps none."""
    if document.sealed is not None:
        return None
    row = db.session.get(KeptBuyer, (_kind(document), document.id))
    return row.kept_through if row is not None else None


def open_kept(document: Document, actor: Actor, purpose: str) -> Mapping[str, Any]:
    """What a document says of a buyer who is erased. Who opens it and what for is recorded in the open unit of work.

    Raises `Forbidden`, `Invalid` without a purpose, or `NotKept`, also while the buyer is not erased: the right to see
    buyers is another one.
    """
    actor.needs(ARCHIVE)
    purpose = purpose.strip()
    if not purpose:
        raise Invalid(field="purpose", problem=_l("Enter a value."))
    if len(purpose) > _LONGEST:
        raise Invalid(field="purpose", problem=_l("This text is too long. Shorten it."))
    row = db.session.get(KeptBuyer, (_kind(document), document.id)) if document.sealed is None else None
    said = _opened(row) if row is not None else None
    if said is None:
        raise NotKept
    audit("kept_buyer_opened", actor=actor, document=document.number, order=document.order_id, purpose=purpose)
    return said


def _opened(row: KeptBuyer) -> Mapping[str, Any] | None:
    return open_document(_name(row.kind, row.document_id), SealedDocument(row.month, row.wrapped, row.body))
