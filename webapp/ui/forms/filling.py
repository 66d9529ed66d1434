"""A field whose choices are buttons, each of which puts a text into another field of the form."""

from collections.abc import Sequence
from typing import Any

from flask import render_template
from markupsafe import Markup
from wtforms import Field

from webapp.i18n import LazyString
from webapp.orders.inputs import Offered


class FillingField(Field):
    """It has no value of its own, whatever is sent under its name. `said` are sentences about what a choice has put
    into the form; `further` are groups of choices that are folded away.
    """

    def __init__(self, label: LazyString | str, offered: Offered, **more: Any) -> None:
        super().__init__(label, **more)
        self.choices, self.further = list(offered.choices), list(offered.further)
        self.said: Sequence[str] = ()

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Leaves `data` empty: what a choice puts into the form are values of other fields."""

    def widget(self, field: "FillingField", **attributes: Any) -> Markup:
        return Markup(render_template("orders/_filling.html", field=field))  # noqa: S704 - escaped by the template
