"""A field for units and amounts by line: units of each line, and amounts that replace those in proportion to units."""

from collections.abc import Sequence
from typing import Any

from flask import render_template
from markupsafe import Markup
from wtforms import Field

from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.inputs import AmountsOfLine

UNITS, RESTOCK = "units", "restock"


class AmountsField(Field):
    """`data` has what was chosen by line id; `problem` names input that can't be read."""

    def __init__(self, label: LazyString | str, lines: Sequence[AmountsOfLine], **more: Any) -> None:
        super().__init__(label, **more)
        self.lines = list(lines)
        self.problem: LazyString | None = None
        self.typed: dict[str, str] = {}

    def process(self, formdata: Any, data: Any = None, extra_filters: Any = None) -> None:
        """Read what was sent: `name-<id>-units`, `name-<id>-restock`, and `name-<id>-<component>` for each amount."""
        self.data: dict[int, dict[str, Any]] = {}
        self.errors: list[str] = []
        self.typed = {
            f"{line.id}-{name}": str(count)
            for line in self.lines
            for name, count in ((UNITS, line.units), (RESTOCK, line.restock))
            if line.most and (count or name == UNITS)
        } if not formdata else {
            name.removeprefix(f"{self.name}-"): text.strip()
            for name, text in formdata.items()
            if name.startswith(f"{self.name}-")
        }  # fmt: skip
        if not formdata:
            return
        try:
            self.data = {line.id: chosen for line in self.lines if (chosen := self._chosen(line))}
        except ValueError:
            self.problem = _l("Enter a whole number.")

    def _chosen(self, line: AmountsOfLine) -> dict[str, Any]:
        amounts = {left.code: text for left in line.amounts if (text := self.text(line, left.code))}
        counts = {name: int(text) for name in (UNITS, RESTOCK) if (text := self.text(line, name))}
        chosen: dict[str, Any] = {name: count for name, count in counts.items() if count}
        return chosen | ({"amounts": amounts} if amounts else {})

    def text(self, line: AmountsOfLine, name: str) -> str:
        """What was typed for a line."""
        return self.typed.get(f"{line.id}-{name}", "")

    def is_open(self, line: AmountsOfLine) -> bool:
        """Whether something was typed beside the units."""
        return bool(self.text(line, RESTOCK)) or any(self.text(line, left.code) for left in line.amounts)

    def widget(self, field: Field, **attributes: Any) -> Markup:
        return Markup(render_template("orders/_amounts.html", field=field))  # noqa: S704 - escaped by the template
