"""What people decide about updates: to undo one, to send it now or again, to close it, or to state that it happened, or
was done elsewhere.

Each function checks under the locks of the order and the update, since somebody may have acted at the same moment. An
update that may have left is never withdrawn: a person may say that it happened, or that it did not, which is audited.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.clock import now
from webapp.db import among, any_row, db
from webapp.errors import DeskError, Refusal
from webapp.hooks.fence import PluginFailed
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.jobs.runs import passes
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.updates.contract import OutwardKind
from webapp.updates.ending import end, owe_again, settle_troubles
from webapp.updates.kinds import kinds, why_not, why_not_undone
from webapp.updates.models import ENDED, LEFT, STATE_LABELS, WAITING, ChannelUpdate, UpdateState
from webapp.updates.owing import OnItsWay, tell_owed
from webapp.updates.queries import corrected, denied, find_update, undecided, unseen

FRESH_LOOK = timedelta(hours=2)  # the maximum age of a look-up when a person says that nothing happened


class _StateRefusal(Refusal):
    """A refusal whose sentence names the update's state."""

    code = ""

    def __str__(self) -> str:
        return str(self.sentence) % {"state": STATE_LABELS[self.values["state"]]}


class NotRetriable(_StateRefusal):
    """Only an update that was refused, or whose result is unknown, can be sent again."""

    code = "not_retriable"
    sentence = _l("The status of this update is “%(state)s”, so it can't be sent again.")


class NotClosable(_StateRefusal):
    """Only an update that the channel refused, or never confirmed, can be closed."""

    code = "not_closable"
    sentence = _l("The status of this update is “%(state)s”, so it can't be closed.")


class NotHeld(_StateRefusal):
    """Only an update that waits for its time can be sent before it."""

    code = "not_held"
    sentence = _l("The status of this update is “%(state)s”, so it can't be sent early.")


class NotRefused(_StateRefusal):
    """Only of an update that the channel refused can a person say that it was done at the channel itself."""

    code = "not_refused"
    sentence = _l("The status of this update is “%(state)s”. Only a refused update can be marked as done elsewhere.")


class OnlyReadingsShow(Refusal):
    """Its kind says that people can't say that it happened."""

    code = "only_readings_show"
    sentence = _l("This update can't be marked as done. Waybill reads its result from the channel.")


class AlreadyEnded(_StateRefusal):
    """The update has ended."""

    code = "update_ended"
    sentence = _l("The status of this update is “%(state)s”, so it can't be undone.")


class NotUndoable(Refusal):
    """The plugin is missing that knows what it would mean."""

    code = "not_undoable"
    sentence = _l("This update can't be undone, because its plugin is not loaded.")


class TooSoonToDisown(Refusal):
    """Channels may show an effect late: until then nobody can say that it did not happen."""

    code = "too_soon_to_disown"
    sentence = _l(
        "The channel may still show this update. Wait until %(hours)s hours after it was sent before you mark it "
        "as not done."
    )


class LookFirst(Refusal):
    """The last look-up at the channel is too old to say that nothing happened."""

    code = "look_first"
    sentence = _l("Waybill last checked the channel too long ago. It checks again automatically. Try again after that.")


def right_to(update: ChannelUpdate) -> str:
    """The right that deciding about an update needs, as its kind names it."""
    kind = kinds().get(update.kind)
    return kind.right if kind else OutwardKind.right


def right_to_undo(update: ChannelUpdate) -> str:
    """The right that undoing an update needs, as its kind names it."""
    kind = kinds().get(update.kind)
    return (kind.undo_right if kind else "") or right_to(update)


