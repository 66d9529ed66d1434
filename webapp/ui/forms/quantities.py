"""A field for units by line: everything, a number for each chosen line or, where that is offered, nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import render_template
from markupsafe import Markup
from wtforms import Field

from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.inputs import UnitsOfLine

SOME, NONE = "some", "none"


class QuantitiesField(Field):
    """`data` is None for everything, else units by line id; `problem` names input that can't be read. `none` are the
    words of the choice of nothing, if that is offered.
    """

    def __init__(
        self, label: LazyString | str, lines: Sequence[UnitsOfLine], none: LazyString | str = "", **more: Any
    ) -> None:
        super().__init__(label, **more)
        self.lines = list(lines)
        self.none = none
        self.problem: LazyString | None = None
        self.some = False
        self.ticked: set[int] = set()
        self.typed: dict[int, str] = {}

    def process(self, formdata: Any, data: Any = None, extra_filters: Any = None) -> None:
        """Read what was sent: `name` says all, some or none, `name-line` the ticked lines, `name-<id>` the units of
        each.
        """
        self.data: Mapping[int, int] | None = None
        self.errors: list[str] = []
        said = formdata.get(self.name) if formdata else None
        if said == NONE and self.none:
            self.data = {}
        if said != SOME:
            return
        known = {str(line.id) for line in self.lines}
        self.some = True
        self.ticked = {int(ticked) for ticked in formdata.getlist(f"{self.name}-line") if ticked in known}
        self.typed = {line.id: formdata.get(f"{self.name}-{line.id}", "").strip() for line in self.lines}
        if not self.ticked:
            self.problem = _l("Choose at least one.")
            return
        try:
            self.data = {line_id: int(self.typed[line_id]) for line_id in sorted(self.ticked)}
        except ValueError:
            self.problem = _l("Enter a whole number.")

    def rows(self) -> list[tuple[UnitsOfLine, bool, str]]:
        """Each line, whether it is chosen, and the units typed for it."""
        return [(line, line.id in self.ticked, self.typed.get(line.id) or str(line.most)) for line in self.lines]

    def widget(self, field: Field, **attributes: Any) -> Markup:
        return Markup(render_template("orders/_quantities.html", field=field))  # noqa: S704 - escaped by the template
