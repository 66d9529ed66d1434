"""A fake channel that takes documents, and stores that upload theirs."""

from datetime import timedelta

import pytest

from tests.conftest import run_jobs
from webapp.channels.models import Store
from webapp.channels.outgoing import UpdateKind
from webapp.channels.uploads import CREDIT_MEMO_UPLOAD, INVOICE_UPLOAD
from webapp.clock import now
from webapp.db import unit_of_work
from webapp.documents.upload_settings import SINCE, UPLOAD, UPLOADS
from webapp.i18n import lazy_gettext as _l
from webapp.settings.services import store_all
from webapp.testing import GERMANY, FakeChannel


def take_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let documents be uploaded to the fake channel's German marketplace, which carries no refunds: credit memos are
    issued at once.
    """
    kinds = [kind for kind in FakeChannel.kinds if kind.code != "refund"]
    kinds += [UpdateKind(code, _l("Upload"), repeatable=True) for code in (INVOICE_UPLOAD, CREDIT_MEMO_UPLOAD)]
    monkeypatch.setattr(FakeChannel, "kinds", tuple(kinds))
    monkeypatch.setattr(FakeChannel, "takes_documents", lambda self, marketplace: marketplace == GERMANY.id)


def switch(store: Store, days_ago: int | None = 0) -> None:
    """Switch the store's uploads on, from some days ago on, or off."""
    since = "" if days_ago is None else (now() - timedelta(days=days_ago)).date().isoformat()
    with unit_of_work():
        store_all(UPLOADS, {UPLOAD.name: days_ago is not None, SINCE.name: since}, store)
    run_jobs()
