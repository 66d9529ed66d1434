"""Statuses and tags under Settings: the merchant's own words, created, reordered, retired, merged."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from webapp.db import unit_of_work
from webapp.errors import DeskError
from webapp.i18n import LANGUAGES, gettext as _, lazy_gettext as _l, ngettext
from webapp.orders import jobs, statuses, tags
from webapp.orders.models import OrderStatus, Tag
from webapp.orders.states import STATE_LABELS, OrderState
from webapp.search.values import shown
from webapp.ui.forms import Form, choice, text
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect

bp = Blueprint("labels", __name__, url_prefix="/settings")
_NAMES = {"en": _l("Name in English"), "fr": _l("Name in French")}


# --- Statuses ---------------------------------------------------------------------------------------------------------


@bp.get("/statuses/")
@needs("settings.edit")
def all_statuses() -> str:
    """Every status by its state, with the number of its orders."""
    return page("desk/statuses_and_tags/statuses.html", groups=_by_state())


def _by_state() -> list[dict[str, Any]]:
    actor = current_actor()
    numbers = statuses.numbers_of_orders(actor)
    rows = statuses.all_statuses()
    return [
        {
            "state": state,
            "label": STATE_LABELS[state],
            "statuses": [
                {
                    "row": row,
                    "name": statuses.status_name(row.code),
                    "orders": numbers.get(row.code, 0),
                    "rule": shown(row.rule, actor),
                }
                for row in rows
                if row.state == state
            ],
        }
        for state in OrderState
    ]


@bp.route("/statuses/new", methods=["GET", "POST"])
@needs("settings.edit")
def new_status() -> Response | tuple[str, int]:
    """Create a status."""
    form = _status_form(None, request.form or None)

    def make() -> None:
        code, state = form.text_of("code"), form.text_of("state")
        statuses.make_status(code, _names(form), state=state, **_look(form), actor=current_actor())

    if _saved(form, make):
        return redirect(url_for(".all_statuses"))
    return page("desk/statuses_and_tags/status.html", form=form, title=_("New status"), status=None), _code(form)


@bp.route("/statuses/<code>", methods=["GET", "POST"])
@needs("settings.edit")
def status(code: str) -> Response | tuple[str, int]:
    """Change a status's words, look and rule."""
    row, title = statuses.find_status(code), statuses.status_name(code)
    form = _status_form(row, request.form or None)

    def change() -> None:
        statuses.change_status(statuses.find_status(code), _names(form), **_look(form), actor=current_actor())

    if _saved(form, change):
        return redirect(url_for(".all_statuses"))
    return page("desk/statuses_and_tags/status.html", form=form, title=title, status=row), _code(form)


@bp.post("/statuses/<code>/<any(up, down, retire, revive):act>")
@needs("settings.edit")
def arrange(code: str, act: str) -> Response:
    """Move a status among its neighbors, retire it, or offer it again."""
    actor = current_actor()
    with unit_of_work():
        row = statuses.find_status(code)
        if act == "retire":
            statuses.retire_status(row, actor=actor)
        elif act == "revive":
            statuses.revive_status(row, actor=actor)
        else:
            statuses.move_status(row, up=act == "up", actor=actor)
    return redirect(url_for(".all_statuses", _anchor=f"status-{code}"))


def _status_form(row: OrderStatus | None, given: Any) -> Form:
    fields: dict[str, Any] = {}
    if row is None:
        help = _l("Use a letter, then letters, digits and underscores. Searches use the code, so it never changes.")
        fields["code"] = text(_l("Code"), required=True, help=help, maxlength=40, autocomplete="off")
        states = [(str(state), STATE_LABELS[state]) for state in OrderState]
        fields["state"] = choice(_l("State of the orders"), states, default=OrderState.PROCESSING)
    for language in LANGUAGES:
        fields[f"name_{language}"] = text(_NAMES[language], required=language == "en", maxlength=40, autocomplete="off")
    fields["tone"] = choice(_l("Color"), list(statuses.TONES.items()), default=row.tone if row else "calm")
    help = _l(
        "A search, such as gift:yes or marketplace:DE. An order in this state without a status gets this one "
        "when it arrives or changes and matches the search. For every new order, enter state:processing. If "
        "empty, people set the status by hand."
    )
    fields["rule"] = text(_l("Rule"), help=help, autocomplete="off", spellcheck="false")
    data = {} if row is None else {f"name_{language}": row.names.get(language, "") for language in LANGUAGES}
    return Form(fields, given, data | ({"rule": shown(row.rule, current_actor())} if row else {}))


