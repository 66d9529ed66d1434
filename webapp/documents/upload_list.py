"""The columns and query keys of the uploads of documents, in the lists of invoices and of credit memos."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, text

from webapp.audit.actor import Actor
from webapp.billing.invoice_list import INVOICES
from webapp.billing.memo_list import CREDIT_MEMOS
from webapp.billing.models import CreditMemo, Invoice
from webapp.documents.upload_words import STATE_LABELS
from webapp.documents.uploads import UPLOAD_KINDS
from webapp.i18n import lazy_gettext as _l, lazy_pgettext
from webapp.lists.contract import PlainRow
from webapp.lists.rows import of_each
from webapp.search.contract import Column, ColumnKind, KeyKind, Label, QueryKey
from webapp.updates.models import OPEN_UPDATES, STATE_TONES, UNSETTLED, ChannelUpdate, UpdateState

UPLOAD = "upload"  # the column and the key
_UPLOADED, _REFUSED, _WAITING = "uploaded", "refused", "waiting"
_CHOICES = {
    _UPLOADED: STATE_LABELS[UpdateState.EFFECTIVE],
    _WAITING: _l("Upload under way"),
    _REFUSED: STATE_LABELS[UpdateState.REFUSED],
}
_OPEN = {_WAITING: UNSETTLED, _REFUSED: (UpdateState.REFUSED,)}


def _column(subject: str, model: type[Any]) -> Column:
    state = (
        select(ChannelUpdate.state)
        .where(_is_upload(model))
        .order_by(ChannelUpdate.revision.desc())
        .limit(1)
        .correlate(model)
        .scalar_subquery()
    )
    return Column(
        subject=subject,
        code=UPLOAD,
        label=_l("Upload"),
        kind=ColumnKind.LABELS,
        values=of_each(_labels),
        reads={"upload_state": state},
        width=130,
        help=_l(
            "The status of the document's upload to the channel. The cell is empty if the document is not uploaded."
        ),
    )


def _is_upload(model: type[Any]) -> ColumnElement[bool]:
    """Whether an update is the upload of a document, found by the index of references."""
    return and_(
        ChannelUpdate.order_id == model.order_id,
        ChannelUpdate.kind == UPLOAD_KINDS[model].code,
        ChannelUpdate.reference == model.number,
    )


def _labels(row: PlainRow) -> list[Label]:
    state = row.upload_state
    return [Label(str(STATE_LABELS[state]), STATE_TONES[state])] if state else []


def _in_state(model: type[Any]) -> Callable[[Sequence[str], Actor], ColumnElement[bool]]:
    def condition(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
        found: list[ColumnElement[bool]] = []
        for value in values:
            if value == _UPLOADED:
                ended = (UpdateState.EFFECTIVE, UpdateState.DONE_ELSEWHERE)
                uploaded = select(ChannelUpdate.id).where(_is_upload(model), ChannelUpdate.state.in_(ended))
                found.append(uploaded.correlate(model).exists())
            else:  # few: the index of open updates has them
                some = select(ChannelUpdate.source_id).where(
                    text(OPEN_UPDATES),
                    ChannelUpdate.kind == UPLOAD_KINDS[model].code,
                    ChannelUpdate.state.in_(_OPEN[value]),
                )
                found.append(model.id.in_(some))
        return or_(*found)

    return condition


def _key(subject: str, model: type[Any]) -> QueryKey:
    return QueryKey(
        subject=subject,
        code=UPLOAD,
        label=_l("Upload"),
        kind=KeyKind.CHOICE,
        condition=_in_state(model),
        choices=lambda actor: _CHOICES,
        help=_l("The status of the document's upload to the channel."),
        name=lazy_pgettext("query key", "upload"),
    )


_LISTS: Sequence[tuple[str, type[Any]]] = ((INVOICES, Invoice), (CREDIT_MEMOS, CreditMemo))
COLUMNS = tuple(_column(*one) for one in _LISTS)
KEYS = tuple(_key(*one) for one in _LISTS)
