"""The outbox in the browser: the list of updates, and deciding about one or about many of them.

A button in a row decides about its update at once. For ticked rows a page asks first and another says what became of
each. A request decides about up to `MOST` updates: each is a short act at the desk, and what is sent afterwards is
the worker's work, so there is no run.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

from flask import Blueprint, flash, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor
from webapp.channels.described import kind_label
from webapp.db import among, db, unit_of_work
from webapp.errors import DeskError, NotFound
from webapp.i18n import gettext as _, lazy_gettext as _l
from webapp.lists.listing import count_rows, matching_ids
from webapp.lists.rows import Rows, read_rows
from webapp.ui.frame.access import current_actor
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.acts import Act
from webapp.ui.lists.cells import Beneath, Draw, Drawing
from webapp.ui.lists.chosen import Chosen
from webapp.ui.lists.list_pages import Drawn, ListPages
from webapp.ui.lists.order_cells import OrderDrawing, OrderTable
from webapp.ui.orders.shown import ShownOrder
from webapp.ui.orders.updates import DECISIONS, Decision
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate
from webapp.updates.outbox import OUTBOX_LIST, OutboxRow, name_of

bp = Blueprint(OUTBOX_LIST.code, __name__)
MOST = 200  # updates that one request decides about
TOGETHER = 20  # of these, in one transaction: none of their orders stays locked for long


class NothingChosen(DeskError):
    code, status = "no_update_chosen", 422
    sentence = _l("Choose at least one update first.")


class OutboxDrawing(OrderDrawing):
    """Draws the values of updates."""

    def by_code(self) -> Mapping[str, Draw]:
        return {**super().by_code(), "sending": self.pills}

    def _time_left(self, row: OutboxRow, value: Any) -> str:  # type: ignore[override]
        return Drawing._time_left(self, row, value)


class OutboxTable(OrderTable):
    """Draws the rows of updates; columns of orders are drawn as in the list of orders."""

    def is_dim(self, row: OutboxRow) -> bool:  # type: ignore[override]
        return False

    def drawing(self) -> Drawing:
        return OutboxDrawing()

    def beneath(self, code: str) -> Beneath | None:
        if code == "kind":
            return self._calls()
        return self._buttons() if code == "sending" else super().beneath(code)

    def _calls(self) -> Beneath:
        """The link to the calls about the update's order, once it was sent."""
        word = escape(_("Calls"))

        def beneath(row: OutboxRow) -> str:
            url = url_for("calls.index", q=f"number:{row.channel_order_number}")
            return f'<a class="sub" href="{escape(url)}">{word}</a>' if row.attempts else ""

        return beneath  # type: ignore[return-value]

    def _buttons(self) -> Beneath:
        """What can be decided about the row's update; the buttons belong to a form beside the list."""

        def beneath(row: OutboxRow) -> str:
            offers = deciding.offers(row.update, self.plain.actor)  # type: ignore[arg-type]
            buttons = "".join([self._button(row, offer) for offer in offers])
            return f'<span class="row tight">{buttons}</span>' if buttons else ""

        return beneath  # type: ignore[return-value]

    def _button(self, row: OutboxRow, offer: deciding.Offer) -> str:
        url, word = url_for(".decide", code=offer.code), str(offer.label)
        name = _("%(name)s: %(text)s", name=word, text=name_of(row))
        return (
            f'<button class="button tiny" type="submit" form="decide-form" formaction="{escape(url)}"'
            f' name="update" value="{row.id}" aria-label="{escape(name)}">{escape(word)}</button>'
        )


