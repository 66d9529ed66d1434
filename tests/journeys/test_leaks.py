"""Buyer data stays in the vault: after everything was done, the seeded names are in no plain text."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from sqlalchemy import text

from webapp import live
from webapp.accounts.models import User
from webapp.accounts.services import open_session
from webapp.audit.actor import Actor
from webapp.channels.incoming import UnreadableOrder
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.orders.services import comment
from webapp.sync.models import ChannelCall
from webapp.sync.taking_in.quarantine import quarantine
from webapp.testing import FakeChannel, again, incoming_line, incoming_order
from webapp.updates.deciding import send_now
from webapp.updates.models import ChannelUpdate

SEEDED = ("quixelworth", "zanzibar", "vrombaut", "zq7 4wx", "5550199", "flibbertigift")
QUARANTINED = {
    "buyer": {"buyerName": "Jane Quixelworth"},
    "recipient": {"deliveryAddress": {"addressLine1": "7 Zanzibar Mews"}},
}


@pytest.fixture(autouse=True)
def chatty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log everything that can be logged."""
    monkeypatch.setenv("WAYBILL_LOG_LEVEL", "debug")


def leaks(where: str) -> list[str]:
    return [name for name in SEEDED if name in where.lower()]


def whole_database() -> str:
    """Every value of every table as text; bytes as well."""
    found = []
    for table in db.metadata.sorted_tables:
        for row in db.session.execute(text(f'SELECT * FROM "{table.name}"')):
            found += [value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in row]
    return "\n".join(found)


def whole_queue() -> str:
    redis = live.connection()
    found = []
    for name in redis.scan_iter("*"):
        kind = redis.type(name)
        read: dict[bytes, Callable[[], Any]] = {
            b"string": lambda name=name: redis.get(name),
            b"hash": lambda name=name: redis.hgetall(name),
            b"list": lambda name=name: redis.lrange(name, 0, -1),
            b"set": lambda name=name: redis.smembers(name),
            b"zset": lambda name=name: redis.zrange(name, 0, -1),
        }
        found.append(f"{name!r} {read[kind]() if kind in read else ''!r}")
    return "\n".join(found)


@pytest.fixture
def browser(app: Flask, make_user: Callable[..., Actor]) -> Any:
    """A signed-in owner's client."""
    actor = make_user("owner", "Olive")
    with unit_of_work():
        token = open_session(db.session.get_one(User, actor.id), how="test")
    client = app.test_client()
    client.set_cookie(app.config["WAYBILL_COOKIE"], token)
    return client


