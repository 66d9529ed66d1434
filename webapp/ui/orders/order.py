"""One order in the browser: its page, and acting on it. The list of orders is in `order_list`, on this blueprint."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.actor import Actor
from webapp.channels.services import channel_name
from webapp.clock import parse_instant
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Invalid, NotFound, Refusal, SeveralFit, Stale
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import gettext as _
from webapp.orders import drafts
from webapp.orders.asof import as_of
from webapp.orders.contract import ActionInput, Filling, OrderAction, Place, Preview
from webapp.orders.events import events_of
from webapp.orders.models import Order
from webapp.orders.of_buyer import other_orders
from webapp.orders.queries import find_order
from webapp.orders.services import Done, UnknownAction, act, find_action, pin, read_input, refusal_of, unpin
from webapp.sync import allowed_messages, finances, fresh_facts
from webapp.ui.forms.actions import (
    ActionForm,
    action_form,
    again,
    asks_for_groups,
    asks_to_fill,
    drafted_form,
    has_input,
    in_words,
    undo_form,
)
from webapp.ui.frame import htmx
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.failures import shown_again
from webapp.ui.frame.pages import page, parts, parts_aside, tell
from webapp.ui.frame.redirects import redirect
from webapp.ui.orders import as_of as then, shown, timeline
from webapp.ui.orders.channel_side import channel_side, raw_answer
from webapp.ui.orders.order_page import (
    ASIDE,
    CHANNEL,
    OVERVIEW,
    PLACES,
    SHIPMENTS,
    TAB_OF,
    TABS,
    OrderView,
    current_tab,
    facts,
    live_parts,
    open_order,
    outdated,
    tab_of,
    url_of,
)
from webapp.ui.orders.panels import panels_of

bp = Blueprint("orders", __name__)
_TAB = "order-tab"
_BUTTONS = (Place.DOCUMENTS, Place.MESSAGES)  # the places of acts without a form


@bp.get("/orders/<number>")
@needs("orders.view")
def show(number: str) -> str | tuple[str, int]:
    """The page of an order, by our number or the channel's; if several match, the choice."""
    actor = current_actor()
    tab = request.args.get("tab", OVERVIEW)
    try:
        order = open_order(number, actor, tab)
    except SeveralFit as error:
        choices = [find_order(choice, actor) for choice in str(error.values["choices"]).split(", ")]
        found = [shown.ShownOrder(choice) for choice in choices]
        return page("orders/several.html", number=number, orders=found), error.status
    if "at" in request.args:
        return _as_of(order, actor)
    tab = tab if tab in TABS else OVERVIEW
    context = facts(order, actor, tab=tab, reveals=tab in (OVERVIEW, CHANNEL))
    context |= _of_tab(context["view"], tab)
    if htmx.target() == _TAB:
        return page("orders/_tab.html", **context)
    return page("orders/show.html", **context)


def _of_tab(view: OrderView, tab: str) -> dict[str, Any]:
    """The context of one tab only."""
    order, actor, args = view.order, view.actor, request.args
    match tab:
        case "timeline":
            who, kind, before = args.get("who", ""), args.get("kind", ""), args.get("before", type=int)
            events = timeline.timeline_of(order, actor=actor, keys=lambda: view.keys, who=who, kind=kind, before=before)
            return {"timeline": events, "who": timeline.WHO}
        case "channel":
            whole = args.get("lines") == "all"
            return {"side": channel_side(order, whole=whole), "opened": False, "answer": None}
        case "shipments" | "invoices" | "refunds" | "returns" | "messages" | "updates":
            return {}
    return {"panels": panels_of(order, actor), "find": args.get("find", ""), "whole": args.get("lines") == "all"}


def _as_of(order: Order, actor: Actor) -> str:
    """The order as the desk knew it at a moment of the past."""
    context, moments = facts(order, actor), events_of(order)
    try:
        at = parse_instant(request.args["at"].replace(" ", "+"))
    except (ValueError, OverflowError):
        raise NotFound(name=request.args["at"]) from None
    standing = as_of(moments, at)
    context |= {"at": at, "moments": then.moments(order, moments), "then": then.shown_then(order, standing)}
    return page("orders/as_of.html", part="orders/_then.html", **context)