def _names(form: Form) -> dict[str, str]:
    return {language: form.text_of(f"name_{language}") for language in LANGUAGES}


def _look(form: Form) -> dict[str, str]:
    return {name: form.text_of(name) for name in ("tone", "rule")}


# --- Tags -------------------------------------------------------------------------------------------------------------


@bp.route("/tags/", methods=["GET", "POST"])
@needs("settings.edit")
def all_tags() -> Response | tuple[str, int]:
    """Every tag, with the number of its orders; and the form for a new one."""
    form = _tag_form(None, request.form or None)
    if _saved(form, lambda: tags.make_tag(form.text_of("name"), tone=form.text_of("tone"), actor=current_actor())):
        return redirect(url_for(".all_tags"))
    numbers = tags.numbers_of_orders()
    rows = [{"row": tag, "orders": numbers.get(tag.id, 0), "heir": _heir(tag)} for tag in tags.all_tags()]
    return page("desk/statuses_and_tags/tags.html", tags=rows, form=form), _code(form)


@bp.route("/tags/<int(max=2147483647):tag_id>", methods=["GET", "POST"])
@needs("settings.edit")
def tag(tag_id: int) -> Response | tuple[str, int]:
    """Change a tag's name and look; delete it, or merge it into another."""
    row = tags.find_tag(tag_id)
    form, orders = _tag_form(row, request.form or None), tags.numbers_of_orders().get(row.id, 0)

    def change() -> None:
        name, tone = form.text_of("name"), form.text_of("tone")
        tags.change_tag(tags.find_tag(tag_id), name, tone=tone, actor=current_actor())

    if _saved(form, change):
        return redirect(url_for(".all_tags"))
    context: dict[str, Any] = {"tag": row, "orders": orders, "leaving": _leaving_form(row), "heir": _heir(row)}
    return page("desk/statuses_and_tags/tag.html", form=form, **context), _code(form)


@bp.post("/tags/<int(max=2147483647):tag_id>/delete")
@needs("settings.edit")
def delete_tag(tag_id: int) -> Response | tuple[str, int]:
    """Remove a tag from all orders, or replace it by another; a job does it, in parts."""
    chosen = request.form.get("heir", "")
    with unit_of_work():
        row = tags.find_tag(tag_id)
        heir = tags.find_tag(int(chosen)) if chosen.isdecimal() and len(chosen) < 10 else None
        tags.retire_tag(row, heir=heir, actor=current_actor())
        jobs.clear_tag.enqueue(row.id)
        name, number = row.name, tags.numbers_of_orders().get(row.id, 0)
    flash(
        ngettext(
            "“%(name)s” is now being removed from %(num)s order.",
            "“%(name)s” is now being removed from %(num)s orders.",
            number,
            name=name,
        ),
        "good",
    )
    return redirect(url_for(".all_tags"))


def _tag_form(row: Tag | None, given: Any) -> Form:
    fields: dict[str, Any] = {
        "name": text(_l("Name"), required=True, maxlength=tags.LONGEST_NAME, autocomplete="off"),
        "tone": choice(_l("Color"), list(statuses.TONES.items()), default=row.tone if row else "calm"),
    }
    return Form(fields, given, {"name": row.name} if row else {})


def _leaving_form(row: Tag) -> Form:
    others = [(str(tag.id), tag.name) for tag in tags.offered_tags() if tag.id != row.id]
    return Form({"heir": choice(_l("Replace with"), [("", _l("Nothing")), *others], required=False, default="")})


def _heir(tag: Tag) -> str:
    return next((other.name for other in tags.all_tags() if other.id == tag.heir_id), "")


# --- Both -------------------------------------------------------------------------------------------------------------


def _saved(form: Form, save: Callable[[], Any]) -> bool:
    """Save what was sent; after an error the form keeps the input and says why."""
    if request.method != "POST":
        return False
    try:
        with unit_of_work():
            save()
    except DeskError as error:
        form.complain(error)
        return False
    flash(_("Saved."), "good")
    return True


def _code(form: Form) -> int:
    return 422 if form.errors else 200
