"""Shops in the browser: the merchant's own faces, under Settings."""

from functools import partial
from typing import Any

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from webapp.channels.legal_face import LANGUAGE
from webapp.channels.logos import LARGEST, logo_content, logo_of, remove_logo, set_logo
from webapp.channels.models import Shop
from webapp.channels.services import stores
from webapp.channels.shops import change_shop, create_shop, next_numbers, seen_shop, sequence_of, shops
from webapp.db import unit_of_work
from webapp.errors import DeskError
from webapp.i18n import LANGUAGES, gettext as _
from webapp.settings.declared import SHOP
from webapp.ui.desk.settings import group_forms, stored_form
from webapp.ui.forms import Form
from webapp.ui.forms.settings import SettingsForm
from webapp.ui.forms.stores import ShopForm, logo_form, shop_form
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect

bp = Blueprint("shops", __name__, url_prefix="/settings/shops")


@bp.get("/")
@needs("settings.edit")
def index() -> str:
    """The shops, their numbers, and the stores whose orders they get."""
    actor = current_actor()
    found, numbers, selling = shops(actor), next_numbers(), stores(actor)
    names = {
        shop.id: [
            store.name
            for store in selling
            if shop.id in (store.shop_id, *(row.shop_id for row in store.marketplaces)) and store.archived_at is None
        ]
        for shop in found
    }
    languages = {shop.id: LANGUAGES.get(LANGUAGE.of(shop), "—") for shop in found}
    return page("desk/shops/index.html", shops=found, numbers=numbers, stores=names, languages=languages)


@bp.get("/add")
@needs("settings.edit")
def add() -> str:
    """The form for a new shop."""
    return page("desk/shops/edit.html", **_facts(None))


@bp.post("/add")
@needs("settings.edit")
def create() -> Response | tuple[str, int]:
    """Add a shop."""
    form = shop_form(given=request.form)
    try:
        with unit_of_work():
            shop_id = create_shop(**form.values, actor=current_actor()).id
    except DeskError as error:
        return _again(form, error, None)
    flash(_("The shop was added. Stores can choose it in their settings."), "good")
    return redirect(url_for(".edit", shop_id=shop_id))


@bp.get("/<int(max=2147483647):shop_id>")
@needs("settings.edit")
def edit(shop_id: int) -> str:
    """The form to change a shop."""
    return page("desk/shops/edit.html", **_facts(_seen(shop_id)))


@bp.post("/<int(max=2147483647):shop_id>")
@needs("settings.edit")
def change(shop_id: int) -> Response | tuple[str, int]:
    """Change a shop; if its time zone changed, a job counts its days again."""
    shop = _seen(shop_id)
    form = shop_form(shop, sequence_of(shop), request.form)
    try:
        with unit_of_work():
            change_shop(_seen(shop_id), **form.values, actor=current_actor())
    except DeskError as error:
        return _again(form, error, shop_id)
    flash(_("Saved."), "good")
    return redirect(url_for(".index"))


@bp.post("/<int(max=2147483647):shop_id>/groups/<code>")
@needs("settings.edit")
def change_group(shop_id: int, code: str) -> Response | tuple[str, int]:
    """Store the values of a group of settings for this shop."""
    typed, status = stored_form(SHOP, code, lambda: _seen(shop_id))
    if status != 200:
        return page("desk/shops/edit.html", **_facts(_seen(shop_id), typed={code: typed})), status
    flash(_("Saved."), "good")
    return redirect(url_for(".edit", shop_id=shop_id))


# --- Its logo ---------------------------------------------------------------------------------------------------------


@bp.get("/<int(max=2147483647):shop_id>/logo")
@needs("orders.view")
def logo(shop_id: int) -> Response:
    """The picture, with the type of its content, so that a browser reads it as nothing else."""
    content, kind = logo_content(shop_id, current_actor())
    answer = Response(content, mimetype=kind)
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.headers["Content-Disposition"] = "inline"
    return answer


@bp.post("/<int(max=2147483647):shop_id>/logo")
@needs("settings.edit")
def change_logo(shop_id: int) -> Response | tuple[str, int]:
    """Store the picture that was sent as the shop's logo."""
    sent = request.files.get("logo")
    try:
        with unit_of_work():
            set_logo(_seen(shop_id), sent.read(LARGEST + 1) if sent else b"", actor=current_actor())
    except DeskError as error:
        form = logo_form()
        form.complain(error)
        return page("desk/shops/edit.html", **_facts(_seen(shop_id), picture=form)), error.status
    flash(_("Saved."), "good")
    return redirect(url_for(".edit", shop_id=shop_id))


@bp.post("/<int(max=2147483647):shop_id>/logo/remove")
@needs("settings.edit")
def take_logo(shop_id: int) -> Response:
    """Remove the shop's logo."""
    with unit_of_work():
        remove_logo(_seen(shop_id), actor=current_actor())
    flash(_("The logo is removed."), "good")
    return redirect(url_for(".edit", shop_id=shop_id))


def _seen(shop_id: int) -> Shop:
    return seen_shop(shop_id, current_actor())


def _facts(
    shop: Shop | None,
    form: ShopForm | None = None,
    typed: dict[str, SettingsForm] | None = None,
    picture: Form | None = None,
) -> dict[str, Any]:
    """The context of a shop's page, or of a new one's; with the form that was typed."""
    if shop is None:
        return {"shop": None, "form": form or shop_form(), "groups": [], "logo": None, "logo_form": None}
    url = partial(_url_of_group, shop.id)
    return {
        "shop": shop,
        "form": form or shop_form(shop, sequence_of(shop)),
        "groups": group_forms(SHOP, url, shop, typed),
        "logo": logo_of(shop.id),
        "logo_form": picture or logo_form(),
    }


def _url_of_group(shop_id: int, code: str) -> str:
    return url_for("shops.change_group", shop_id=shop_id, code=code)


def _again(form: ShopForm, error: DeskError, shop_id: int | None) -> tuple[str, int]:
    form.complain(error)
    return page("desk/shops/edit.html", **_facts(_seen(shop_id) if shop_id else None, form)), error.status