@bp.get("/orders/<number>/parts")
@needs("orders.view")
def renewed(number: str) -> Response:
    """The read-only parts of an open page, as of now; open forms are left alone."""
    actor = current_actor()
    tab = current_tab()
    context = facts(open_order(number, actor, tab), actor, tab=tab)
    own = [part for part in live_parts(tab) if part != ASIDE]  # it renews itself
    return parts_aside(*own, *outdated(context["view"], request.args), **context)


@bp.get("/orders/<number>/aside")
@needs("orders.view")
def aside(number: str) -> str | AnyResponse:
    """The parts beside the overview: packages, updates and the newest events."""
    actor = current_actor()
    order = find_order(number, actor)
    if not htmx.is_htmx():
        return redirect(url_of(order))
    return page(ASIDE, **facts(order, actor) | {"loaded": True})


@bp.get("/orders/<number>/shipment-mails")
@needs("orders.view")
def shipment_mails(number: str) -> str | AnyResponse:
    """How far the mails about the order's shipments have come, on the tab that shows its packages."""
    actor = current_actor()
    order = find_order(number, actor)
    if not htmx.is_htmx():
        return redirect(url_of(order, SHIPMENTS))
    return page("orders/_shipment_mails.html", **facts(order, actor, tab=SHIPMENTS) | {"loaded": True})


@bp.get("/orders/<number>/of-buyer")
@needs("buyers.see")
def of_buyer(number: str) -> str:
    """The other orders of the order's buyer: below the buyer's card, or as a page of their own."""
    actor = current_actor()
    order = find_order(number, actor)
    found = other_orders(order, actor)
    others = [shown.ShownOrder(other) for other in found.newest] if found else []
    template = "orders/_of_buyer.html" if htmx.is_htmx() else "orders/of_buyer.html"
    return page(template, order=shown.ShownOrder(order), found=found, others=others, full=not htmx.is_htmx())


@bp.get("/orders/<number>/lines")
@needs("orders.view")
def lines(number: str) -> str | AnyResponse:
    """The order's lines: those that match a text, the first hundred or all of them."""
    actor = current_actor()
    order = find_order(number, actor)
    find, whole = request.args.get("find", ""), request.args.get("lines") == "all"
    if not htmx.is_htmx():
        return redirect(url_for(".show", number=number, find=find or None, lines="all" if whole else None))
    return page("orders/_lines.html", find=find, whole=whole, **facts(order, actor))


@bp.get("/orders/<number>/updates")
@needs("orders.view")
def updates(number: str) -> str:
    """The updates of the order, as of now."""
    actor = current_actor()
    return page("orders/_updates.html", **facts(find_order(number, actor), actor))


@bp.post("/orders/<number>/raw")
@needs("orders.raw")
def raw(number: str) -> str:
    """The channel's last answer as it was received. Posted, since opening it is deliberate and recorded."""
    actor = current_actor()
    order = open_order(number, actor, CHANNEL)
    context = facts(order, actor, tab=CHANNEL)
    context |= {"side": channel_side(order), "opened": True, "answer": raw_answer(order, actor)}
    return page("orders/show.html", part="orders/_raw.html", **context)


# --- Acting -----------------------------------------------------------------------------------------------------------


@bp.get("/orders/<number>/actions/")
@needs("orders.view")
def actions(number: str) -> str | AnyResponse:
    """What can be done to the order now."""
    actor = current_actor()
    order = find_order(number, actor)
    if not htmx.is_htmx():
        return redirect(url_of(order))
    return page(PLACES[Place.ACTIONS][0], **facts(order, actor))


