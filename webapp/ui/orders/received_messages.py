"""Received messages on an order's page: what each shows and what can be done about it, and its files.

What comes from outside is only ever shown as text, and its files are only ever saved, never opened by the page.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from flask import Blueprint, Response, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.errors import NotFound, sentence_of
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.mail.reading import LARGEST_FILE, MailSort
from webapp.messaging.models import Matched, ReceivedMail, SaidByMail, SaidFile
from webapp.messaging.queries import Written, find_message, said_of
from webapp.messaging.receiving import FILES
from webapp.orders.models import Order
from webapp.orders.queries import find_order, reference
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.header_values import attach, put
from webapp.ui.orders import shown as words
from webapp.vault import files
from webapp.vault.models import VaultFile

bp = Blueprint("received_messages", __name__)
SORTS: dict[str, LazyString] = {
    MailSort.ANSWER: _l("Buyer's answer"),
    MailSort.AUTOMATIC: _l("Automatic answer"),
    MailSort.BOUNCE: _l("Returned e-mail"),
    "unreadable": _l("Unreadable e-mail"),
}
_SAVED_AS = {"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"}  # else as bytes


def shown(order: Order, one: Written, received: ReceivedMail, acts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One received message with what can be done about it, as the order's page and its template have it."""
    said = cast(SaidByMail | None, one.said)
    return {
        "id": one.message.id,
        "received": True,
        "kind": SORTS.get(received.sort, received.sort),
        "sort": received.sort,
        "text": said["text"] if said else None,
        "subject": said["subject"] if said else "",
        "quoted": said["quoted"] if said else "",
        "whole": said["whole"] if said else True,
        "from": sender_of(said),
        "stranger": received.matched in (Matched.NUMBER, Matched.REFERENCE) and not received.from_buyer,
        "files": shown_files(
            said,
            lambda at: url_for(
                "received_messages.file", number=reference(order), message_id=one.message.id, position=at
            ),
        ),
        "at": one.message.written_at,
        "problem": sentence_of(received.problem),
        "open": received.done_at is None,
        "assignee": words.name_of(received.assignee) if received.assigned_to else "",
        "assigned_to": received.assigned_to,
        "done_at": received.done_at if received.done_by else None,
        "done_by": words.name_of(received.finisher) if received.done_by else "",
        "acts": {act["code"]: act for act in acts},
    }


def sender_of(said: SaidByMail | None) -> str:
    """Who a mail is from, by name and address; empty if it does not say, or was erased."""
    if said is None or not said["sender"]:
        return ""
    return f"{said['sender_name']} <{said['sender']}>" if said["sender_name"] else said["sender"]


def shown_files(said: SaidByMail | None, url_of: Callable[[int], str]) -> Sequence[dict[str, Any]]:
    """The files of a mail, each with its address by its position."""
    return [
        {
            "name": one["name"] or _l("File %(number)s", number=at + 1),
            "kept": one["kept"],
            "too_large": one["size"] > LARGEST_FILE,
            "kilobytes": -(-one["size"] // 1024),
            "url": url_of(at),
        }
        for at, one in enumerate(said["files"] if said else [])
    ]


@bp.get("/orders/<number>/messages/<int(max=2147483647):message_id>/files/<int(max=99):position>")
@needs("buyers.see")
def file(number: str, message_id: int, position: int) -> AnyResponse:
    """A file that came with a received message, to be saved; seeing it is recorded."""
    actor = current_actor()
    order, row = find_order(number, actor), find_message(message_id, actor)
    if row.message.order_id != order.id or row.received is None:
        raise NotFound(name=message_id)
    return file_response(row.received, cast(SaidByMail | None, said_of(row, actor)), position)


def file_response(received: ReceivedMail, said: SaidByMail | None, position: int) -> AnyResponse:
    """A file of a mail, as an answer that a browser saves and never opens by itself."""
    listed = said["files"] if said else []
    kept = {one.position: one for one in files.files_of(FILES, received.id)}
    if position >= len(listed) or position not in kept:
        raise files.FileGone
    return _saved(listed[position], kept[position])


def _saved(told: SaidFile, row: VaultFile) -> AnyResponse:
    reader = files.read(row)
    response = Response(
        reader.chunks(), mimetype=told["type"] if told["type"] in _SAVED_AS else "application/octet-stream"
    )
    attach(response, told["name"])
    put(response, "X-Content-Type-Options", "nosniff")
    put(response, "Content-Security-Policy", "default-src 'none'; sandbox")
    response.content_length = reader.size
    return response
