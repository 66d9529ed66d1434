"""Signing in and out, one-time links, the first owner, language and theme."""

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from flask import Flask
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import select

from tests.conftest import PASSWORD
from tests.ui.conftest import Browser
from webapp.accounts.models import SignInLink, User, UserSession
from webapp.accounts.services import LINK_LIFE, create_user, get_user, make_link
from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.ui.frame import limits


def _link(user: User | None) -> str:
    with unit_of_work():
        return make_link(user, actor=Actor.operator())


def _sign_out(browser: Browser) -> None:
    browser.post("/sign-out")
    browser.token = ""  # it ended with the session


def test_the_first_owner_sets_up_the_desk_by_the_printed_link(make_browser: Callable[..., Browser]) -> None:
    browser, token = make_browser(), _link(None)

    page = browser.get(f"/welcome/{token}")
    assert page.status_code == 200
    weak = browser.post(f"/welcome/{token}", {"email": "olga@desk.test", "name": "Olga", "password": "shrt1"})
    assert weak.status_code == 422
    assert weak.text.count("Use at least 12 characters") == 1  # where it was broken
    assert 'value="olga@desk.test"' in weak.text  # nothing typed is lost
    assert "shrt1" not in weak.text
    done = browser.post(f"/welcome/{token}", {"email": "olga@desk.test", "name": "Olga", "password": PASSWORD})

    assert done.status_code == 302
    assert browser.get("/orders/").status_code == 200
    assert make_browser().get(f"/welcome/{token}").status_code == 410


def test_a_visit_of_a_link_spends_nothing_and_its_button_spends_it(
    make_browser: Callable[..., Browser], olga: Actor
) -> None:
    token, browser = _link(get_user("olga@desk.test")), make_browser()

    for _ in range(3):
        assert "olga@desk.test" in browser.get(f"/sign-in/link/{token}").text
    assert browser.post(f"/sign-in/link/{token}").status_code == 302

    assert browser.get("/orders/").status_code == 200
    assert make_browser().post(f"/sign-in/link/{token}").status_code == 410


def test_an_old_link_is_refused(make_browser: Callable[..., Browser], olga: Actor) -> None:
    token = _link(get_user("olga@desk.test"))

    with time_machine.travel(now() + LINK_LIFE + timedelta(minutes=1)):
        assert make_browser().get(f"/sign-in/link/{token}").status_code == 410


def test_the_right_password_lets_in_and_leads_on(stranger: Browser) -> None:
    page = stranger.get("/sign-in?next=/stores/")
    assert page.status_code == 200

    response = stranger.post("/sign-in", {"email": "olga@desk.test", "password": PASSWORD, "next": "/stores/"})

    assert response.location == "/stores/"
    cookie = next(line for line in response.headers.getlist("Set-Cookie") if line.startswith("waybill_session"))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert stranger.get("/stores/").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("elsewhere", ["//evil.test/", "https://evil.test", "/\\evil.test", "javascript:alert(1)"])
def test_nobody_is_led_elsewhere(stranger: Browser, elsewhere: str) -> None:
    response = stranger.post("/sign-in", {"email": "olga@desk.test", "password": PASSWORD, "next": elsewhere})

    assert response.location == "/"


def test_a_wrong_password_says_no_more_than_that(stranger: Browser) -> None:
    wrong = stranger.post("/sign-in", {"email": "olga@desk.test", "password": "wrong"})
    unknown = stranger.post("/sign-in", {"email": "who@desk.test", "password": "wrong"})

    assert wrong.status_code == unknown.status_code == 422
    assert "The e-mail address or the password is wrong" in wrong.text
    assert re.search(r"<input[^>]*autofocus[^>]*>", wrong.text)[0].count('name="password"')  # type: ignore[index]
    assert wrong.text.replace("olga@", "who@").count("password is wrong") == unknown.text.count("password is wrong")


def test_too_many_failures_are_told_to_wait_and_successes_are_not(stranger: Browser) -> None:
    for _ in range(3):
        assert stranger.post("/sign-in", {"email": "olga@desk.test", "password": PASSWORD}).status_code == 302
    answers = [stranger.post("/sign-in", {"email": "olga@desk.test", "password": "no"}).status_code for _ in range(12)]

    assert answers[:10] == [422] * 10
    assert answers[10:] == [429] * 2
    assert "Wait some minutes" in stranger.post("/sign-in", {"email": "olga@desk.test", "password": PASSWORD}).text


