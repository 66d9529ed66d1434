"""Uploads of documents on the order's page, in the list of invoices, in a store's settings, and on the command line."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from tests.conftest import run_by_the_clock, run_jobs
from tests.refunds import shipped_order
from tests.ui.conftest import Browser
from tests.uploads import switch, take_documents
from webapp.audit.actor import Actor
from webapp.billing.services import issue_invoice
from webapp.channels.models import Store
from webapp.channels.outgoing import Refused, Sent
from webapp.cli.main import main
from webapp.clock import now
from webapp.db import unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import FakeChannel

Take = Callable[..., list[Order]]


def test_a_refused_upload_is_shown_found_and_tried_again(
    channel: FakeChannel,
    store: Store,
    take: Take,
    mia: Actor,
    browser: Browser,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "Upload of invoices" not in browser.get(f"/stores/{store.id}/settings").text
    take_documents(monkeypatch)
    assert "Upload of invoices" in browser.get(f"/stores/{store.id}/settings").text
    switch(store)
    [order] = take(shipped_order())
    with unit_of_work():
        number = issue_invoice(locked(order), actor=mia).number
    channel.outcomes, channel.found = [Sent("f1")], [Refused("The total is wrong.")]
    run_jobs()
    url = f"/orders/{order.number}?tab=invoices"
    assert "Upload sent" in browser.get(url).text
    with time_machine.travel(now() + timedelta(minutes=5), tick=True):
        run_by_the_clock()

    tab = browser.get(url).text
    assert "Upload refused" in tab
    assert "The total is wrong." in tab
    assert len(browser.queries) <= 11, "\n".join(browser.queries)
    row = f">{number}</a>"
    assert row in browser.get("/invoices/?q=upload:refused").text
    assert len(browser.queries) <= 9, "\n".join(browser.queries)
    assert row not in browser.get("/invoices/?q=upload:uploaded").text
    main(["invoices", "show", number, "--json"])
    assert json.loads(capsys.readouterr().out)["upload"]["state"] == "refused"

    again = re.search(r'action="(/updates/\d+/retry)"', tab)
    assert again is not None
    done = browser.post(again[1], htmx=True, HX_Current_URL=url)
    assert done.status_code == 200
    assert 'id="order-tab"' in done.text
    assert "Upload waiting" in done.text