@bp.get("/orders/<number>/actions/<code>")
@needs("orders.view")
def choose(number: str, code: str) -> str | AnyResponse:
    """The form of one action, in the bar or at its place on the page."""
    actor = current_actor()
    action = find_action(code)
    order = open_order(number, actor, action=action)
    actor.needs(action.right)
    if refusal := refusal_of(action, order, actor, request.args.get(action.about, type=int)):
        return _refused(action, order, actor, refusal)
    if action.reads_accounts:
        finances.read_soon(order)
    if action.asks_messages:
        allowed_messages.ask_soon(order)
    tab = TAB_OF.get(action.place, OVERVIEW)
    context = facts(order, actor, tab=tab, reveals=_reveals(action.place))
    context |= _of_tab(context["view"], tab)
    draft, about = context["view"].draft_of(action), request.args.get(action.about, "")
    try:
        if draft is not None:  # of whatever it was, it is now about what was pressed
            typed = {**draft.typed, action.about: about} if about else draft.typed
            form = drafted_form(action, order, typed, actor=actor)
        else:
            form = action_form(action, order, actor=actor, about=about)
        if prefilled := {name: request.args.getlist(name) for name in action.prefills if name in request.args}:
            form = drafted_form(action, order, form.so_far | prefilled, actor=actor)
    except PluginFailed as problem:
        return _refused(action, order, actor, problem)
    context |= {"action": action, "form": form, "kept_at": draft.saved_at if draft else None}
    return page("orders/show.html", part=PLACES[action.place][0], **context)


@bp.post("/orders/<number>/actions/<code>")
@needs("orders.view")
@shown_again
def perform(number: str, code: str) -> AnyResponse:
    """Do one action and show what it changed; the action names the right that it needs."""
    actor, action = current_actor(), find_action(code)
    actor.needs(action.right)
    if asks_for_groups(request.form):
        return _with_other_groups(action, open_order(number, actor, action=action), actor)
    if pressed := asks_to_fill(action, request.form):
        return _with_filling(action, open_order(number, actor, action=action), actor, *pressed)
    answered = not action.lets_leave or _read_again(action, find_order(number, actor), actor)
    try:
        with unit_of_work():
            order = find_order(number, actor, lock=True)
            form = action_form(action, order, request.form, actor=actor)
            data = read_input(action, form.input)
            seen = ask(action, "action", action.for_version, data, gives=bool)
            version = _version_seen(order, form.version, actor) if seen else None
            since, undo = order.version, _undo(action, order, data)
            done = act(action, order, data, actor, key=form.key or None, version=version)
    except DeskError as error:
        refused = isinstance(error, Refusal) and _of_form(action)
        outdated = isinstance(error, Stale) and action.place not in _BUTTONS
        if refused or outdated or error.status == 422 or error.field:
            with suppress(PluginFailed):
                return _form_again(action, open_order(number, actor, action=action), actor, error)
        if isinstance(error, (Refusal, Stale)):
            return _refused(action, open_order(number, actor), actor, error)
        raise
    order = open_order(number, actor)
    fresh = since == done.since < done.version  # not a repeated submission, and something was changed
    if fresh and type(action).undo is OrderAction.undo:
        undo = _undo_since(action, done)
    undone_by = undo_form(order, *undo, version=done.version, actor=actor) if undo and fresh else None
    tell(_done_sentence(order, action, done.since), "good", undone_by)
    if not answered:
        channel = channel_name(order.store.channel)
        tell(
            _("%(channel)s did not answer in time. The last imported data of the order were used.", channel=channel),
            "warn",
        )
    if not htmx.is_htmx():
        return redirect(url_of(order, tab_of(action.place)))
    return _changed(order, actor, action.place)


@bp.post("/orders/<number>/actions/<code>/preview")
@needs("orders.view")
def preview(number: str, code: str) -> AnyResponse | str:
    """What an action would do with what is typed in its form, or the sentence why it can't be done. It is not done.
    Without scripts it stands below the form.
    """
    actor, action = current_actor(), find_action(code)
    actor.needs(action.right)
    order = open_order(number, actor, action=action)
    try:
        form = action_form(action, order, request.form, actor=actor)
        context = _previewed(action, order, form, actor)
    except PluginFailed as problem:
        return _refused(action, order, actor, problem)
    if htmx.is_htmx():
        return page("orders/_preview.html", **context)
    usual = facts(order, actor, reveals=True)
    usual |= _of_tab(usual["view"], OVERVIEW) | _typed(action, form, usual["view"])
    return page("orders/show.html", **usual | context)


