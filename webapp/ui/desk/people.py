"""People in the browser, under Settings: who works here, in which role, and from where they are signed in.

The token of a link is only on the page that made it: it is in no address of ours, no cookie and no log.
"""

from typing import Any

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from webapp.accounts import people
from webapp.accounts.link_mail import mail_link
from webapp.accounts.models import User
from webapp.accounts.roles import roles
from webapp.accounts.services import LINK_LIFE
from webapp.audit.rights import OWNER
from webapp.channels.shops import shops
from webapp.db import unit_of_work
from webapp.errors import DeskError
from webapp.i18n import gettext as _, lazy_gettext as _l
from webapp.mail.jobs import send_mail
from webapp.ui.forms import Form
from webapp.ui.forms.people import chosen_shops, invitation_form, role_form, shops_form
from webapp.ui.frame.access import current_actor, current_person, needs
from webapp.ui.frame.agents import browser_name
from webapp.ui.frame.pages import page, tell
from webapp.ui.frame.redirects import redirect

bp = Blueprint("people", __name__, url_prefix="/settings/people")
PAGE = 50
STATES = {"active": _l("Active"), "invited": _l("Invited"), "disabled": _l("Disabled")}


@bp.get("/")
@needs("users.edit")
def index() -> str:
    """A page of the people, by name; filtered by words and state."""
    text, state = request.args.get("q", "")[:200], request.args.get("state", "")
    state = state if state in STATES else ""
    found = people.find_people(text, state)
    last = max(1, -(-len(found) // PAGE))
    number = min(max(request.args.get("page", 1, int), 1), last)
    shown = found[(number - 1) * PAGE : number * PAGE]

    def url(other: int) -> str:
        return url_for(".index", q=text or None, state=state or None, page=other) if 1 <= other <= last else ""

    return page(
        "desk/people/index.html",
        people=shown,
        sessions=people.session_counts(person.id for person in shown),
        total=len(found),
        first=(number - 1) * PAGE + 1,
        before=url(number - 1),
        after=url(number + 1),
        text=text,
        state=state,
        states=STATES,
        roles=roles(),
        shops={shop.id: shop.name for shop in shops(current_actor())},
    )


@bp.get("/add")
@needs("users.edit")
def add() -> str:
    """The form for a new person."""
    return _add(invitation_form(current_actor(), shops(current_actor())))


@bp.post("/add")
@needs("users.edit")
def invite() -> str | tuple[str, int]:
    """Add a person and show the link by which they choose a password."""
    form = invitation_form(current_actor(), shops(current_actor()), request.form)
    given = {name: form.text_of(name) for name in ("email", "name", "role")}
    try:
        with unit_of_work():
            user, token = people.invite(**given, shops=chosen_shops(form), actor=current_actor())
            person_id, link = user.id, _address(token)
            mailed = _mailed(user, link)
    except DeskError as error:
        form.complain(error)
        return _add(form), error.status
    return _show(person_id, link=link, mailed=mailed)


@bp.get("/<int(max=2147483647):person_id>")
@needs("users.edit")
def show(person_id: int) -> str:
    """A person's account."""
    return _show(person_id)


@bp.post("/<int(max=2147483647):person_id>/link")
@needs("users.edit")
def make_link(person_id: int) -> str:
    """Show a new link by which this person signs in once and may choose a password."""
    with unit_of_work():
        link = _address(people.make_link_for(person_id, actor=current_actor()))
        mailed = _mailed(people.get_person(person_id), link)
    return _show(person_id, link=link, mailed=mailed)


@bp.post("/<int(max=2147483647):person_id>/role")
@needs("users.edit")
def change_role(person_id: int) -> Response | tuple[str, int]:
    """Change a person's role."""
    form = role_form(current_actor(), "", request.form)
    try:
        with unit_of_work():
            people.change_role(person_id, form.text_of("role"), actor=current_actor())
    except DeskError as error:
        return _again(person_id, error, form)
    return _back(person_id, _("The role was changed and applies from now on."))


@bp.post("/<int(max=2147483647):person_id>/shops")
@needs("users.edit")
def change_shops(person_id: int) -> Response | tuple[str, int]:
    """Let a person work for some shops only, or for all."""
    form = shops_form(current_actor(), shops(current_actor()), None, request.form)
    try:
        with unit_of_work():
            people.change_shops(person_id, chosen_shops(form), actor=current_actor())
    except DeskError as error:
        if form.field_of(error) is None:
            return _again(person_id, error)
        form.complain(error)
        return _show(person_id, shop_choice=form), error.status
    return _back(person_id, _("Saved. The change applies from now on."))


@bp.post("/<int(max=2147483647):person_id>/disable")
@needs("users.edit")
def disable(person_id: int) -> Response | tuple[str, int]:
    """Disable a person."""
    try:
        with unit_of_work():
            people.disable(person_id, actor=current_actor())
    except DeskError as error:
        return _again(person_id, error)
    sentence = _("The account is disabled, and its sessions are ended.")
    tell(sentence, "good", {"url": url_for(".enable", person_id=person_id), "fields": []})
    return redirect(url_for(".show", person_id=person_id))


@bp.post("/<int(max=2147483647):person_id>/enable")
@needs("users.edit")
def enable(person_id: int) -> Response:
    """Enable a person."""
    with unit_of_work():
        people.enable(person_id, actor=current_actor())
    return _back(person_id, _("The account is enabled, with the same password and role as before."))


@bp.post("/<int(max=2147483647):person_id>/sign-out")
@needs("users.edit")
def sign_out(person_id: int) -> Response:
    """End all sessions of a person."""
    with unit_of_work():
        people.sign_out(person_id, actor=current_actor())
    return _back(person_id, _("All sessions are ended."))


@bp.post("/<int(max=2147483647):person_id>/sessions/<int(max=2147483647):session_id>/end")
@needs("users.edit")
def end_session(person_id: int, session_id: int) -> Response:
    """End one session of a person."""
    with unit_of_work():
        people.end_session(person_id, session_id, actor=current_actor())
    return _back(person_id, _("The session is ended."))


def _add(form: Form) -> str:
    return page("desk/people/add.html", form=form, all_roles=roles(), owner=OWNER)


def _show(
    person_id: int,
    *,
    link: str = "",
    mailed: bool = False,
    form: Form | None = None,
    shop_choice: Form | None = None,
    problem: str = "",
) -> str:
    user, actor = people.get_person(person_id), current_actor()
    known = shops(actor)
    context: dict[str, Any] = {
        "user": user,
        "state": people.state_of(user),
        "states": STATES,
        "role": user.role_label,
        "all_roles": roles(),
        "owner": OWNER,
        "shops": {shop.id: shop.name for shop in known},
        "shop_form": shop_choice or shops_form(actor, known, user.shops),
        "form": form or role_form(actor, user.role),
        "mine": actor.id == user.id,
        "manageable": people.may_manage(user, actor),
        "refusal": people.removal_refusal(user, actor),
        "sessions": people.sessions_of(user.id),
        "here": current_person().session_id,
        "open_link": people.open_link_of(user.id),
        "link": link,
        "mailed": mailed,
        "hours": int(LINK_LIFE.total_seconds() // 3600),
        "problem": problem,
        "session_url": lambda id_: url_for(".end_session", person_id=user.id, session_id=id_),
        "browser_name": browser_name,
    }
    return page("desk/people/show.html", **context)


def _again(person_id: int, error: DeskError, form: Form | None = None) -> tuple[str, int]:
    if error.status >= 500 or error.status in (403, 404):
        raise error
    return _show(person_id, form=form, problem=str(error)), error.status


def _back(person_id: int, sentence: str) -> Response:
    flash(sentence, "good")
    return redirect(url_for(".show", person_id=person_id))


def _address(token: str) -> str:
    return url_for("sign_in.link", token=token, _external=True)


def _mailed(user: User, link: str) -> bool:
    """Send a new link to its person, where the desk can send mail; returns whether it does."""
    mailed = mail_link(user, link)
    if mailed:
        send_mail.enqueue()
    return mailed
