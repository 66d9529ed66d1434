"""What the timeline, lists and pages say of uploads of documents, and the attention that they raise."""

from collections.abc import Mapping

from webapp.billing.services import MONEY
from webapp.channels.uploads import CREDIT_MEMO_UPLOAD, INVOICE_UPLOAD
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords
from webapp.updates.models import UpdateState

KINDS = (INVOICE_UPLOAD, CREDIT_MEMO_UPLOAD)
UPLOADED_EVENT = EventWords("document_uploaded", _l("%(number)s was uploaded to the channel"), MONEY)
REFUSED_EVENT = EventWords("document_not_uploaded", _l("%(number)s was not uploaded to the channel"), MONEY)
NOT_UPLOADED = AttentionKind(
    "document_not_uploaded",
    _l("Not uploaded"),
    _l("An invoice or a credit memo was not uploaded: %(problem)s"),
    _l(
        "Correct the problem, then try again. If you uploaded the document on the channel yourself, mark it as "
        "uploaded elsewhere. Otherwise close the upload."
    ),
)
STATE_LABELS: Mapping[str, LazyString] = {
    UpdateState.HELD: _l("Upload waiting"),
    UpdateState.OWED: _l("Upload waiting"),
    UpdateState.SENT: _l("Upload sent"),
    UpdateState.ACCEPTED: _l("Upload accepted"),
    UpdateState.EFFECTIVE: _l("Uploaded"),
    UpdateState.REFUSED: _l("Upload refused"),
    UpdateState.UNKNOWN: _l("Upload unknown"),
    UpdateState.WITHDRAWN: _l("Not uploaded"),
    UpdateState.DONE_ELSEWHERE: _l("Uploaded elsewhere"),
}
