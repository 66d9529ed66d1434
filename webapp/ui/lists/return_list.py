"""The list of returns in the browser, and closing many of them at once.

A request closes up to `MOST` returns: each is a short act, so there is no run.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from flask import Blueprint, flash, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.documents import print_runs, printed
from webapp.errors import DeskError, Refusal
from webapp.i18n import gettext as _, lazy_gettext as _l, ngettext, pgettext
from webapp.lists.contract import PlainRow
from webapp.lists.listing import chosen_ids
from webapp.orders import bulk
from webapp.orders.queries import reference
from webapp.returns.models import PREFIX, Return
from webapp.returns.queries import find_return, id_of, returns_by_id
from webapp.returns.return_list import NUMBER, RETURN_LIST, STATE
from webapp.returns.services import RETURNING, close_each, close_refusal, left_of, units_to_refund
from webapp.returns.states import INSPECT
from webapp.ui.frame.access import current_actor
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.acts import Act, any_without
from webapp.ui.lists.cells import Beneath, Draw, Drawing
from webapp.ui.lists.chosen import Chosen
from webapp.ui.lists.documents import chosen_paper
from webapp.ui.lists.list_pages import Drawn, ListPages
from webapp.ui.lists.order_cells import OrderDrawing, OrderTable
from webapp.ui.lists.print_pages import SHOWN, ids_to_print, nothing_chosen, sheets_page, start_pdf
from webapp.ui.lists.shipment_list import goods_lists
from webapp.ui.orders.order_page import RETURNS, url_of

bp = Blueprint(RETURN_LIST.code, __name__)
MOST = 200  # returns that one request closes
TOGETHER = 20  # of these, in one transaction: none of their orders stays locked for long


class NoReturnChosen(DeskError):
    code, status = "no_return_chosen", 422
    sentence = _l("Choose at least one return first.")


class ReturnDrawing(OrderDrawing):
    """Draws the values of returns; the number is the link to the return, on its order's page."""

    def by_code(self) -> Mapping[str, Draw]:
        return {**super().by_code(), NUMBER: self._return, STATE: self.pills}

    def _return(self, row: PlainRow, value: Any) -> str:
        url = url_for("orders.show", number=reference(row), tab=RETURNS, _anchor=f"return-{row.id}")
        return f'<a class="number" href="{escape(url)}">{escape(value)}</a>'


class ReturnTable(OrderTable):
    """Draws the rows of returns; columns of orders are drawn as in the list of orders."""

    def is_dim(self, row: PlainRow) -> bool:
        return False

    def drawing(self) -> Drawing:
        return ReturnDrawing()

    def beneath(self, code: str) -> Beneath | None:
        return super().beneath(code) if code != "units" else None


class ReturnPages(ListPages):
    """The pages of the list of returns."""

    table = ReturnTable

    def add_to(self, bp: Blueprint) -> None:
        super().add_to(bp)
        self.serve(bp, "GET", "/print", self.print_chosen)
        self.serve(bp, "POST", "/print", self.start_pdf)
        self.serve(bp, "GET", "/close", self.choose)
        self.serve(bp, "POST", "/close", self.close)

    def acts(self, actor: Actor) -> list[Act]:
        close = Act(pgettext("return", "Close"), "archive", url_for(".choose"), possible=any_without(close_refusal))
        printing = Act(_("Print"), "printer", url_for(".print_chosen"), of_all=True)
        return [*([close] if actor.may(RETURNING) else []), printing, *super().acts(actor)]

    def first_chosen(self, chosen: Chosen, actor: Actor) -> Sequence[Return]:
        return returns_by_id(chosen_ids(self.subject, actor, **chosen.where(actor), limit=bulk.LOOKED_AT), actor)

    def beside(self) -> list[tuple[str, str, str]]:
        return goods_lists()

    def url_of_number(self, text: str, actor: Actor) -> str:
        """The URL of the return, if the text is the whole number of one."""
        if not text.strip().upper().startswith(PREFIX) or id_of(text) is None:
            return ""
        try:
            row = find_return(text, actor)
        except DeskError:
            return ""
        return f"{url_of(row.order, RETURNS)}#return-{row.id}"

    def print_chosen(self) -> Drawn:
        """The slips of the chosen returns to print, in the order of the list."""
        chosen = Chosen.read(self.subject)
        ids = ids_to_print(chosen)
        if not ids:
            return nothing_chosen(chosen)
        rows = returns_by_id(ids[:SHOWN], current_actor())
        composed = printed.compose_slips(rows, chosen_paper())
        return sheets_page(
            ngettext("%(num)s return slip", "%(num)s return slips", len(ids) - len(composed.refused)),
            [one.document for one in composed.documents],
            [row.order for row in rows if row.id not in composed.refused],
            chosen,
            chosen.back_url,
            pdf_url=url_for(".start_pdf"),
            hidden=len(ids) - len(rows),
            refused=[(row.order, composed.refused[row.id]) for row in rows if row.id in composed.refused],
            left_out=len(composed.refused),
            more=len(ids) > print_runs.MOST,
            nothing=_("None of these returns has units to send back."),
        )

    def start_pdf(self) -> AnyResponse:
        """Start a run that makes a PDF of the slips of the chosen returns, and redirect to it."""
        chosen = Chosen.read(self.subject)
        return start_pdf(printed.SLIPS_OF_RETURNS, ids_to_print(chosen), chosen)

    def choose(self) -> Drawn:
        """What is about to be closed: how many returns, and what is still open of them."""
        actor, chosen = current_actor(), Chosen.read(self.subject)
        actor.needs(RETURNING)
        ids: list[int] = []
        if chosen.everything or chosen.ids:
            ids = chosen_ids(self.subject, actor, **chosen.where(actor), limit=MOST + 1)
        rows = returns_by_id(ids[:MOST], actor)
        if not rows:
            flash(str(NoReturnChosen()), "warn")
            return redirect(chosen.list_url())
        fitting = [row for row in rows if close_refusal(row) is None]
        return page(
            "lists/returns/close.html",
            chosen=chosen,
            ids=[row.id for row in rows],
            fitting=len(fitting),
            to_refund=sum(bool(units_to_refund(row)) for row in fitting),
            to_inspect=sum(any(left_of(row, INSPECT).values()) for row in fitting),
            more=len(ids) > MOST,
        )

    def close(self) -> Drawn:
        """Close the chosen returns, and show the list again."""
        actor, chosen = current_actor(), Chosen.read(self.subject)
        actor.needs(RETURNING)
        if not chosen.ids:
            raise NoReturnChosen
        refusals: dict[int, Refusal | None] = {}
        for start in range(0, len(chosen.ids[:MOST]), TOGETHER):
            with unit_of_work():
                refusals |= close_each(chosen.ids[start : start + TOGETHER], actor=actor)
        done = sum(refusal is None for refusal in refusals.values())
        flash(str(ngettext("%(num)s return closed", "%(num)s returns closed", done)), "good" if done else "warn")
        for why, count in Counter(str(refusal) for refusal in refusals.values() if refusal is not None).items():
            words = ngettext("%(num)s not changed: %(why)s", "%(num)s not changed: %(why)s", count, why=why)
            flash(str(words), "warn")
        return redirect(chosen.list_url())


ReturnPages(RETURN_LIST).add_to(bp)
