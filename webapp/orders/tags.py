"""Tags: the merchant's own labels for any orders.

An order's tags are on its row as ids, for reading, and in `order_tags`, for finding; both change together, here and in
`organizing`. Before a tag is deleted or merged, it is removed from its orders, in chunks, with an event for each order.
"""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import delete, func, select, update

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.db import db, insert_into
from webapp.errors import DeskError, Invalid, NotFound
from webapp.i18n import lazy_gettext as _l
from webapp.lists.saved_views import rename_value
from webapp.orders.events import record_all
from webapp.orders.models import Order, OrderTag, Tag
from webapp.orders.queries import locked_all
from webapp.orders.statuses import TONES, all_statuses
from webapp.orders.statuses_and_tags import forget_statuses_and_tags, statuses_and_tags
from webapp.search.query import renamed

LONGEST_NAME = 40


class UnknownTag(DeskError):
    """A person who may not create tags named a new one."""

    code, status = "unknown_tag", 422
    field = "add"
    sentence = _l("There is no tag “%(name)s”. A user who may change settings can add it.")


def all_tags() -> list[Tag]:
    """Every tag by its name, including those being deleted or merged; read once per transaction."""
    _, tags = statuses_and_tags()
    return sorted(tags, key=lambda tag: tag.name.casefold())


def offered_tags() -> list[Tag]:
    """The tags that orders can get."""
    return [tag for tag in all_tags() if not tag.leaving]


def tags_of(order: Order) -> list[Tag]:
    """The order's tags, by name."""
    return [tag for tag in all_tags() if tag.id in order.tags]


def find_tag(tag_id: int) -> Tag:
    for tag in all_tags():
        if tag.id == tag_id:
            return tag
    raise NotFound(name=tag_id)


def named(names: Iterable[str], actor: Actor, field: str = "add") -> list[Tag]:
    """The tags with these names, upper or lower case; unknown names become new tags if the actor may change
    settings.
    """
    found = []
    for name in dict.fromkeys(clean_name(name, field) for name in names if name.strip()):
        tag = _of_name(name)
        if tag is None:
            if not actor.may("settings.edit"):
                raise UnknownTag(name=name)
            tag = make_tag(name, actor=actor)
        elif tag.leaving:
            raise Invalid(field=field, problem=_l("“%(name)s” is being deleted.", name=tag.name))
        found.append(tag)
    return list({tag.id: tag for tag in found}.values())


def clean_name(name: str, field: str) -> str:
    """The name in its stored form; raises `Invalid`. A name with a comma or quote could not be typed in a list of
    tags.
    """
    name = " ".join(name.split())
    if not name:
        raise Invalid(field=field, problem=_l("Enter a value."))
    if len(name) > LONGEST_NAME:
        raise Invalid(field=field, problem=_l("This text is too long. Shorten it."))
    if not name.isprintable() or set(name) & set(',"'):
        raise Invalid(field=field, problem=_l("The name can't contain commas or quotes. Remove them."))
    return name


def _of_name(name: str) -> Tag | None:
    return next((tag for tag in all_tags() if tag.name.casefold() == name.casefold()), None)


def put_on(order_id: int, tag_ids: Collection[int]) -> None:
    """Add the rows by which the order is found."""
    rows = [{"tag_id": tag_id, "order_id": order_id} for tag_id in tag_ids]
    if rows:
        db.session.execute(insert_into(OrderTag).on_conflict_do_nothing(), rows)


def take_off(order_ids: Sequence[int], tag_ids: Collection[int]) -> None:
    if tag_ids:
        db.session.execute(delete(OrderTag).where(OrderTag.order_id.in_(order_ids), OrderTag.tag_id.in_(list(tag_ids))))


# --- Keeping the list -------------------------------------------------------------------------------------------------


def make_tag(name: str, *, actor: Actor, tone: str = "calm") -> Tag:
    """Create a tag. Raises `Invalid`; two people who create the same tag at once both get it."""
    actor.needs("settings.edit")
    name = clean_name(name, "name")
    _check(name, tone)
    values = {"name": name, "tone": tone, "leaving": False}
    db.session.execute(insert_into(Tag).on_conflict_do_nothing(), [values])
    forget_statuses_and_tags()
    tag = _of_name(name)
    if tag is None:
        raise Invalid(field="name", problem=_l("Another tag has this name. Choose another name."))
    audit("tag_made", actor=actor, tag=tag.id)
    return tag


