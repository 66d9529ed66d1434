"""How documents of a shop are numbered: settings of each shop. A change applies from the next number on.

The desk never gives a number twice. Every sequence that ever gave numbers is kept, and a prefix that could give one of
them again, or one of another shop or kind, is refused.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import or_, select

from webapp.billing.contract import DocumentKind
from webapp.channels.models import NumberSequence, Shop
from webapp.channels.shops import ORDERS, is_prefix, sequences_meet, shops
from webapp.db import db, hold_name
from webapp.errors import Invalid
from webapp.i18n import lazy_gettext as _l
from webapp.settings.declared import SHOP, Setting, SettingsGroup

USUAL = {DocumentKind.INVOICE: "INV-", DocumentKind.CREDIT_MEMO: "CM-"}  # before the prefix of the shop's order numbers
NAME = "document numbers"  # held while sequences begin or are declared
_YEAR = re.compile(r"\d{4}-\d*", re.ASCII)


class Form(NamedTuple):
    """The form of a sequence's numbers: the prefix, the year if there is one, then digits."""

    prefix: str
    yearly: bool


def _prefix(kind: DocumentKind, label: Any) -> Setting[str]:
    help = _l("If this is empty, the prefix is %(usual)s and the prefix of the order numbers.", usual=USUAL[kind])
    return Setting(name=f"{kind.value}_prefix", label=label, help=help, check=_check_prefix)


def _check_prefix(text: str) -> None:
    if not is_prefix(text):
        raise ValueError(_l("Use up to 12 letters, digits, dots, hyphens and underscores."))


def _yearly(kind: DocumentKind, label: Any) -> Setting[bool]:
    help = _l(
        "The year is part of the number, such as %(usual)s2026-000001, in the shop's time zone.", usual=USUAL[kind]
    )
    return Setting(name=f"{kind.value}_yearly", label=label, default=False, help=help)


PREFIXES = {
    DocumentKind.INVOICE: _prefix(DocumentKind.INVOICE, _l("Prefix of invoice numbers")),
    DocumentKind.CREDIT_MEMO: _prefix(DocumentKind.CREDIT_MEMO, _l("Prefix of credit memo numbers")),
}
YEARLY = {
    DocumentKind.INVOICE: _yearly(DocumentKind.INVOICE, _l("Restart invoice numbers each year")),
    DocumentKind.CREDIT_MEMO: _yearly(DocumentKind.CREDIT_MEMO, _l("Restart credit memo numbers each year")),
}


def _check(shop: Shop, had: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse a prefix whose numbers could be those of another sequence, now or in a later year."""
    hold_name(NAME)
    values = {**had, **given}
    own = {
        kind: Form(
            str(PREFIXES[kind].parse(values[PREFIXES[kind].name])), bool(YEARLY[kind].parse(values[YEARLY[kind].name]))
        )
        for kind in DocumentKind
    }
    known = list(every_sequence())
    orders = {
        other.id: [row.prefix for row in known if row.shop_id == other.id and kind_of(row) == ORDERS]
        for other in shops()
    }
    for kind, form in own.items():
        if not form.prefix:
            continue
        others = [
            Form(row.prefix, row.yearly)
            for row in known
            if kind_of(row) != ORDERS
            and (row.shop_id, kind_of(row), row.prefix, row.yearly) != (shop.id, kind.value, *form)
        ]
        for other in shops():
            for of_kind in DocumentKind:
                if (other.id, of_kind) == (shop.id, kind):
                    continue
                declared = (
                    own[of_kind]
                    if other.id == shop.id
                    else Form(PREFIXES[of_kind].of(other), YEARLY[of_kind].of(other))
                )
                named = (
                    [declared.prefix] if declared.prefix else [USUAL[of_kind] + prefix for prefix in orders[other.id]]
                )
                others += [Form(prefix, declared.yearly) for prefix in named]
        for one in others:
            if meet(form, one):
                problem = _l(
                    "This prefix could give the same numbers as “%(other)s”. Choose another prefix.", other=one.prefix
                )
                raise Invalid(field=PREFIXES[kind].name, problem=problem)


NUMBERS = SettingsGroup(
    "numbers",
    _l("Numbers of invoices and credit memos"),
    tuple(setting for kind in DocumentKind for setting in (PREFIXES[kind], YEARLY[kind])),
    scope=SHOP,
    check=_check,
)


def meet(one: Form, other: Form) -> bool:
    """Whether two sequences can give the same number."""
    if one.yearly and other.yearly:
        return one.prefix == other.prefix  # the hyphen behind the year is the last one in both
    if not one.yearly and not other.yearly:
        return sequences_meet(one.prefix, other.prefix)
    yearly, plain = (one, other) if one.yearly else (other, one)
    rest = plain.prefix.removeprefix(yearly.prefix)
    return plain.prefix.startswith(yearly.prefix) and _YEAR.fullmatch(rest) is not None


def every_sequence(shop_ids: Iterable[int] | None = None) -> Iterable[NumberSequence]:
    """The sequences of orders and documents, also those from which no number is drawn any more."""
    kinds = (ORDERS, *(kind.value for kind in DocumentKind))
    query = select(NumberSequence).where(
        or_(*(NumberSequence.kind.startswith(kind, autoescape=True) for kind in kinds))
    )
    if shop_ids is not None:
        query = query.where(NumberSequence.shop_id.in_(list(shop_ids)))
    return db.session.scalars(query.execution_options(populate_existing=True)).all()


def kind_of(row: NumberSequence) -> str:
    """The kind of a sequence, also of one from which no number is drawn any more."""
    return row.kind.partition(":")[0]
