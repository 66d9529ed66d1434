"""Message templates under Settings: the standard ones and the merchant's own, with a preview on a real order."""

from typing import Any

from babel import Locale
from babel.localedata import locale_identifiers
from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from webapp.audit.actor import Actor
from webapp.channels.models import Shop
from webapp.channels.shops import seen_shop, shops
from webapp.db import unit_of_work
from webapp.errors import DeskError
from webapp.i18n import LANGUAGES, gettext as _, lazy_gettext as _l
from webapp.messaging import templates
from webapp.messaging.models import MessageTemplate
from webapp.messaging.situations import CUSTOM, SITUATIONS, TEXTS
from webapp.messaging.variables import VARIABLES
from webapp.ui.forms import Form, choice, text
from webapp.ui.frame import htmx
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.languages import language
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect

bp = Blueprint("message_templates", __name__, url_prefix="/settings/templates")
_EVERY_SHOP = _l("Every shop")


@bp.get("/")
@needs("settings.edit")
def index() -> str:
    """Every template by situation: the standard ones, and what the merchant changed or added."""
    actor = current_actor()
    own = templates.own_templates(actor)
    of_every_shop = {templates.of_row(row).code: row for row in own if row.shop_id is None}
    unchanged = [one for one in templates.standard_templates() if one.code not in of_every_shop]
    rows = [*map(_shown, unchanged), *(_shown(templates.of_row(row)) for row in own)]
    rows.sort(key=lambda one: (list(LANGUAGES).index(one["code"]) if one["code"] in LANGUAGES else 9, one["language"]))
    groups = [
        {"situation": situation, "label": label, "rows": [one for one in rows if one["situation"] == situation]}
        for situation, label in SITUATIONS.items()
    ]
    return page("desk/message_templates/index.html", groups=[group for group in groups if group["rows"]])


def _shown(one: templates.Template) -> dict[str, Any]:
    """A template as the list shows it."""
    row, actor = one.row, current_actor()
    url = (
        url_for(".edit", template_id=row.id) if row else url_for(".new", situation=one.situation, language=one.language)
    )
    return {
        "situation": one.situation,
        "code": one.language,
        "language": templates.language_name(one.language),
        "name": one.name,
        "shop": row.shop.name if row and row.shop else _EVERY_SHOP,
        "start": " ".join(one.text.split())[:90],
        "own": row is not None,
        "url": url if row is None or _may_change(row, actor) else "",
    }


def _may_change(row: MessageTemplate, actor: Actor) -> bool:
    return actor.shops is None or row.shop_id in actor.shops


@bp.route("/new", methods=["GET", "POST"])
@needs("settings.edit")
def new() -> str | tuple[str, int] | Response:
    """Add a template, or a text of one's own in the place of a standard one."""
    actor = current_actor()
    situation, code = request.args.get("situation", ""), request.args.get("language", "")
    standard = TEXTS.get(code, {}).get(situation, "")
    form = _form(request.form or None, None, {"situation": situation, "language": code, "text": standard}, actor)
    if request.method == "POST" and "preview" not in request.form:
        try:
            with unit_of_work():
                templates.add_template(
                    situation=form.text_of("situation"),
                    language=form.text_of("language"),
                    shop=_shop_of(form, actor),
                    name=form.text_of("name"),
                    text=form.text_of("text"),
                    actor=actor,
                )
        except DeskError as error:
            form.complain(error)
        else:
            flash(_("Saved."), "good")
            return redirect(url_for(".index"))
    return _page(form, None, standard=bool(standard))


@bp.route("/<int(max=2147483647):template_id>", methods=["GET", "POST"])
@needs("settings.edit")
def edit(template_id: int) -> str | tuple[str, int] | Response:
    """Change a template of the merchant's own."""
    actor = current_actor()
    row = templates.find_template(template_id, actor)
    form = _form(request.form or None, row, {"name": row.name, "text": row.text}, actor)
    if request.method == "POST" and "preview" not in request.form:
        try:
            with unit_of_work():
                name = form.text_of("name") if row.situation == CUSTOM else ""
                found = templates.find_template(template_id, actor)
                templates.change_template(found, name=name, text=form.text_of("text"), actor=actor)
        except DeskError as error:
            form.complain(error)
        else:
            flash(_("Saved."), "good")
            return redirect(url_for(".index"))
    return _page(form, row, standard=False)


