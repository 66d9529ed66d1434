"""What the plugin registers, and its page."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from flask import Blueprint
from markupsafe import Markup
from pydantic import Field
from sqlalchemy import ColumnElement, func, or_, select

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
    MenuEntry,
    Order,
    OrderAction,
    Panel,
    QueryKey,
    Refusal,
    Right,
    Schedule,
    Setting,
    SettingsGroup,
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
    return [Column(code="seals", label=_l("Seals"), values=seals_of, kind=ColumnKind.NUMBER)]


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return [QueryKey(code="sealed", label=_l("Sealed"), kind=KeyKind.YES_NO, condition=sealed, bare=True)]


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
