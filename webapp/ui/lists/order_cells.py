"""How the list of orders draws its values."""

from collections.abc import Mapping
from html import escape
from typing import Any

from webapp.i18n import gettext as _, ngettext
from webapp.lists.contract import PlainRow
from webapp.orders.badges import PRACTICE
from webapp.orders.cancel_requests import CANCEL_SINCE
from webapp.ui.frame.pages import shown_stores
from webapp.ui.lists.cells import Beneath, Draw, Drawing, Table

_OPEN = ("pending", "processing")


class OrderDrawing(Drawing):
    """Draws the values of orders."""

    def by_code(self) -> Mapping[str, Draw]:
        return {**super().by_code(), "badges": self._badges, CANCEL_SINCE: self.age}

    def empty(self, code: str) -> Beneath:
        """A missing buyer is drawn as withheld: the channel doesn't name the buyer, or the name was erased."""
        if code != "buyer":
            return super().empty(code)
        word = _("Withheld")
        withheld = f'<span class="withheld">{self.icon("eye-off")}{escape(word)}</span>'
        return lambda row: withheld

    def _time_left(self, row: PlainRow, value: Any) -> str:
        """The time with the time left, while units of an open order have to be shipped; afterwards only the time."""
        if row.state in _OPEN and row.unshipped:
            return super()._time_left(row, value)
        return f'<span class="muted">{self._reader.when(value)}</span>'

    def _badges(self, row: PlainRow, value: Any) -> str:
        """The badges without that for practice, which is drawn below the store."""
        return self.chips(row, [label for label in value if label.icon != PRACTICE.icon])


class OrderTable(Table):
    """Draws the rows of orders."""

    def is_dim(self, row: PlainRow) -> bool:
        return row.number is None or row.state in ("pending", "canceled")

    def drawing(self) -> Drawing:
        return OrderDrawing()

    def beneath(self, code: str) -> Beneath | None:
        make = {
            "number": self._channel_number,
            "first_item": self._others_and_sku,
            "state": self._channel_status,
            "units": self._to_ship,
            "store": self._marketplace_and_shop,
        }.get(code)
        return make() if make else None

    def _channel_number(self) -> Beneath:
        return lambda row: f'<span class="sub">{escape(row.channel_order_number)}</span>'

    def _others_and_sku(self) -> Beneath:
        skus, lines = self.values("first_sku"), self.values("lines")

        def beneath(row: PlainRow) -> str:
            others = lines.get(row.id, 1) - 1
            more = f'<span class="more">+{others}</span>' if others else ""
            sku = escape(skus.get(row.id, ""))
            return f'{more}<span class="sub">{sku}</span>' if sku else more

        return beneath

    def _channel_status(self) -> Beneath:
        names, statuses = self.values("channel"), self.values("channel_status")
        pairs = {row.id: (names.get(row.id) or "—", statuses.get(row.id) or "—") for row in self.plain}
        words = {pair: escape(_("%(name)s: %(text)s", name=pair[0], text=pair[1])) for pair in set(pairs.values())}
        return lambda row: f'<span class="sub">{words[pairs[row.id]]}</span>'

    def _to_ship(self) -> Beneath:
        def beneath(row: PlainRow) -> str:
            if row.unshipped and row.state == "processing" and row.fulfilled_by == "merchant":
                return f'<span class="sub">{words[row.unshipped]}</span>'
            return ""

        words = {
            count: escape(ngettext("%(num)s to ship", "%(num)s to ship", count))
            for count in {row.unshipped for row in self.plain}
        }
        return beneath

    def _marketplace_and_shop(self) -> Beneath:
        """The marketplace; the shop if there are several, and that it is practice if there are real stores, too."""
        marketplaces, stores = self.values("marketplace"), shown_stores()
        shops = len(set().union(*(store.shop_ids for store in stores))) > 1
        word = _("Practice")
        practice = (
            f' · <span class="tone-warn">{escape(word)}</span>' if any(not one.practice for one in stores) else ""
        )

        def beneath(row: PlainRow) -> str:
            where = [marketplaces.get(row.id, row.marketplace), *([row.shop.name] if shops else [])]
            return f'<span class="sub">{escape(" · ".join(where))}{practice if row.store.practice else ""}</span>'

        return beneath