def _previewed(action: OrderAction, order: Order, form: ActionForm, actor: Actor) -> dict[str, Any]:
    """The context of `orders/_preview.html` for what is typed. Raises `PluginFailed`."""
    try:
        data = read_input(action, form.so_far)
        found = ask(action, "form", action.dry_run, order, data, actor, gives=Preview, raises=DeskError)
    except PluginFailed:
        raise
    except DeskError as error:
        return {"preview": None, "why_not": in_words(action, order, error.stored())}
    return {"preview": shown.preview(found), "why_not": ""}


@bp.post("/orders/<number>/actions/<code>/draft")
@needs("orders.view")
def save_draft(number: str, code: str) -> str:
    """Keep what is typed in the form of an action for the person who typed it; a form with nothing typed has no
    draft.
    """
    actor, action = current_actor(), _with_drafts(code)
    actor.needs(action.right)
    at = None
    with unit_of_work():
        order = find_order(number, actor, lock=True)
        form = action_form(action, order, request.form, actor=actor)
        typed, empty = form.so_far, action_form(action, order, actor=actor).so_far
        if {**typed, action.about: None} == {**empty, action.about: None}:  # what it is about is not typed
            drafts.discard_drafts([order.id], code, actor)
        else:
            with suppress(Invalid):  # too long, for one: sending it says so
                read_input(action, typed)
                at = drafts.save_draft(order, code, typed, key=form.key, actor=actor)
    return page("orders/_kept_draft.html", **facts(order, actor) | {"action": action, "kept_at": at})


@bp.post("/orders/<number>/actions/<code>/draft/discard")
@needs("orders.view")
def discard_draft(number: str, code: str) -> str | AnyResponse:
    """Delete the person's draft, and show the form as it is at first."""
    actor, action = current_actor(), _with_drafts(code)
    actor.needs(action.right)
    with unit_of_work():
        drafts.discard_drafts([find_order(number, actor).id], code, actor)
    tell(_("The draft is discarded."), "good")
    if not htmx.is_htmx():
        return redirect(url_for(".choose", number=number, code=code))
    return choose(number, code)


def _with_drafts(code: str) -> OrderAction:
    action = find_action(code)
    if not action.drafts:
        raise UnknownAction(name=code)
    return action


def _typed(action: OrderAction, form: ActionForm, view: OrderView) -> dict[str, Any]:
    """The context of the form of an action with what was sent: why the act is not possible any more, if it is not, and
    when the person's draft was kept.
    """
    draft, stopped = view.draft_of(action), refusal_of(action, view.order, view.actor, _part(action))
    return {"action": action, "form": form, "stopped": stopped, "kept_at": draft.saved_at if draft else None}


def _part(action: OrderAction) -> int | None:
    """What of the order the form that was sent is about, by its number."""
    return request.form.get(action.about, type=int)


def _of_form(action: OrderAction) -> bool:
    """Whether the act was sent by its form, not by a button beside a document or in a message. A form in the bar of
    actions may have no fields.
    """
    filled = has_input(action, request.form)
    if not htmx.is_htmx():
        return filled
    return f"#{htmx.target()}" == PLACES[action.place][1] and (filled or action.place is Place.ACTIONS)


@bp.post("/orders/<number>/actions/<code>/renew")
@needs("orders.view")
def renew(number: str, code: str) -> AnyResponse:
    """The open form of an action, with what was typed, if the order allows less or asks for more since it was drawn, or
    other buttons are beside it; nothing if all is still right, or if a plugin failed, which pressing its button says.
    The act is not done.
    """
    actor, action = current_actor(), find_action(code)
    actor.needs(action.right)
    order, tab = open_order(number, actor, action=action), tab_of(action.place)
    if action.asks_messages:
        allowed_messages.ask_soon(order, again=False)  # else a question that fails would be asked for ever
    with suppress(PluginFailed):
        form = action_form(action, order, request.form, actor=actor)
        context = facts(order, actor, tab=tab, reveals=_reveals(action.place))
        context |= _typed(action, form, context["view"])
        if request.args.get("shape") != context["view"].shape_of(action, form, context["stopped"]):
            if action.previews and not context["stopped"]:
                context |= _previewed(action, order, form, actor)
            context["meanwhile"] = _since(order, form.version or 0)
            form.renewed(order.version)
            return parts(PLACES[action.place][0], **context)
    return make_response("", 204)


