"""The components of the pages in one place: each in both themes, drawn by the macros and partials that pages use.

The values are invented here; the look comes only from the pages' own templates.
"""

import re
from datetime import timedelta
from typing import Any

from flask import Blueprint
from markupsafe import Markup

from webapp.clock import now
from webapp.i18n import gettext as _
from webapp.money import Money
from webapp.ui.desk.charts import Chart, bars
from webapp.ui.forms import Form, choice, text, tick
from webapp.ui.frame.access import needs
from webapp.ui.frame.pages import page

bp = Blueprint("styleguide", __name__, url_prefix="/styleguide")
_NAMES = "id|for|list|form|popovertarget|data-open|aria-labelledby|aria-describedby|aria-controls"
_LANDMARK = re.compile(r'(<(?:nav|div|form|section)\b[^>]*\baria-label=")([^"]+)')
_NAMED = re.compile(rf'\b({_NAMES})="([^"]+)"')


@bp.get("/")
@needs("orders.view")
def index() -> str:
    """Every component with its name."""
    moment = now()
    return page(
        "desk/styleguide/index.html",
        apart=_apart,
        form=_form(),
        chart=_chart(),
        money=Money.parse("1234.50", "EUR"),
        yen=Money.parse("1648", "JPY"),
        later=moment + timedelta(days=1, hours=5),
        soon=moment + timedelta(hours=2, minutes=40),
        late=moment - timedelta(minutes=50),
        order={
            "reference": "000042",
            "number": "000042",
            "channel_order_number": "302-1234567-1234567",
            "state": "processing",
            "canceling": False,
            "on_hold": False,
            "channel_name": _("Practice"),
            "channel_status": "UNSHIPPED",
            "channel_status_label": _("Processing"),
        },
    )


def _apart(drawn: Markup, theme: str) -> Markup:
    """A drawn component with ids and names of landmarks of its own, so that it can appear twice on a page."""

    def renamed(found: re.Match[str]) -> str:
        ids = " ".join(f"{theme}-{name}" for name in found[2].split())
        return f'{found[1]}="{ids}"'

    apart = _LANDMARK.sub(rf"\1\2 ({theme})", _NAMED.sub(renamed, drawn))
    apart = apart.replace("<section", '<div role="group"').replace("</section>", "</div>")  # two regions with one name
    return Markup(apart)  # noqa: S704  # escaped when it was drawn


def _chart() -> Chart:
    values, before = [3, 5, 4, 8, 6, 9, 7], [4, 4, 3, 5, 6, 5, 6]
    days = [f"{day}" for day in range(1, 8)]
    return bars(values, title=_("Orders"), description="", titles=days, labels=days, words=str, before=before)


def _form() -> Form:
    fields: dict[str, Any] = {
        "tracking": text(_("Tracking number"), required=True, help=_("As it stands on the label.")),
        "carrier": choice(_("Carrier"), [("dhl", "DHL"), ("ups", "UPS")]),
        "reason": text(_("Reason"), kind="textarea"),
        "sure": tick(_("Ship although the buyer asked to cancel")),
    }
    form = Form(fields)
    form["carrier"].errors = [_("Choose one.")]
    return form
