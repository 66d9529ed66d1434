"""What the plugin registers, and its page."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from flask import Blueprint
from markupsafe import Markup
from pydantic import Field
from sqlalchemy import ColumnElement, Select, func, or_, select

from waybill_seals.models import Arrival, Seal
from webapp.api import (
    ActionInput,
    Actor,
    Badge,
    Card,
    Column,
    ColumnKind,
    EventWords,
    FormField,
    KeyKind,
    Link,
    MenuEntry,
    Order,
    OrderAction,
    Panel,
    PlainRow,
    QueryKey,
    Refusal,
    Right,
    Schedule,
    Setting,
    SettingsGroup,
    Subject,
    current_actor,
    db,
    gettext as _,
    hookimpl,
    job,
    lazy_gettext as _l,
    needs,
    now,
    page,
    record,
    redis,
    redis_key,
    visible,
)

pages = Blueprint("pages", __name__)
LONGEST = Setting(name="seals_longest", label=_l("Longest number of a seal"), default=8, minimum=1)


@pages.get("/")
@needs("seals.put")
def index() -> str:
    query = visible(current_actor()).join(Seal, Seal.order_id == Order.id).add_columns(Seal)
    return page("seals/index.html", rows=db.session.execute(query.order_by(Seal.id.desc()).limit(50)).all())


class TooLong(Refusal):
    code = "seal_too_long"
    sentence = _l("Seals have at most %(longest)s characters here.")


class SealInput(ActionInput):
    number: Annotated[str, Field(min_length=1), FormField(_l("Number of the seal"))]


class PutSeal(OrderAction):
    code, label, right, icon = "seal", _l("Put a seal"), "seals.put", "package"
    Input = SealInput

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: SealInput, actor: Actor) -> None:  # type: ignore[override]
        if len(data.number) > LONGEST.of():
            raise TooLong(longest=LONGEST.of())
        db.session.add(Seal(order_id=order.id, number=data.number, at=now()))
        record(order, "sealed", actor=actor, values={"number": data.number})


def seals_of(orders: Sequence[Order], actor: Actor) -> Mapping[int, int]:
    ids = [order.id for order in orders]
    found = db.session.execute(
        select(Seal.order_id, func.count()).where(Seal.order_id.in_(ids)).group_by(Seal.order_id)
    )
    return {row[0]: row[1] for row in found}


def wants_seal(order: Order) -> bool:
    return order.channel_order.extra.get("seal") == "required"


def sealed(values: Sequence[bool], actor: Actor) -> ColumnElement[bool]:
    having = Order.id.in_(select(Seal.order_id))
    return or_(*(having if wanted else ~having for wanted in values))


def numbers(rows: Sequence[PlainRow], actor: Actor) -> Mapping[int, str]:
    return {row.id: row.number for row in rows}


def orders_of(rows: Sequence[PlainRow], actor: Actor) -> Mapping[int, Link]:
    return {row.id: Link(row.order, f"/orders/{row.order}") for row in rows}


def moments(rows: Sequence[PlainRow], actor: Actor) -> Mapping[int, datetime]:
    return {row.id: row.at for row in rows}


def numbered(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    return Seal.number.in_(values)


def seals_seen(actor: Actor) -> Select[Seal]:
    actor.needs("seals.put")
    query = select(Seal).join(Order, Order.id == Seal.order_id)
    return query if actor.shops is None else query.where(Order.shop_id.in_(actor.shops))


SEALS = Subject(
    code="seals",
    label=_l("All seals"),
    order_id=Seal.__table__.c.order_id,
    within="orders",
    filters=("store", "state"),
    model=Seal,
    visible=seals_seen,
    sorts={"put": Seal.at},
    usual="-put",
    row={"store_id": Order.store_id, "shop_id": Order.shop_id},
    always=("order", "seal"),
    each=_l("One row per seal"),
    reference=lambda row: f"seal {row.id}",
    right="seals.put",
)


def panel(order: Order, actor: Actor) -> str:
    numbers = db.session.scalars(select(Seal.number).where(Seal.order_id == order.id)).all()
    return Markup("<p>{}</p>").format(_("Seals: %(numbers)s", numbers=", ".join(numbers)))


def card(actor: Actor) -> str:
    return Markup("<p><strong>{}</strong></p>").format(db.session.scalar(select(func.count()).select_from(Seal)))


@job("clock")
def count_seals() -> None:
    redis().set(redis_key("seals", "count"), db.session.scalar(select(func.count()).select_from(Seal)) or 0)


@hookimpl
def register_rights() -> list[Right]:
    return [Right("seals.put", _l("put seals on parcels"), roles=("manager", "packer"))]


@hookimpl
def register_blueprints() -> list[Blueprint]:
    return [pages]


@hookimpl
def register_menu_entries() -> list[MenuEntry]:
    return [MenuEntry(_l("Seals"), "pages.index")]


@hookimpl
def register_order_actions() -> list[OrderAction]:
    return [PutSeal()]


@hookimpl
def register_event_words() -> list[EventWords]:
    return [EventWords("sealed", _l("Sealed with %(number)s"))]


@hookimpl
def register_columns() -> list[Column]:
    return [
        Column(code="seals", label=_l("Seals"), values=seals_of, kind=ColumnKind.NUMBER, reads={}),
        Column(
            subject="seals", code="seal", label=_l("Seal"), values=numbers, reads={"number": Seal.number}, default=True
        ),
        Column(
            subject="seals",
            code="order",
            label=_l("Order"),
            values=orders_of,
            kind=ColumnKind.LINK,
            reads={"order": Order.number},
            default=True,
        ),
        Column(
            subject="seals",
            code="put",
            label=_l("Put on"),
            values=moments,
            kind=ColumnKind.TIME,
            sort="put",
            reads={"at": Seal.at},
            default=True,
        ),
    ]


@hookimpl
def register_list_subjects() -> list[Subject]:
    return [SEALS]


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return [
        QueryKey(code="sealed", label=_l("Sealed"), kind=KeyKind.YES_NO, condition=sealed, bare=True),
        QueryKey(subject="seals", code="seal", label=_l("Seal"), kind=KeyKind.TEXT, condition=numbered),
    ]


@hookimpl
def register_badges() -> list[Badge]:
    return [Badge(code="seal_needed", label=_l("Seal it"), shows=wants_seal, tone="warn", icon="lock")]


@hookimpl
def register_panels() -> list[Panel]:
    return [Panel(code="seals", label=_l("Seals"), render=panel)]


@hookimpl
def register_cards() -> list[Card]:
    return [Card(code="seals", label=_l("Seals"), render=card)]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [SettingsGroup("seals", _l("Seals"), [LONGEST])]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(count_seals, every=3600)]


@hookimpl
def orders_imported(orders: list[int]) -> None:
    db.session.add(Arrival(orders=len(orders)))