def test_signing_out_ends_the_session_on_the_desk(app: Flask, browser: Browser) -> None:
    copy = app.test_client()
    stolen = browser.client.get_cookie(app.config["WAYBILL_COOKIE"])
    assert stolen is not None
    browser.post("/sign-out")
    copy.set_cookie(app.config["WAYBILL_COOKIE"], stolen.value)

    assert browser.get("/orders/").status_code == 302
    assert copy.get("/orders/").status_code == 302


def test_a_disabled_user_is_out_at_once(browser: Browser) -> None:
    with unit_of_work():
        get_user("olga@desk.test").disabled_at = now()

    assert browser.get("/orders/").status_code == 403  # no owner is left


def test_the_last_use_is_noted_by_a_job_and_not_by_the_page(browser: Browser, work: Callable[[], int]) -> None:
    with time_machine.travel(now() + timedelta(minutes=6), tick=False):
        before = db.session.scalar(select(UserSession.seen_at))
        browser.get("/plugins/")
        assert not any(query.startswith(("UPDATE", "INSERT")) for query in browser.queries)
        work()
        db.session.rollback()
        after = db.session.scalar(select(UserSession.seen_at))

    assert before is not None
    assert after is not None
    assert after > before


def test_language_is_the_persons_on_every_machine(
    browser: Browser, make_browser: Callable[..., Browser], olga: Actor
) -> None:
    response = browser.post("/language", {"language": "fr", "next": "/stores/"})
    assert response.location == "/stores/"

    assert '<html lang="fr"' in browser.get("/stores/").text
    assert '<html lang="fr"' in make_browser(olga).get("/stores/").text


def test_strangers_are_spoken_to_in_the_language_of_their_browser(stranger: Browser) -> None:
    assert '<html lang="fr"' in stranger.get("/sign-in", Accept_Language="fr-CA,fr;q=0.9,en;q=0.5").text
    assert '<html lang="en"' in stranger.get("/sign-in", Accept_Language="de").text
    stranger.post("/language", {"language": "fr", "next": "/sign-in"})
    assert '<html lang="fr"' in stranger.get("/sign-in", Accept_Language="en").text


def test_the_theme_is_kept_in_a_cookie(browser: Browser) -> None:
    browser.post("/theme", {"theme": "dark", "next": "/stores/"})
    assert 'data-theme="dark"' in browser.get("/stores/").text

    browser.post("/theme", {"theme": "system", "next": "/stores/"})
    assert "data-theme=" not in browser.get("/stores/").text.split(">")[1]


def test_no_token_is_logged_and_none_is_stored(
    logged: Callable[[], str], make_browser: Callable[..., Browser], olga: Actor, app: Flask
) -> None:
    token = _link(get_user("olga@desk.test"))
    make_browser().get(f"/sign-in/link/{token}")

    log = logged()
    assert "/sign-in/link/<token>" in log
    assert token not in log
    assert token not in {row.token_hash for row in db.session.scalars(select(SignInLink))}
    assert configuration().secret_value() not in str(app.config["WAYBILL_COOKIE"])


def test_of_many_tries_at_once_as_many_are_checked_as_may_be(
    app: Flask, make_browser: Callable[..., Browser], olga: Actor
) -> None:
    browsers = [make_browser() for _ in range(30)]
    for browser in browsers:
        browser.get("/sign-in")
    together = Barrier(len(browsers))

    def guess(browser: Browser) -> tuple[int, str | None]:
        given = {"csrf_token": browser.token, "email": "olga@desk.test", "password": "no"}
        together.wait(60)
        response = Context().run(browser.client.post, "/sign-in", data=given)
        return response.status_code, response.headers.get("Retry-After")

    with ThreadPoolExecutor(len(browsers)) as pool:
        answers = list(pool.map(guess, browsers))

    assert Counter(status for status, _ in answers) == {422: 10, 429: 20}
    assert all(again and 0 < int(again) <= 900 for status, again in answers if status == 429)


def test_a_browser_that_knows_the_account_is_not_locked_out_by_others(
    make_browser: Callable[..., Browser], olga: Actor, make_user: Callable[..., Actor]
) -> None:
    make_user("clerk", "Mia")
    right = {"email": "olga@desk.test", "password": PASSWORD}
    own, other = make_browser(), make_browser()
    assert own.post("/sign-in", right).status_code == 302
    _sign_out(own)
    for _ in range(12):
        last = other.post("/sign-in", {"email": "olga@desk.test", "password": "no"})

    assert last.status_code == 429
    assert 'value="olga@desk.test"' in last.text  # nothing typed is lost
    assert other.post("/sign-in", right).status_code == 429
    assert own.post("/sign-in", right | {"email": "OLGA@desk.test"}).status_code == 302
    _sign_out(own)
    assert own.post("/sign-in", {"email": "mia@desk.test", "password": PASSWORD}).status_code == 429  # not known here
    wrong = [own.post("/sign-in", right | {"password": "no"}).status_code for _ in range(12)]
    assert wrong == [422] * 10 + [429] * 2  # its own allowance has an end too