class OutboxPages(ListPages):
    """The pages of the outbox."""

    table = OutboxTable
    acts_in_rows = True

    def add_to(self, bp: Blueprint) -> None:
        super().add_to(bp)
        self.serve(bp, "GET", "/decide", self.choose)
        self.serve(bp, "POST", "/decide/<code>", self.decide)

    def acts(self, actor: Actor) -> list[Act]:
        able = deciding.able(actor)
        decisions = [
            Act(one.label, one.icon, url_for(".choose"), "act", code, partial(_any_offers, code, actor))
            for code, one in DECISIONS.items()
            if code in able
        ]
        return [*decisions, *super().acts(actor)]

    def first_chosen(self, chosen: Chosen, actor: Actor) -> Rows:
        return self._rows(self._chosen_ids(chosen, actor)[0], actor)

    def choose(self) -> Drawn:
        """What is about to be decided about the chosen updates, and for how many it is possible."""
        actor, chosen = current_actor(), Chosen.read(self.subject)
        decision = _decision(code := request.args.get("act", ""))
        ids, total = self._chosen_ids(chosen, actor)
        rows = self._rows(ids, actor)
        if not rows:
            flash(str(NothingChosen()), "warn")
            return redirect(chosen.list_url())
        fitting = sum(code in _offered(row, actor) for row in rows)
        return page(
            "lists/outbox/choose.html",
            decision=decision,
            chosen=chosen,
            ids=[row.id for row in rows],
            fitting=fitting,
            total=total,
        )

    def decide(self, code: str) -> Drawn:
        """Decide about one update and show the list again, or about many and show what became of each."""
        actor, chosen, decision = current_actor(), Chosen.read(self.subject), _decision(code)
        if not chosen.ids:
            raise NothingChosen
        problems: dict[int, DeskError | None] = {}
        ids = deciding.in_order(chosen.ids[:MOST], actor)
        for start in range(0, len(ids), TOGETHER):
            with unit_of_work():
                problems |= deciding.decide_each(ids[start : start + TOGETHER], decision.decide, actor=actor)
        if not problems:
            raise NotFound(name=chosen.ids[0])
        if len(problems) == 1:
            [problem] = problems.values()
            flash(str(problem or decision.said), "warn" if problem else "good")
            return redirect(chosen.list_url())
        refused = {id_: problem for id_, problem in problems.items() if problem}
        return page(
            "lists/outbox/decided.html",
            decision=decision,
            chosen=chosen,
            done=len(problems) - len(refused),
            refused=[(ShownOrder(row.order), _about(row, refused[row.id])) for row in _updates(list(refused))],
        )

    def _chosen_ids(self, chosen: Chosen, actor: Actor) -> tuple[list[int], int]:
        """The first chosen updates, and how many are chosen."""
        if not chosen.everything:
            return chosen.ids[:MOST], len(chosen.ids)
        compiled = chosen.asked(actor)
        ids = matching_ids(self.subject, actor, compiled, chosen.sort or None, MOST)
        return list(db.session.scalars(ids)), count_rows(self.subject, actor, compiled)[0]

    def _rows(self, ids: list[int], actor: Actor) -> Rows:
        return read_rows(self.subject, actor, ids, [])


def _decision(code: str) -> Decision:
    if code not in DECISIONS:
        raise NotFound(name=code)
    return DECISIONS[code]


def _updates(ids: list[int]) -> Sequence[ChannelUpdate]:
    query = select(ChannelUpdate).options(joinedload(ChannelUpdate.order)).where(among(ChannelUpdate.id, ids))
    return db.session.scalars(query.order_by(ChannelUpdate.id)).all()


def _about(update: ChannelUpdate, problem: DeskError) -> str:
    what = kind_label(update.store.channel, update.kind)
    return str(_("%(name)s: %(text)s", name=what, text=problem))


def _any_offers(code: str, actor: Actor, rows: Sequence[OutboxRow]) -> bool:
    return any(code in _offered(row, actor) for row in rows)


def _offered(row: OutboxRow, actor: Actor) -> set[str]:
    return {offer.code for offer in deciding.offers(row.update, actor)}  # type: ignore[arg-type]


OutboxPages(OUTBOX_LIST).add_to(bp)
