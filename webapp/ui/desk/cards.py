"""The desk's own cards of the dashboard: each a part of the overview, drawn by itself.

Their numbers are read in `reporting` and `sync`; here they become words and links.
"""

from datetime import date
from typing import Any

from flask import render_template, request, url_for

from webapp.audit.actor import Actor
from webapp.billing.memos import decisions
from webapp.billing.models import CreditMemo
from webapp.billing.proposals import oldest_proposals
from webapp.channels import described
from webapp.channels.ages import warnings_of
from webapp.channels.connecting import DeniedThing
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.channels.services import channel_name
from webapp.channels.shops import shops
from webapp.clock import now
from webapp.errors import sentence_of
from webapp.hooks import hookimpl
from webapp.hooks.registered import by_code
from webapp.i18n import gettext as _, lazy_gettext as _l, ngettext
from webapp.lists.listing import list_page
from webapp.mail import mailboxes
from webapp.mail.models import Mailbox
from webapp.messaging.inbox import CAP, may_see
from webapp.orders.listing import ORDER_LIST
from webapp.orders.queries import reference
from webapp.orders.services import answers_to_request
from webapp.reporting.contract import Card
from webapp.reporting.work import DECIDING, SHIPPING, Request, Waiting, oldest_requests, waiting
from webapp.sync import health
from webapp.sync.denials import denial_of
from webapp.ui.desk import sales
from webapp.ui.forms.actions import document_acts
from webapp.ui.frame.access import current_actor, may
from webapp.ui.frame.formats import moment, number, zone
from webapp.ui.frame.pages import show_times_of, shown_stores
from webapp.ui.orders import shown

RECENT = 8
PROPOSALS = 5  # proposed refunds that the card shows with the acts that decide about them
REQUESTS = 5  # buyers' requests to cancel that the card shows with their answers
DENIED_ORDERS = 5
DENIED_LABELS = {
    DeniedThing.MARKETPLACE: _l("Marketplace"),
    DeniedThing.DATA: _l("Data"),
    DeniedThing.OPERATION: _l("Operation"),
    DeniedThing.ORDER: _l("Order"),
}


def every() -> dict[str, Card]:
    """All cards by code; the desk's own come first."""
    return by_code("register_cards", Card)


def registered(actor: Actor) -> dict[str, Card]:
    """The cards that the actor may see, by code."""
    return {code: card for code, card in every().items() if actor.may(card.right)}


def orders_url(query: str) -> str:
    """The address of the order list with this query."""
    return url_for("orders.index", q=query)


def outbox_url(query: str) -> str:
    """The address of the outbox with this query."""
    return url_for("outbox.index", q=query)


def work_card(actor: Actor) -> str:
    """Today's tasks."""
    show_times_of(shown_stores())
    work = waiting(actor)
    found = work.tasks
    requests = oldest_requests(actor, REQUESTS) if found["cancel"].count else []
    proposals = oldest_proposals(actor, PROPOSALS) if found["refunds"].count else []
    broken = mailboxes.broken() if work.broken_mailboxes and mailboxes.may_see(actor) else []
    return render_template(
        "desk/dashboard/_work.html",
        shipping=[_task(found[task.code]) for task in SHIPPING],
        deciding=[
            *(_task(found[task.code]) for task in DECIDING),
            *([_inbox(work.in_inbox)] if may_see(actor) else []),
        ],
        broken=[_broken(row) for row in broken],
        requests=[_request(request, actor) for request in requests],
        proposals=[_proposal(memo, actor) for memo in proposals],
    )


def _inbox(waiting: int) -> dict[str, Any]:
    """How many mails wait in the inbox, like a task."""
    count = f"{number(CAP)}+" if waiting >= CAP else number(waiting)
    tone = "warn" if waiting else ""
    return {"label": _l("Mails without an order"), "count": count, "url": url_for("inbox.index"), "tone": tone}


def _broken(row: Mailbox) -> dict[str, Any]:
    """A mailbox that can't be read, with the reason."""
    url = url_for("mailboxes.edit", mailbox_id=row.id)
    return {"name": row.name, "problem": sentence_of(row.problem), "url": url}


def _request(request: Request, actor: Actor) -> dict[str, Any]:
    """A buyer's request to cancel with its age and the acts that answer it, as links to their forms."""
    number = reference(request.order)
    answers = [
        {
            "label": offer.action.answers_cancel_request,
            "icon": offer.action.icon,
            "url": url_for("orders.choose", number=number, code=offer.code, _anchor="order-actions"),
        }
        for offer in answers_to_request(request.order, actor)
    ]
    return {"order": shown.ShownOrder(request.order), "since": request.since, "answers": answers}


def _proposal(memo: CreditMemo, actor: Actor) -> dict[str, Any]:
    """A proposed refund with its age, its amount, and the acts that decide about it, or why the actor can't approve."""
    refusals = decisions(memo, actor)
    codes = [code for code, refusal in refusals.items() if refusal is None]
    order = memo.order
    return {
        "id": memo.id,
        "order": shown.ShownOrder(order),
        "since": memo.recorded_at,
        "by": shown.author_of(memo, order.store),
        "total": memo.total,
        "acts": document_acts(order, codes, {"memo": memo.id}, actor, version=None),
        "why_not": str(refusals["approve_refund"] or ""),
    }


def _task(found: Waiting) -> dict[str, Any]:
    count = f"{number(found.count)}{'+' if found.capped else ''}"
    task = found.task
    return {
        "label": task.label,
        "count": count,
        "url": url_for(f"{task.subject.code}.index", q=task.query),
        "tone": task.tone if found.count else "",
    }