def test_tries_that_were_never_made_use_up_nobodys_allowance(
    make_browser: Callable[..., Browser], olga: Actor, make_user: Callable[..., Actor]
) -> None:
    make_user("clerk", "Mia")
    elsewhere, office, colleague = make_browser(), make_browser(), make_browser()
    for browser, address in ((elsewhere, "203.0.113.1"), (office, "203.0.113.2"), (colleague, "203.0.113.2")):
        browser.client.environ_base["REMOTE_ADDR"] = address
    for _ in range(10):
        assert elsewhere.post("/sign-in", {"email": "olga@desk.test", "password": "no"}).status_code == 422
    for _ in range(12):
        assert office.post("/sign-in", {"email": "olga@desk.test", "password": PASSWORD}).status_code == 429
    assert colleague.post("/sign-in", {"email": "mia@desk.test", "password": PASSWORD}).status_code == 302


def test_a_cookie_that_the_desk_did_not_sign_knows_nobody(
    app: Flask, make_browser: Callable[..., Browser], olga: Actor
) -> None:
    browser = make_browser()
    for made_up in ("", "x", '["me",["all"]].x.y', "\\x00"):
        browser.client.set_cookie(app.config["WAYBILL_KNOWN_COOKIE"], made_up)
        assert browser.post("/sign-in", {"email": "olga@desk.test", "password": "no"}).status_code == 422
    for _ in range(8):
        last = browser.post("/sign-in", {"email": "olga@desk.test", "password": "no"})
    assert last.status_code == 429


def test_tries_are_counted_while_the_queue_is_gone(stranger: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_alone", FixedWindowRateLimiter(MemoryStorage()))
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere.sock")
    configuration.cache_clear()
    wrong = [stranger.post("/sign-in", {"email": "olga@desk.test", "password": "no"}).status_code for _ in range(12)]
    assert wrong == [422] * 10 + [429] * 2


def test_guesses_of_links_are_counted_where_they_come_from(stranger: Browser) -> None:
    for path in ("/sign-in/link/guess", "/welcome/guess"):
        assert stranger.post(path).status_code == 410
    answers = [stranger.post("/welcome/guess").status_code for _ in range(9)]
    assert answers == [410] * 8 + [429]


def test_who_is_invited_chooses_a_password(make_browser: Callable[..., Browser], olga: Actor) -> None:
    with unit_of_work():
        ada = create_user(email="ada@desk.test", role="clerk", actor=olga)
        token = make_link(ada, actor=olga)
    browser = make_browser()

    assert "Choose a password" in browser.get(f"/sign-in/link/{token}").text
    weak = browser.post(f"/sign-in/link/{token}", {"name": "Ada", "password": "weak"})
    assert weak.status_code == 422
    assert "at least 12 characters" in weak.text
    assert 'value="Ada"' in weak.text
    assert browser.post(f"/sign-in/link/{token}", {"name": "Ada"}).status_code == 422
    assert browser.post(f"/sign-in/link/{token}", {"name": "Ada", "password": PASSWORD}).status_code == 302

    assert browser.get("/orders/").status_code == 200
    assert get_user("ada@desk.test").name == "Ada"
    assert make_browser().post("/sign-in", {"email": "ada@desk.test", "password": PASSWORD}).status_code == 302


def test_a_new_password_by_link_ends_the_other_sessions(
    browser: Browser, make_browser: Callable[..., Browser], olga: Actor
) -> None:
    token, other = _link(get_user("olga@desk.test")), make_browser()

    assert other.post(f"/sign-in/link/{token}", {"password": "Another-Horse-8-Battery"}).status_code == 302

    assert other.get("/orders/").status_code == 200
    assert browser.get("/orders/").status_code == 302
    assert make_browser().post("/sign-in", {"email": "olga@desk.test", "password": PASSWORD}).status_code == 422


def test_odd_addresses_and_passwords_are_refused_as_others_are(stranger: Browser) -> None:
    for odd in ("\0", "olga@desk.test\0", "'; --", "é" * 50_000, "\r\nSet-Cookie: a=b"):
        for given in ({"email": odd, "password": PASSWORD}, {"email": "olga@desk.test", "password": odd}):
            assert stranger.post("/sign-in", given).status_code == 422, given
