"""The People page and one's own account: who may do what there, what is shown once, and what ends at once."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select

from tests.conftest import PASSWORD
from tests.ui.conftest import Browser, wait_for_subscription
from webapp import live as news
from webapp.accounts.models import User, UserSession
from webapp.accounts.services import create_user, end_sessions, get_user
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.ui.frame import live

LINK = re.compile(r"http://localhost(/sign-in/link/[\w-]+)")
NEW = "Another-Horse-8-Battery"
MakeBrowser = Callable[..., Browser]


@pytest.fixture
def own_pump(monkeypatch: pytest.MonkeyPatch) -> live.Pump:
    monkeypatch.setattr(live, "pump", live.Pump())
    return live.pump


def test_somebody_is_invited_comes_in_and_is_shown(
    browser: Browser, make_browser: MakeBrowser, logged: Callable[[], str]
) -> None:
    assert 'value="manager"' in browser.get("/settings/people/add").text
    wrong = browser.post("/settings/people/add", {"email": "ada", "name": "Ada", "role": "clerk"})
    assert wrong.status_code == 422
    assert 'value="Ada"' in wrong.text
    unchosen = browser.post("/settings/people/add", {"email": "ada@desk.test", "name": "Ada", "role": ""})
    assert "Choose one." in unchosen.text
    assert "read_only," not in unchosen.text
    made = browser.post("/settings/people/add", {"email": "ada@desk.test", "name": "Ada", "role": "clerk"})
    assert made.status_code == 200
    [path] = set(LINK.findall(made.text))
    assert "Invited" in browser.get("/settings/people/").text
    ada = make_browser()
    assert ada.post(path, {"name": "Ada", "password": PASSWORD}).status_code == 302

    person = browser.get(f"/settings/people/{get_user('ada@desk.test').id}").text
    assert "Active" in person
    assert path not in person  # a link is shown by the page that made it only
    assert path.rpartition("/")[2] not in logged()
    assert ada.get("/settings/people/").status_code == 403


def test_a_forgotten_password_is_replaced_by_a_link(
    browser: Browser, make_browser: MakeBrowser, make_user: Callable[..., Actor]
) -> None:
    mia = make_user()
    old, page = (LINK.search(browser.post(f"/settings/people/{mia.id}/link").text) for _ in range(2))
    assert old is not None
    assert page is not None
    assert make_browser().post(old[1], {"password": NEW}).status_code == 410  # the newer ended it
    assert make_browser().post(page[1], {"password": NEW}).status_code == 302
    assert make_browser().post("/sign-in", {"email": "mia@desk.test", "password": NEW}).status_code == 302


def test_nobody_is_let_in_by_a_link_of_their_own(browser: Browser, olga: Actor) -> None:
    own = f"/settings/people/{olga.id}"
    shown = browser.get(own).text
    assert "Change your password under" in shown
    assert "Create a link" not in shown
    refused = browser.post(f"{own}/link")
    assert refused.status_code == 409
    assert LINK.search(refused.text) is None


def test_who_is_disabled_is_out_at_once_and_can_be_enabled_again(
    browser: Browser, make_browser: MakeBrowser, make_user: Callable[..., Actor]
) -> None:
    mia = make_user()
    hers = make_browser(mia)
    assert hers.get("/orders/").status_code == 200

    assert browser.post(f"/settings/people/{mia.id}/disable").status_code == 302
    shown = browser.get(f"/settings/people/{mia.id}").text
    assert "Disabled" in shown
    assert f'action="/settings/people/{mia.id}/enable"' in shown  # beside the button: the message offers to undo

    assert hers.get("/orders/").status_code == 302
    assert hers.post("/theme", {"theme": "dark"}).status_code in (302, 400)
    assert make_browser().post("/sign-in", {"email": "mia@desk.test", "password": PASSWORD}).status_code == 422
    assert browser.post(f"/settings/people/{mia.id}/enable").status_code == 302
    assert hers.get("/orders/").status_code == 302
    assert make_browser().post("/sign-in", {"email": "mia@desk.test", "password": PASSWORD}).status_code == 302


@pytest.mark.parametrize("act", ["disable", "sign-out", "sessions", "role", "shops"])
def test_live_streams_end_with_their_session_or_with_what_they_may_show(
    app: Flask,
    browser: Browser,
    make_browser: MakeBrowser,
    make_user: Callable[..., Actor],
    olga: Actor,
    own_pump: live.Pump,
    store: Store,
    act: str,
) -> None:
    mia = make_user()
    hers = make_browser(mia)
    row, other = (
        db.session.scalars(select(UserSession).where(UserSession.user_id == whose.id)).one() for whose in (mia, olga)
    )
    way = f"sessions/{row.id}/end" if act == "sessions" else act
    streams = {who: own_pump.join(10) for who in ("hers", "another's")}
    told = {
        who: live._stream_of(app, *((mia, own, row.id) if who == "hers" else (olga, own, other.id)))
        for who, own in streams.items()
        if own
    }
    assert [next(stream) for stream in told.values()] == ["retry: 3000\n\n"] * 2
    wait_for_subscription()
    given = {"role": {"role": "packer"}, "shops": {"shops": str(store.shop_id)}}.get(act, {})
    assert browser.post(f"/settings/people/{mia.id}/{way}", given).status_code == 302

    assert list(told["hers"]) == []  # it ended, and said nothing
    news.publish("orders", [7])
    assert next(told["another's"]) == 'data: {"kind": "orders", "ids": [7]}\n\n'
    assert hers.get("/orders/").status_code == (200 if given else 302)  # who only sees other things stays
    for own in filter(None, streams.values()):
        own_pump.leave(own)


@pytest.mark.parametrize("listening", [False, True])
def test_no_stream_goes_on_whose_session_ended_while_it_began(
    app: Flask,
    make_browser: MakeBrowser,
    make_user: Callable[..., Actor],
    own_pump: live.Pump,
    monkeypatch: pytest.MonkeyPatch,
    listening: bool,
) -> None:
    subscribe, listen = threading.Event(), news.listen

    def listen_late() -> Iterator[dict[str, Any] | None]:
        subscribe.wait(60)
        yield from listen()

    monkeypatch.setattr(news, "listen", listen_late)
    mia = make_user()
    make_browser(mia)
    session = db.session.scalars(select(UserSession.id).where(UserSession.user_id == mia.id)).one()
    earlier = own_pump.join(10) if listening else None
    if earlier:
        subscribe.set()
        assert earlier.get(timeout=60) == {"kind": "listening"}
    with unit_of_work():
        end_sessions(mia.id)
    if earlier:
        earlier.get(timeout=60)  # the pump has handed it out
    own = own_pump.join(10)
    assert own is not None
    subscribe.set()
    assert next(told := live._stream_of(app, mia, own, session)) == "retry: 3000\n\n"
    wait_for_subscription()
    news.publish("orders", [7])
    assert next(told, None) is None  # it ended, and said nothing
    for one in filter(None, (earlier, own)):
        own_pump.leave(one)


def test_a_manager_sees_owners_and_changes_nothing_of_theirs(
    make_browser: MakeBrowser, make_user: Callable[..., Actor], olga: Actor
) -> None:
    max_ = make_browser(make_user("manager", "Max"))
    page = max_.get(f"/settings/people/{olga.id}").text
    assert "may do more than you" in page
    assert f"/settings/people/{olga.id}/disable" not in page
    for way in ("disable", "link", "sign-out", "enable"):
        assert max_.post(f"/settings/people/{olga.id}/{way}").status_code == 403
    assert max_.post(f"/settings/people/{olga.id}/role", {"role": "clerk"}).status_code == 403
    assert 'value="owner"' not in max_.get("/settings/people/add").text
    forged = max_.post("/settings/people/add", {"email": "e@desk.test", "role": "owner"})
    assert "manage owners" in forged.text
    assert db.session.scalar(select(User.id).where(User.email == "e@desk.test")) is None


def test_the_last_owner_reads_why_the_button_is_off(browser: Browser, olga: Actor) -> None:
    page = browser.get(f"/settings/people/{olga.id}").text
    assert "Nobody can disable their own account" in page
    refused = browser.post(f"/settings/people/{olga.id}/disable")
    assert refused.status_code == 409
    assert "Nobody can disable their own account" in refused.text
    assert browser.get("/orders/").status_code == 200


def test_a_thousand_people_come_by_pages_and_are_found(browser: Browser) -> None:
    rows = [
        {"email": f"person{number:04}@desk.test", "name": f"Person {number:04}", "role": "packer", "created_at": now()}
        for number in range(1000)
    ]
    with unit_of_work():
        db.session.execute(insert(User), rows)
    first = browser.get("/settings/people/")
    assert "1–50 of 1,001" in first.text
    assert len(browser.queries) <= 8
    assert first.text.count('href="/settings/people/') >= 50
    assert "1,001–1,001 of 1,001" in browser.get("/settings/people/?page=999").text
    assert "51–100 of 1,001" in browser.get("/settings/people/?page=2").text
    assert "1–1 of 1" in browser.get("/settings/people/?q=person0777").text
    for odd in ("page=x", "page=-3", "state=king", "q=%00", f"q={'x' * 5000}"):
        assert browser.get(f"/settings/people/?{odd}").status_code == 200
    assert "Nobody found" in browser.get("/settings/people/?q=nobody").text


def test_ones_own_password_and_address_need_the_present_password(
    browser: Browser, make_browser: MakeBrowser, olga: Actor
) -> None:
    other = make_browser(olga)
    wrong = browser.post("/account/password", {"password-present": "no", "password-password": NEW})
    assert wrong.status_code == 422
    assert "current password is wrong" in wrong.text
    weak = browser.post("/account/password", {"password-present": PASSWORD, "password-password": "weak"})
    assert "at least 12 characters" in weak.text
    assert other.get("/orders/").status_code == 200
    done = browser.post("/account/password", {"password-present": PASSWORD, "password-password": NEW})
    assert done.status_code == 302
    assert browser.get("/account").status_code == 200
    assert other.get("/orders/").status_code == 302

    kept = browser.post("/account/email", {"email-email": "olga.new@desk.test", "email-present": PASSWORD})
    assert kept.status_code == 422
    assert 'value="olga.new@desk.test"' in kept.text
    assert browser.post("/account/email", {"email-email": "x", "email-present": NEW}).status_code == 422
    moved = browser.post("/account/email", {"email-email": "olga.new@desk.test", "email-present": NEW})
    assert moved.status_code == 302
    assert get_user("olga.new@desk.test").id == olga.id


def test_guesses_of_the_present_password_are_counted_apart_from_sign_ins(
    browser: Browser, make_browser: MakeBrowser, olga: Actor
) -> None:
    guess = {"password-present": "no", "password-password": NEW}
    assert [browser.post("/account/password", guess).status_code for _ in range(11)] == [422] * 10 + [429]
    late = browser.post("/account/email", {"email-email": "o@desk.test", "email-present": PASSWORD})
    assert late.status_code == 429  # one allowance for both
    assert int(late.headers["Retry-After"]) > 0
    assert make_browser().post("/sign-in", {"email": "olga@desk.test", "password": PASSWORD}).status_code == 302


def test_ones_own_sessions_are_seen_and_ended(browser: Browser, make_browser: MakeBrowser, olga: Actor) -> None:
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
    other, third = make_browser(), make_browser(olga)
    right = {"email": "olga@desk.test", "password": PASSWORD}
    assert other.post("/sign-in", right, User_Agent=agent).status_code == 302
    page = browser.get("/account").text
    assert "Firefox on Windows" in page
    assert "This browser" in page
    row = db.session.scalars(select(UserSession).where(UserSession.agent == agent)).one()
    assert row.source == "127.0.0.1"
    assert browser.post(f"/account/sessions/{row.id}/end").status_code == 302
    assert other.get("/orders/").status_code == 302
    assert third.get("/orders/").status_code == 200
    browser.post("/account/sessions/end")
    assert third.get("/orders/").status_code == 302
    assert browser.get("/account").status_code == 200


def test_everybody_has_an_account_page_and_another_name(
    make_browser: MakeBrowser, make_user: Callable[..., Actor], olga: Actor
) -> None:
    rita = make_browser(make_user("read_only", "Rita"))
    assert 'href="/account"' in rita.get("/orders/").text
    assert rita.post("/account/name", {"name": " Rita  Ray "}).status_code == 302
    assert get_user("rita@desk.test").name == "Rita Ray"
    assert rita.post("/account/name", {"name": "x" * 101}).status_code == 422
    assert 'href="/settings/people/"' not in rita.get("/account").text


def test_names_of_people_can_not_break_the_page(browser: Browser, operator: Actor) -> None:
    with unit_of_work():
        made = create_user(email="o'x&y@desk.test", role="clerk", actor=operator, name='<b>"x"</b> %s {{ 7*7 }}')
        person_id = made.id
    for path in ("/settings/people/", f"/settings/people/{person_id}"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "<b>" not in page.text
        assert "49" not in re.findall(r"<h1>.*?</h1>", page.text)[0]
    assert browser.post(f"/settings/people/{person_id}/link").status_code == 200