def _read_again(action: OrderAction, order: Order, actor: Actor) -> bool:
    """Have an order that leaves by this act, if it can, read again if its facts are too old. Returns False if no answer
    came in time.
    """
    return refusal_of(action, order, actor) is not None or fresh_facts.wait_for([order.id])


def _undo(action: OrderAction, order: Order, data: ActionInput) -> tuple[str, Mapping[str, Any]] | None:
    if type(action).undo is OrderAction.undo:
        return None  # see `_undo_since`
    try:
        with db.session.begin_nested():  # errors of the statements above are repaired
            return ask(action, "action", _undone_by, action, order, data)
    except PluginFailed:  # the act is possible all the same
        return None


def _undone_by(action: OrderAction, order: Order, data: ActionInput) -> tuple[str, Mapping[str, Any]] | None:
    return _plain(action.undo(order, data))


def _undo_since(action: OrderAction, done: Done) -> tuple[str, Mapping[str, Any]] | None:
    """What undoes an act that names it by the order's versions before and after."""
    try:
        return ask(action, "action", lambda: _plain(action.undo_in_run(done.since, done.version)))
    except PluginFailed:
        return None


def _plain(answer: tuple[str, Mapping[str, Any]] | None) -> tuple[str, Mapping[str, Any]] | None:
    if answer is None:
        return None
    code, given = answer
    return str(code), dict(given)


def _reveals(place: Place) -> bool:
    """Whether what is drawn with the form of an act shows the buyer."""
    return place is Place.ADDRESSES or not htmx.is_htmx()


def _refused(action: OrderAction, order: Order, actor: Actor, refusal: Refusal | Stale) -> Response:
    """The order's page with the refusal, for a plain link or form; htmx shows it beside the input."""
    if htmx.is_htmx():
        raise refusal
    tell(str(refusal), "bad")
    tab = TAB_OF.get(action.place, OVERVIEW)
    context = facts(order, actor, tab=tab, reveals=tab == OVERVIEW)
    return make_response(page("orders/show.html", **context | _of_tab(context["view"], tab)), refusal.status)


def _changed(order: Order, actor: Actor, place: Place) -> Response:
    """What an act changed on the page: its own place, and the other parts about the order."""
    tab = tab_of(place)
    within = {"orders/_comment_list.html"} if place is Place.COMMENTS else set()
    beside = [part for part in live_parts(tab) if part not in within]
    return parts(PLACES[place][0], *beside, event="order-changed", **facts(order, actor, tab=tab) | {"loaded": True})


def _version_seen(order: Order, seen: int | None, actor: Actor) -> int | None:
    """The version that the person knows: their own acts beside an open form don't make the form outdated."""
    if seen is None:
        return None
    events = [event for event in events_of(order, limit=20) if event.version > seen]
    made = {event.version: (event.actor_kind, event.actor_id) for event in events}  # by the first event of each act
    own = len(made) == order.version - seen and set(made.values()) <= {(actor.kind, actor.id)}
    return order.version if own else seen


def _with_other_groups(action: OrderAction, order: Order, actor: Actor) -> AnyResponse:
    """The form with one group of fields more or less, and with its input; the act is not done."""
    try:
        form = action_form(action, order, request.form, actor=actor)
    except PluginFailed as problem:
        return _refused(action, order, actor, problem)
    part, place = PLACES[action.place]
    context = facts(order, actor, tab=tab_of(action.place), reveals=_reveals(action.place))
    context |= _of_tab(context["view"], OVERVIEW) | _typed(action, form, context["view"])
    return _at(place, make_response(page("orders/show.html", part=part, **context)))