def change_tag(tag: Tag, name: str, *, tone: str, actor: Actor) -> None:
    """Rename a tag, on all its orders and in everything that refers to it by name, or change its tone. Raises
    `Invalid`.
    """
    actor.needs("settings.edit")
    actor.needs_all_shops()
    name = clean_name(name, "name")
    _check(name, tone, but=tag)
    if name != tag.name:
        _rename(tag, name)
    tag.name, tag.tone = name, tone
    db.session.flush()
    forget_statuses_and_tags()
    audit("tag_changed", actor=actor, tag=tag.id)


def _rename(tag: Tag, name: str) -> None:
    """Rename a tag in saved views and rules of statuses, which refer to it by name, older ones by id; a name that is
    also another tag's id means that tag.
    """
    ids = {str(other.id) for other in all_tags() if other.id != tag.id}
    for said in {str(tag.id), tag.name} - ids:
        rename_value("tag", said, name)
        for status in all_statuses():
            status.rule = renamed(status.rule, "tag", said, name)


def retire_tag(tag: Tag, *, actor: Actor, heir: Tag | None = None) -> None:
    """Delete the tag, or merge it into its heir: no order gets it any more, and a job removes it from those that
    have it. Tags that are being merged into this one are merged into its heir instead. Raises `Invalid`.
    """
    actor.needs("settings.edit")
    actor.needs_all_shops()
    concerned = select(Tag).where(Tag.id.in_({tag.id, heir.id if heir else tag.id})).order_by(Tag.id)
    db.session.scalars(concerned.with_for_update().execution_options(populate_existing=True)).all()
    if heir is not None and (heir.id == tag.id or heir.leaving):
        raise Invalid(field="heir", problem=_l("Choose another tag, which is not being deleted."))
    tag.leaving, tag.heir_id = True, heir.id if heir else None
    db.session.execute(update(Tag).where(Tag.heir_id == tag.id).values(heir_id=tag.heir_id))
    db.session.flush()
    forget_statuses_and_tags()
    audit("tag_retired", actor=actor, tag=tag.id, heir=tag.heir_id)


def _check(name: str, tone: str, but: Tag | None = None) -> None:
    known = _of_name(name)
    if known is not None and known is not but:
        raise Invalid(field="name", problem=_l("Another tag has this name. Choose another name."))
    if tone not in TONES:
        raise Invalid(field="tone", problem=_l("This value is not known. Choose another."))


def numbers_of_orders() -> dict[int, int]:
    """The number of orders with each tag."""
    query = select(OrderTag.tag_id, func.count()).group_by(OrderTag.tag_id)
    return dict(db.session.execute(query).all())


def leaving_tags() -> list[int]:
    """The ids of tags that are being deleted or merged."""
    return [tag.id for tag in all_tags() if tag.leaving]


def clear_tag(tag_id: int, limit: int) -> bool:
    """Remove a tag that is being deleted or merged from up to `limit` orders, and delete it once no order has it.
    True while some orders have it.
    """
    tag = db.session.scalar(select(Tag).where(Tag.id == tag_id, Tag.leaving).with_for_update())
    if tag is None:
        return False
    actor = Actor.job("tags")
    ids = list(db.session.scalars(select(OrderTag.order_id).where(OrderTag.tag_id == tag.id).limit(limit)))
    heir = db.session.get(Tag, tag.heir_id) if tag.heir_id else None
    changed = []
    for order in locked_all(ids, actor):
        kept = [known for known in order.tags if known != tag.id]
        order.tags = [*kept, heir.id] if heir and heir.id not in kept else kept
        changed.append(order)
        if heir:
            put_on(order.id, [heir.id])
    take_off(ids, [tag.id])
    if changed:
        values = {"removed": tag.name} | ({"added": heir.name} if heir else {})
        record_all(changed, "retagged" if heir else "untagged", actor=actor, cause="tag", values=values)
    if len(ids) == limit:
        return True
    _rename(tag, heir.name if heir else tag.name)  # a later tag may get the same id
    db.session.delete(tag)
    db.session.flush()
    forget_statuses_and_tags()
    return False