def able(actor: Actor) -> set[str]:
    """The codes of what the actor can ever decide about updates, by the rights that the registered kinds ask for."""
    able_to: set[str] = set()
    for kind in kinds().values():
        if actor.may(kind.undo_right or kind.right):
            able_to.add("undo")
        if actor.may(kind.right):
            able_to |= {"send", "retry", "close"}
            able_to |= {"confirm"} if kind.confirmable else set()
            able_to |= {"elsewhere"} if kind.confirmable and kind.elsewhere else set()
    return able_to


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that a person can decide about an update now, as a button."""

    code: str
    label: LazyString


def offers(update: ChannelUpdate, actor: Actor) -> list[Offer]:
    """What the actor can decide about an update now, in the order of the buttons."""
    may, may_undo = actor.may(right_to(update)), actor.may(right_to_undo(update))
    again = _l("Not done: send again") if undecided(update) else _l("Try again")
    confirms = confirmable(update)
    closes = _l("Mark as not done") if confirms else _l("Close without sending again")
    every = (
        (may_undo and update.state in WAITING and undo_refusal(update) is None, Offer("undo", _l("Undo"))),
        (may and sendable(update), Offer("send", _l("Send now"))),
        (may and retriable(update), Offer("retry", again)),
        (may and confirms, Offer("confirm", _l("Mark as done"))),
        (may and elsewhere_refusal(update) is None, Offer("elsewhere", _l("Done elsewhere"))),
        (may and closable(update), Offer("close", closes)),
    )
    return [offer for possible, offer in every if possible]


def undo(update: ChannelUpdate, *, actor: Actor) -> None:
    """Withdraw an update before it leaves. Raises `OnItsWay` for one that a worker has ever claimed."""
    order = _locked(update, actor, right_to_undo(update))
    if refusal := undo_refusal(update):
        raise refusal
    audit("update_undone", actor=actor, update=update.id, order=order.id)
    end([update], UpdateState.WITHDRAWN, event="update_undone", actor=actor)


def undo_refusal(update: ChannelUpdate) -> Refusal | None:
    """Why an update can't be undone now, asked by the button and by `undo`."""
    if update.state in ENDED:
        return AlreadyEnded(state=update.state)
    if not update.never_left:
        return OnItsWay()
    if update.kind not in kinds():
        return NotUndoable()
    try:
        return why_not_undone(update)
    except PluginFailed as problem:
        return problem


def send_now(update: ChannelUpdate, *, actor: Actor) -> None:
    """Send an update before its time, as soon as its channel allows. Raises the reason if it is no longer wanted."""
    order = _locked(update, actor)
    if not sendable(update):
        raise NotHeld(state=update.state)
    if refusal := why_not(update, order):
        raise refusal
    update.state, update.due_at, update.urgent = UpdateState.OWED, now(), True
    record(order, "update_released", actor=actor, values={"kind": update.kind})
    tell_owed([update])


def retry(update: ChannelUpdate, *, actor: Actor) -> None:
    """Send a refused or unknown update again. An unknown one is looked up first; if it can't be looked up, sending
    it again states that it did not happen. Raises the reason if it is no longer wanted.
    """
    order = _locked(update, actor)
    if not retriable(update) or _is_corrected(update):
        raise NotRetriable(state=update.state)
    if refusal := why_not(update, order):
        raise refusal
    if update.state == UpdateState.UNKNOWN and not undecided(update):
        update.look_again_at = now()
    else:
        if update.state == UpdateState.UNKNOWN:
            _check_disowned(update)
            audit("update_disowned", actor=actor, update=update.id, order=order.id)
        update.refused_at = None
        owe_again(update, now())
        tell_owed([update])
    settle_troubles(order, update)
    record(order, "update_retried", actor=actor, values={"kind": update.kind})


def close(update: ChannelUpdate, *, actor: Actor) -> None:
    """Close an update: it did not happen and is never sent again; the channel's reason stays. Raises if it has left
    and it is too early to say so.
    """
    order = _locked(update, actor)
    if not closable(update):
        raise NotClosable(state=update.state)
    if update.state in LEFT:
        _check_disowned(update)
    if update.state == UpdateState.UNKNOWN:
        update.problem = None  # it says that the desk looks it up
    audit("update_closed", actor=actor, update=update.id, order=order.id)
    end([update], UpdateState.WITHDRAWN, event="update_closed", actor=actor)


def confirm(update: ChannelUpdate, *, actor: Actor) -> None:
    """Record a person's statement that it happened, though the channel does not show it."""
    order = _locked(update, actor)
    if not confirmable(update):
        raise NotClosable(state=update.state)
    audit("update_confirmed", actor=actor, update=update.id, order=order.id)
    end([update], UpdateState.EFFECTIVE, event="update_confirmed", actor=actor)


def elsewhere(update: ChannelUpdate, *, actor: Actor) -> None:
    """Record a person's statement that what the channel refused was done at the channel itself. Raises the refusal of
    `elsewhere_refusal`.
    """
    order = _locked(update, actor)
    if refusal := elsewhere_refusal(update):
        raise refusal
    audit("update_done_elsewhere", actor=actor, update=update.id, order=order.id)
    end([update], UpdateState.DONE_ELSEWHERE, event="update_said_elsewhere", actor=actor)