@bp.post("/<int(max=2147483647):template_id>/delete")
@needs("settings.edit")
def delete(template_id: int) -> Response:
    """Delete a template; in its place is again that for every shop, or the standard one."""
    actor = current_actor()
    with unit_of_work():
        templates.remove_template(templates.find_template(template_id, actor), actor=actor)
    flash(_("Deleted."), "good")
    return redirect(url_for(".index"))


def _form(given: Any, row: MessageTemplate | None, data: dict[str, str], actor: Actor) -> Form:
    fields: dict[str, Any] = {}
    if row is None:
        fields["situation"] = choice(_l("Situation"), list(SITUATIONS.items()))
        fields["language"] = choice(_l("Language"), _languages())
        offered = [(str(shop.id), shop.name) for shop in shops(actor)]
        every = [("", _EVERY_SHOP)] if actor.shops is None else []
        fields["shop"] = choice(
            _l("Shop"), [*every, *offered], required=False, default="" if every or not offered else offered[0][0]
        )
    if row is None or row.situation == CUSTOM:
        help = (
            _l("Only custom templates have a name. The others are named after their situation.") if row is None else ""
        )
        longest = templates.LONGEST_NAME
        fields["name"] = text(_l("Name"), required=row is not None, help=help, maxlength=longest, autocomplete="off")
    help = _l(
        "Links, e-mail addresses, telephone numbers and advertising are not allowed. Names in braces are "
        "replaced by the order's values."
    )
    longest = templates.LONGEST_TEXT
    fields["text"] = text(_l("Text"), required=True, help=help, kind="textarea", rows=12, maxlength=longest)
    fields["order"] = text(
        _l("Preview on order"), help=_l("If empty, the latest order is used."), autocomplete="off", maxlength=60
    )
    return Form(fields, given, data)


def _languages() -> list[tuple[str, Any]]:
    """The languages in which templates can be written: the desk's, then all others by name."""
    names = Locale.parse(language()).languages
    others = [code for code in locale_identifiers() if len(code) == 2 and code not in LANGUAGES and code in names]
    named = sorted(((code, templates.language_name(code)) for code in others), key=lambda one: one[1].casefold())
    return [*LANGUAGES.items(), *named]


def _shop_of(form: Form, actor: Actor) -> Shop | None:
    chosen = form.text_of("shop")
    return seen_shop(int(chosen), actor) if chosen.isdecimal() and len(chosen) < 10 else None


def _page(form: Form, row: MessageTemplate | None, *, standard: bool) -> str | tuple[str, int]:
    if request.method == "POST" and "preview" in request.form and htmx.is_htmx():
        return page("desk/message_templates/_preview.html", **_preview(form, row))
    one = templates.of_row(row) if row else None
    context: dict[str, Any] = {"form": form, "row": row, "standard": standard}
    context["title"] = one.name if one else _("Change a template") if standard else _("New template")
    context["language"] = templates.language_name(row.language) if row else ""
    context["shop"] = (row.shop.name if row.shop else _EVERY_SHOP) if row else ""
    context["situation"] = SITUATIONS.get(row.situation, row.situation) if row else ""
    context["back"] = row is not None and templates.has_another(row)
    context["variables"] = [(f"{{{name}}}", label) for name, (label, _value) in VARIABLES.items()]
    return page("desk/message_templates/edit.html", **context, **_preview(form, row)), 422 if form.errors else 200


def _preview(form: Form, row: MessageTemplate | None) -> dict[str, Any]:
    """The text as an order gets it, or the sentence why it can't be shown."""
    about: dict[str, Any] = {"filled": None, "without": [], "order": "", "why_not": ""}
    code = row.language if row else form.text_of("language")
    if not form.text_of("text").strip():
        return about
    try:
        found = templates.preview_on(form.text_of("text"), code, form.text_of("order"), current_actor())
    except DeskError as error:
        return about | {"why_not": str(error)}
    if found is None:
        return about | {"why_not": _("There is no order yet for the preview.")}
    without = [f"{{{name}}}" for name in found.without]
    return about | {"filled": found.text, "without": without, "order": found.order}