def _with_filling(action: OrderAction, order: Order, actor: Actor, field: str, choice: str) -> AnyResponse:
    """What a choice puts into the form: for htmx, what the page puts where the cursor is; else the form with it behind
    what was typed. The act is not done.
    """
    try:
        form = action_form(action, order, request.form, actor=actor)
        about = action.filling, order, field, choice, form.so_far, actor
        found = ask(action, "form", *about, gives=Filling, raises=DeskError)
    except Refusal as problem:
        return _refused(action, order, actor, problem)
    said = shown.sentences(found.sentences)
    if htmx.is_htmx():
        given = [(name, [one] if isinstance(one, str) else one) for name, one in found.values.items()]
        values = [(form[name].id, value) for name, several in given for value in several]
        filled = {"said": said, "into": form[found.into].id, "text": found.text, "values": values}
        answer = make_response(page("orders/_filled.html", **filled))
        return htmx.retarget(answer, f"#{form[field].id}-filled", "innerHTML")
    typed = form.text_of(found.into).rstrip()
    for name, value in {**found.values, found.into: f"{typed}\n\n{found.text}".strip()}.items():
        form[name].data = value
    form[field].said = said
    context = facts(order, actor, tab=tab_of(action.place), reveals=_reveals(action.place))
    context |= _of_tab(context["view"], OVERVIEW) | _typed(action, form, context["view"])
    return make_response(page("orders/show.html", **context))


def _form_again(action: OrderAction, order: Order, actor: Actor, error: DeskError) -> Response:
    """The form with its input and the errors; if the order changed meanwhile, with the changes. If the act is not
    possible any more, the form says so once, without a button.
    """
    if action.asks_messages:
        allowed_messages.ask_soon(order)
    sent = action_form(action, order, request.form, actor=actor)
    seen, tab = sent.version or 0, tab_of(action.place)
    context = facts(order, actor, tab=tab, reveals=_reveals(action.place))
    context |= _of_tab(context["view"], OVERVIEW) | _typed(action, sent, context["view"])
    if not (isinstance(error, Refusal) and context["stopped"]):
        context["form"] = again(action, order, request.form, error, actor=actor)
    part, place = PLACES[action.place]
    if not (isinstance(error, Stale) or context["stopped"]):
        return _at(place, make_response(page("orders/show.html", part=part, **context), error.status))
    sent.renewed(order.version)
    context["meanwhile"] = _since(order, seen)
    if not htmx.is_htmx():
        return make_response(page("orders/show.html", **context), error.status)
    response = parts(part, *live_parts(tab), **context | {"loaded": True})
    response.status_code = error.status
    return _at(place, response)


def _since(order: Order, version: int) -> list[str]:
    """What happened to the order after this version, in the timeline's words."""
    return [timeline.sentence_of(order, event) for event in events_of(order, limit=20) if event.version > version]


def _at(place: str, response: Response) -> Response:
    """The form at its place, also with a status whose answers are otherwise messages."""
    return htmx.retarget(response, place) if htmx.is_htmx() else response


def _done_sentence(order: Order, action: OrderAction, since: int) -> str:
    """What the act did, in the timeline's words."""
    event = next((event for event in reversed(events_of(order, limit=20)) if event.version > since), None)
    return timeline.sentence_of(order, event) if event else _("Done: %(action)s.", action=action.label)


@bp.post("/orders/<number>/comments/<int(max=2147483647):comment_id>/pin")
@needs("orders.comment")
def pin_comment(number: str, comment_id: int) -> AnyResponse:
    """Show a comment above the others."""
    return _kept(number, comment_id, pin)


@bp.post("/orders/<number>/comments/<int(max=2147483647):comment_id>/unpin")
@needs("orders.comment")
def unpin_comment(number: str, comment_id: int) -> AnyResponse:
    """Show a comment among the others again."""
    return _kept(number, comment_id, unpin)


def _kept(number: str, comment_id: int, keep: Callable[..., None]) -> AnyResponse:
    actor = current_actor()
    with unit_of_work():
        keep(find_order(number, actor, lock=True), comment_id, actor=actor)
    order = open_order(number, actor)
    if not htmx.is_htmx():
        return redirect(f"{url_of(order)}#order-comments")
    return make_response(render_template("orders/_comment_list.html", **facts(order, actor)))