def elsewhere_refusal(update: ChannelUpdate) -> Refusal | None:
    """Why nobody can say that the update was done elsewhere, asked by the button and by `elsewhere`."""
    if update.state != UpdateState.REFUSED:
        return NotRefused(state=update.state)
    kind = kinds().get(update.kind)
    return None if _is_for_people(update) and (kind is None or kind.elsewhere) else OnlyReadingsShow()


def in_order(update_ids: Sequence[int], actor: Actor) -> list[int]:
    """Those of the updates that the actor may see, in the order in which orders are locked."""
    its = visible(actor).with_only_columns(Order.id)
    query = select(ChannelUpdate.id).where(among(ChannelUpdate.id, update_ids), ChannelUpdate.order_id.in_(its))
    return list(db.session.scalars(query.order_by(ChannelUpdate.order_id, ChannelUpdate.id)))


def decide_each(update_ids: Sequence[int], decide: Callable[..., None], *, actor: Actor) -> dict[int, DeskError | None]:
    """Decide about updates (see `in_order`), each under a savepoint: those that are refused leave the others alone.
    Returns for each the reason why nothing was done, or None.
    """
    found: dict[int, DeskError | None] = {}
    for update_id in update_ids:
        try:
            with db.session.begin_nested():
                decide(find_update(update_id, actor), actor=actor)
            found[update_id] = None
        except DeskError as problem:
            if passes(problem):
                raise
            found[update_id] = problem
    return found


def _check_disowned(update: ChannelUpdate) -> None:
    """Raise if it is too early to say that an update which may have left did not happen."""
    kind = kinds().get(update.kind)
    if kind is None or not kind.disowned_after:
        return
    left = update.sent_at or update.due_at  # for an unknown update, when its answer was lost
    if now() - left < kind.disowned_after:
        raise TooSoonToDisown(hours=round(kind.disowned_after.total_seconds() / 3600))
    if kind.provable and (update.looked_at is None or now() - update.looked_at > FRESH_LOOK):
        raise LookFirst


def sendable(update: ChannelUpdate) -> bool:
    """Whether the update waits for its time: for the end of its hold, or for the next batch of its lane."""
    return update.never_left and (update.state == UpdateState.HELD or (update.due_at > now() and not update.urgent))


def retriable(update: ChannelUpdate) -> bool:
    """Whether the update can be sent again; includes one that the channel denies, which would be sent hours later."""
    may_be_sent = _waits_denied(update) or update.state in (UpdateState.REFUSED, UpdateState.UNKNOWN)
    return may_be_sent and update.kind in kinds()


def may_retry(update: ChannelUpdate, actor: Actor) -> bool:
    """Whether the actor may send the update again now."""
    return actor.may(right_to(update)) and retriable(update)


def closable(update: ChannelUpdate) -> bool:
    """Whether a person can say that it did not happen: an update that can be sent again, or that the channel took
    and never showed.
    """
    return _waits_denied(update) or update.state == UpdateState.REFUSED or _in_doubt(update)


def _waits_denied(update: ChannelUpdate) -> bool:
    """Whether the update waits because the channel denies it, and no worker has it."""
    return update.state == UpdateState.OWED and update.lease_owner is None and denied(update)


def confirmable(update: ChannelUpdate) -> bool:
    """Whether a person can say that it happened: its result is unknown, or the channel took it and never showed it."""
    return _in_doubt(update) and _is_for_people(update)


def _is_for_people(update: ChannelUpdate) -> bool:
    """Whether people may say of this kind that it happened."""
    kind = kinds().get(update.kind)
    return kind is None or kind.confirmable


def _in_doubt(update: ChannelUpdate) -> bool:
    return update.state == UpdateState.UNKNOWN or unseen(update)


def _is_corrected(update: ChannelUpdate) -> bool:
    """Whether a later revision replaced the update."""
    return any_row(ChannelUpdate, ChannelUpdate.id == update.id, corrected())


def _locked(update: ChannelUpdate, actor: Actor, right: str = "") -> Order:
    """The order, locked, then the update, read again; the actor needs the right, or that to decide about the update."""
    actor.needs(right or right_to(update))
    query = visible(actor).where(Order.id == update.order_id).with_for_update(of=Order)
    order = db.session.scalars(query.execution_options(populate_existing=True)).one()
    db.session.refresh(update, with_for_update={"of": ChannelUpdate})
    return order
