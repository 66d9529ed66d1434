"""The communication log in the browser: the list of calls to channels, and trying again what failed."""

from collections.abc import Mapping
from html import escape
from typing import Any

from flask import Blueprint, flash, url_for
from werkzeug.wrappers import Response

from webapp.db import unit_of_work
from webapp.i18n import gettext as _
from webapp.lists.contract import PlainRow
from webapp.orders.lent_columns import order_row
from webapp.orders.queries import reference
from webapp.sync.call_list import CALL_LIST, CallRow, name_of, offered, try_again
from webapp.ui.frame.access import current_actor
from webapp.ui.frame.formats import number
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.cells import Beneath, Draw, Drawing
from webapp.ui.lists.chosen import Chosen
from webapp.ui.lists.list_pages import ListPages
from webapp.ui.lists.order_cells import OrderDrawing, OrderTable

bp = Blueprint(CALL_LIST.code, __name__)


class CallDrawing(OrderDrawing):
    """Draws the values of calls."""

    def by_code(self) -> Mapping[str, Draw]:
        return {**super().by_code(), "outcome": self.pills, "took": self._seconds, "request_id": self._code}

    def _seconds(self, row: PlainRow, value: Any) -> str:
        return escape(number(value))

    def _code(self, row: PlainRow, value: Any) -> str:
        return f'<span class="clip code" title="{escape(value)}">{escape(value)}</span>'


class CallTable(OrderTable):
    """Draws the rows of calls; columns of orders are drawn as in the list of orders, where there is an order."""

    def is_dim(self, row: CallRow) -> bool:  # type: ignore[override]
        return False

    def drawing(self) -> Drawing:
        return CallDrawing()

    def beneath(self, code: str) -> Beneath | None:
        if code == "outcome":
            return self._acts  # type: ignore[return-value]
        return self._of_order(drawn) if (drawn := super().beneath(code)) else None

    def _of_order(self, drawn: Beneath) -> Beneath:
        def beneath(row: CallRow) -> str:
            return drawn(row) if row.order_id is not None else ""

        return beneath  # type: ignore[return-value]

    def _acts(self, row: CallRow) -> str:
        """What can be done about a call that failed; the button belongs to a form beside the list."""
        if row.outcome == "ok":
            return ""
        acts = [self._button(row, str(word))] if (word := offered(row, self.plain.actor)) else []
        if row.order_id is not None:
            url, open_it = url_for("orders.show", number=reference(order_row(row)), tab="updates"), _("Open order")
            acts.append(f'<a class="small" href="{escape(url)}">{escape(open_it)}</a>')
        return f'<span class="row tight">{"".join(acts)}</span>' if acts else ""

    def _button(self, row: CallRow, word: str) -> str:
        name = _("%(name)s: %(text)s", name=word, text=name_of(row))
        return (
            f'<button class="button tiny" type="submit" form="decide-form" formaction="{escape(url_for(".again"))}"'
            f' name="call" value="{row.id}" aria-label="{escape(name)}">{escape(word)}</button>'
        )


class CallPages(ListPages):
    """The pages of the communication log."""

    table = CallTable
    acts_in_rows = True

    def add_to(self, bp: Blueprint) -> None:
        super().add_to(bp)
        self.serve(bp, "POST", "/again", self.again)

    def again(self) -> Response:
        """Try again what failed, and show the list again."""
        chosen = Chosen.read(self.subject)
        with unit_of_work():
            said = try_again(chosen.ids[0] if chosen.ids else 0, actor=current_actor())
        flash(str(said), "good")
        return redirect(chosen.list_url())


CallPages(CALL_LIST).add_to(bp)
