"""Shops: the merchant's own faces to buyers, and the sequences from which their order numbers come.

The whole desk never gives a number twice. Each sequence that ever gave numbers is therefore kept: a prefix that could
give one of them again is refused, and a shop that returns to an earlier prefix continues where that sequence stopped.
"""

import re

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.models import NumberSequence, Shop
from webapp.channels.naming import named
from webapp.clock import now, zones
from webapp.db import db, hold_name
from webapp.errors import Invalid, NotFound, SeveralFit
from webapp.i18n import lazy_gettext as _l

ORDERS = "orders"
PADDINGS = range(1, 13)
_RETIRED = f"{ORDERS}:"  # comes before the prefix of a sequence from which a shop no longer draws
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,12}", re.ASCII)
_LONGEST = 100


class UnknownShop(NotFound):
    """No shop has this name or id, or none that this person may see."""

    code = "unknown_shop"
    sentence = _l("There is no shop “%(name)s”.")


class SeveralShopsFit(SeveralFit):
    """A name that several shops have; `values["choices"]` names them by their ids."""

    code = "several_shops_fit"
    sentence = _l("“%(name)s” matches several shops. Give the ID of one of them: %(choices)s.")


def shops(actor: Actor | None = None) -> list[Shop]:
    """All shops by name; with an actor, only those for which the actor works."""
    query = select(Shop).order_by(Shop.name, Shop.id)
    if actor is not None and actor.shops is not None:
        query = query.where(Shop.id.in_(actor.shops))
    return list(db.session.scalars(query))


def get_shop(shop_id: int) -> Shop:
    shop = db.session.get(Shop, shop_id) if 0 < shop_id < 2**31 else None
    if shop is None:
        raise UnknownShop(name=shop_id)
    return shop


def find_shop(key: str) -> Shop:
    """A shop by id or by name; for a text of digits, an id comes before a name."""
    return named(shops(), key, UnknownShop, SeveralShopsFit)


def seen_shop(shop_id: int, actor: Actor) -> Shop:
    """The shop, if the actor works for it; else raises `NotFound`."""
    if not actor.serves([shop_id]):
        raise UnknownShop(name=shop_id)
    return get_shop(shop_id)


def create_shop(
    name: str,
    *,
    prefix: str,
    zone: str = "UTC",
    padding: int = 6,
    actor: Actor | None = None,
) -> Shop:
    """Create a shop with its own order numbers; raises `Invalid` for an invalid value. The desk creates its first
    shop itself.
    """
    if actor is not None:
        actor.needs("settings.edit")
        actor.needs_all_shops()
    shop = Shop(name="", zone="", created_at=now())
    _describe(shop, name=name, zone=zone)
    _check_numbers(None, prefix, padding)
    db.session.add(shop)
    db.session.flush()
    db.session.add(NumberSequence(shop_id=shop.id, kind=ORDERS, prefix=prefix, padding=padding))
    db.session.flush()
    if actor is not None:
        audit("shop_added", actor=actor, shop=shop.id)
    return shop


def change_shop(shop: Shop, *, name: str, prefix: str, zone: str, padding: int, actor: Actor) -> None:
    """Change a shop; orders keep the numbers that they have."""
    actor.needs("settings.edit")
    actor.needs_shops([shop.id])
    _describe(shop, name=name, zone=zone)
    sequence = sequence_of(shop)
    _check_numbers(sequence, prefix, padding)
    if prefix != sequence.prefix:
        sequence = _another_sequence(sequence, prefix)
    sequence.padding = padding
    db.session.flush()
    audit("shop_changed", actor=actor, shop=shop.id)


def sequence_of(shop: Shop) -> NumberSequence:
    """The sequence of the shop's order numbers."""
    query = select(NumberSequence).where(NumberSequence.shop_id == shop.id, NumberSequence.kind == ORDERS)
    return db.session.scalars(query).one()


def next_numbers() -> dict[int, str]:
    """The number that each shop gives next, by the shop's id."""
    rows = db.session.scalars(select(NumberSequence).where(NumberSequence.kind == ORDERS))
    return {row.shop_id: f"{row.prefix}{row.next:0{row.padding}d}" for row in rows}


def is_prefix(text: str) -> bool:
    """Whether numbers can begin with this text."""
    return _PREFIX.fullmatch(text) is not None


def sequences_meet(prefix: str, other: str) -> bool:
    """Whether two prefixes followed by digits can give the same number: if the longer one is the shorter one,
    with or without digits behind it.
    """
    longer, shorter = (prefix, other) if len(prefix) >= len(other) else (other, prefix)
    rest = longer.removeprefix(shorter)
    return longer.startswith(shorter) and (rest == "" or rest.isdigit())


def _describe(shop: Shop, *, name: str, zone: str) -> None:
    name = " ".join(name.split())
    if not name:
        raise Invalid(field="name", problem=_l("Enter a value."))
    if len(name) > _LONGEST:
        raise Invalid(field="name", problem=_l("This text is too long. Shorten it."))
    if any(other.name.casefold() == name.casefold() for other in shops() if other.id != shop.id):
        raise Invalid(field="name", problem=_l("Another shop has this name. Choose another name."))
    if zone not in zones():
        raise Invalid(field="zone", problem=_l("This time zone is not known. Example: Europe/Berlin."))
    shop.name, shop.zone = name, zone


def _check_numbers(own: NumberSequence | None, prefix: str, padding: int) -> None:
    """Refuse a sequence that could give a number of another sequence, including those no longer in use. Of two changes
    at once, the second waits for the first.
    """
    hold_name("order numbers")
    if not is_prefix(prefix):
        raise Invalid(field="prefix", problem=_l("Use up to 12 letters, digits, dots, hyphens and underscores."))
    if padding not in PADDINGS:
        raise Invalid(field="padding", problem=_l("Enter a number from 1 to 12."))
    query = select(NumberSequence).where(NumberSequence.kind.startswith(ORDERS, autoescape=True))
    for other in db.session.scalars(query):
        same = own is not None and other.shop_id == own.shop_id and other.prefix == prefix
        if not same and sequences_meet(prefix, other.prefix):
            raise Invalid(
                field="prefix",
                problem=_l(
                    "This prefix could give the same numbers as “%(other)s”. Choose another prefix.", other=other.prefix
                ),
            )


def _another_sequence(current: NumberSequence, prefix: str) -> NumberSequence:
    """Draw from this prefix from now on; the present sequence is kept, and an earlier one is continued."""
    query = select(NumberSequence).where(
        NumberSequence.shop_id == current.shop_id, NumberSequence.kind == _RETIRED + prefix
    )
    earlier = db.session.scalar(query)
    current.kind = _RETIRED + current.prefix
    db.session.flush()  # a shop has one sequence of each kind at any moment
    if earlier is None:
        earlier = NumberSequence(shop_id=current.shop_id, kind=ORDERS, prefix=prefix)
        db.session.add(earlier)
    earlier.kind = ORDERS
    db.session.flush()
    return earlier