def sync_card(actor: Actor) -> str:
    """The state of each store's traffic."""
    stores = [store for store in shown_stores() if store.archived_at is None]
    show_times_of(stores)
    states = health.of_stores([store.id for store in stores])
    return render_template("desk/dashboard/_sync.html", stores=[traffic(store, states[store.id]) for store in stores])


def expiring() -> list[dict[str, Any]]:
    """The credentials that expire soon, have expired, or may without the desk knowing, the most urgent first, for who
    may see stores.
    """
    if not may("stores.view"):
        return []
    found = [(age, store) for store in shown_stores() for age in warnings_of(store)]
    return [
        {"id": store.id, "store": store.name, "warning": age.warning, "tone": age.tone, "expires": age.expires}
        for age, store in sorted(found, key=lambda pair: (pair[0].expires or date.max, pair[1].name))
    ]


def traffic(store: Store, state: health.Health) -> dict[str, Any]:
    """A store's traffic in words: a dot's tone, last success, how long ago, waiting updates."""
    left_out = store.channel not in channels()
    return {
        "id": store.id,
        "name": store.name,
        "is_practice": store.practice,
        "channel_name": channel_name(store.channel),
        "state": state.of(store, left_out=left_out),
        "problem": state.problem_of(store, left_out=left_out),
        "last_success_at": state.last_success_at,
        "late": state.lag is not None and state.lag > health.LAGGING and store.active,
        "next_at": state.next_at if state.next_at and state.next_at > now() and store.active else None,
        "due": state.next_at is not None and state.next_at <= now() and store.active and not store.problem,
        "running": state.running,
        "backlog": state.backlog,
        "troubled": state.troubled,
        "quarantined": state.quarantined,
        "denied": _denied(store, state),
        "denials": len(state.denials),
        "unproven": _unproven(state),
        "backlog_url": outbox_url(f"store:{store.id} sending:held,owed,sent,accepted"),
        "troubled_url": outbox_url(f"store:{store.id} sending:refused,unknown"),
    }


def _denied(store: Store, state: health.Health) -> list[dict[str, Any]]:
    """What the channel denies, in words; of denied orders the first few."""
    things = [row for row in state.denials if row.thing != DeniedThing.ORDER]
    things += [row for row in state.denials if row.thing == DeniedThing.ORDER][:DENIED_ORDERS]
    return [
        {
            "label": DENIED_LABELS[DeniedThing(row.thing)],
            "name": described.denied_label(store.channel, denial_of(row)),
            "when": _(
                "Denied since %(since)s. Next try: %(again)s.", since=moment(row.since), again=moment(row.again_at)
            ),
            "problem": sentence_of(row.problem),
        }
        for row in things
    ]


def _unproven(state: health.Health) -> str | None:
    """The progress of the proof that every order is here; None if it is complete, or can't begin yet."""
    proof = state.unproven
    if proof is None:
        return None
    how_far = {"seen": number(proof.seen), "total": number(max(proof.total, proof.seen))}
    if missed := proof.found_before + proof.found:
        sentence: str = ngettext(
            "Waybill is still checking whether any order was missed: %(seen)s of about %(total)s orders were "
            "read again, and %(num)s missed order was found.",
            "Waybill is still checking whether any order was missed: %(seen)s of about %(total)s orders were "
            "read again, and %(num)s missed orders were found.",
            missed,
            **how_far,
        )
    else:
        sentence = _(
            "Waybill is still checking whether any order was missed: %(seen)s of about %(total)s orders were "
            "read again.",
            **how_far,
        )
    return sentence


def recent_card(actor: Actor) -> str:
    """The newest orders, with both numbers and both statuses (and no buyer: the list shows those)."""
    show_times_of(shown_stores())
    found = list_page(ORDER_LIST, actor, limit=RECENT)
    return render_template(
        "desk/dashboard/_recent.html", orders=[shown.ShownOrder(order) for order in found.rows], stores=shown_stores()
    )


def sales_card(actor: Actor) -> str:
    """The sales of the period that the page asks for."""
    show_times_of(shown_stores())
    wanted = sales.asked(request.args, now().astimezone(zone()).date())
    return render_template(
        "desk/dashboard/_sales.html", **sales.shown(actor, wanted), **sales_choices(wanted), page="dashboard.index"
    )


def sales_choices(wanted: sales.Asked) -> dict[str, Any]:
    """The filters of sales: only those with more than one value."""
    stores = shown_stores()
    actor = current_actor()
    names = {store.shop.id: store.shop.name for store in stores if actor.serves([store.shop.id])}
    if {id_ for store in stores for id_ in store.shop_ids if actor.serves([id_])} - names.keys():
        names = {shop.id: shop.name for shop in shops(actor)}
    countries = {row.marketplace: row.country for store in stores for row in store.marketplaces}
    choices = {
        "channel": (_l("Channel"), {store.channel: channel_name(store.channel) for store in stores}),
        "store": (_l("Store"), {str(store.id): store.name for store in stores}),
        "shop": (_l("Shop"), {str(id_): name for id_, name in names.items()}),
        "marketplace": (_l("Marketplace"), dict(sorted(countries.items(), key=lambda pair: pair[1]))),
    }
    return {
        "ranges": sales.RANGES,
        "intervals": sales.INTERVALS,
        "narrow": {
            name: (label, options)
            for name, (label, options) in choices.items()
            if len(options) > 1 or wanted.args.get(name)
        },
    }


@hookimpl
def register_cards() -> list[Card]:
    return CARDS


CARDS = [
    Card(code="work", label=_l("To do today"), render=work_card, wide=True),
    Card(code="sync", label=_l("Stores"), render=sync_card, right="stores.view", wide=True),
    Card(code="sales", label=_l("Sales"), render=sales_card, wide=True, seconds=1.5),
    Card(code="recent", label=_l("Recent orders"), render=recent_card, wide=True),
]