def test_nothing_of_a_buyer_stands_in_the_open(
    app: Flask,
    browser: Any,
    take: Callable[..., list[Order]],
    store: Any,
    mia: Actor,
    channel: FakeChannel,
    work: Callable[[], int],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = incoming_order(
        [incoming_line("MUG", 2, gift=True)],
        raw={"buyer": "Jane Quixelworth, 7 Zanzibar Mews, Vrombaut ZQ7 4WX"},
        number="302-5555555-0000001",
    )
    told = again(told, buyer={**told.buyer, "gift_messages": {told.lines[0].number: "Flibbertigift!"}})
    [order] = take(told)
    take(again(told, status="PARTIALLY_SHIPPED"))
    with unit_of_work():
        quarantine(store.id, [("302-5555555-0000002", "createdTime", "no time", QUARANTINED)])
        quarantine(store.id, [(UnreadableOrder("x", "y", "z").number, "y", "z", QUARANTINED)])
    with unit_of_work():
        comment(locked(order), "Called Jane Quixelworth of Zanzibar Mews.", actor=mia)

    pages = ["/orders/", f"/orders/{order.number}", f"/orders/{order.number}/actions/ship", "/stores/", "/runs/"]
    pages += ["/communication/", f"/orders/{order.number}?tab=updates"]
    shown = ""
    for path in pages:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        shown += answer.get_data(as_text=True)
    assert "Quixelworth" in shown
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', shown)
    assert token is not None
    form = {"csrf_token": token[1], "carrier": "DHL", "tracking_number": "JD0001"}
    browser.get(f"/orders/{order.number}/actions/message")
    work()
    message = form | {"kind": "problem", "text": "Dear Jane Quixelworth of Zanzibar Mews, your mug is late."}
    for way in ("message/preview", "message", "message"):  # what is said twice is no second message
        path = f"/orders/{order.number}/actions/{way}"
        assert browser.post(path, data=message | {"submission_key": "k"}).status_code in (200, 302)
    refused = message | {"text": "Write to quixelworth@zanzibar.example"}
    assert browser.post(f"/orders/{order.number}/actions/message", data=refused).status_code == 422
    with unit_of_work():
        send_now(db.session.query(ChannelUpdate).filter_by(kind="message").one(), actor=mia)
    browser.post(f"/orders/{order.number}/actions/ship", data=form)
    browser.post(f"/orders/{order.number}/actions/ship", data=form | {"tracking_number": ""})
    queued = whole_queue()
    work()
    assert db.session.query(Order).one().state == "complete"
    assert [one.private["text"][:24] for one in channel.delivered if one.kind == "message"] == [
        "Dear Jane Quixelworth of"
    ]
    assert db.session.query(ChannelCall).filter_by(order_id=order.id).count() > 0

    db.session.rollback()
    output = capfd.readouterr()
    assert leaks(whole_database()) == []
    assert leaks(queued) == []
    assert leaks(whole_queue()) == []
    assert leaks(output.out + output.err) == []
    links = re.findall(r'(?:href|action|hx-get|hx-post)="([^"]*)"', shown)
    assert leaks("\n".join(link for link in links if not link.startswith(("mailto:", "tel:")))) == []


def test_what_was_searched_saved_exported_and_said_stands_nowhere_in_the_open(
    app: Flask,
    browser: Any,
    take: Callable[..., list[Order]],
    work: Callable[[], int],
    capfd: pytest.CaptureFixture[str],
) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 2)], number="302-5555555-0000003"))
    seen: list[str] = []

    def ask(method: str, path: str, **data: Any) -> str:
        """Request a page as a browser does; record each address that the desk gave out or was asked for."""
        form = {"csrf_token": token, **data} if method == "post" else None
        answer = getattr(browser, method)(path, data=form)
        assert answer.status_code < 400, (path, answer.status_code, answer.get_data(as_text=True)[:2000])
        text_ = answer.get_data(as_text=True)
        seen.extend(re.findall(r'(?:href|action|hx-get|hx-post)="([^"]*)"', text_))
        seen.append(answer.headers.get("Location", ""))
        return str(answer.headers.get("Location") or text_)

    token = ""
    token = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', ask("get", "/orders/"))[0]
    words = "quixelworth state:open"
    found = ask("post", "/orders/search", text=words)
    assert "w=" in found
    assert str(order.number) in ask("get", found)
    for typed in ("postcode:ZQ7", "phone:5550199", "buyer:Zanzibar -hold", 'comment:"flibbertigift"'):
        ask("get", ask("post", "/orders/search", text=typed))
    ask("post", "/orders/complete", text="state:op quixelworth", position="8")
    sealed = dict(parse_qsl(urlsplit(found).query))
    ask("post", "/orders/views/", name="Mine", **sealed)
    ask("post", "/orders/export/start", order=str(order.id), format="csv", rows="orders", column="buyer")
    ask("post", "/orders/export/start", order=str(order.id), format="xlsx", rows="lines", column="buyer")
    ask("post", f"/orders/{order.number}/actions/hold", reason="Jane Quixelworth moved to Zanzibar Mews")
    ask("post", f"/orders/{order.number}/actions/comment", text="Flibbertigift for Vrombaut")
    queued = whole_queue()
    work()
    ask("get", f"/orders/{order.number}?tab=timeline")
    ask("get", "/runs/")

    db.session.rollback()
    output = capfd.readouterr()
    assert leaks(whole_database()) == []
    assert leaks(queued + whole_queue()) == []
    assert leaks(output.out + output.err) == []
    assert leaks("\n".join(link for link in seen if not link.startswith(("mailto:", "tel:")))) == []
