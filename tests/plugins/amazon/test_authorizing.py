"""A seller consents at Amazon and comes back: from the desk's own pages, against the practice Amazon over HTTP."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask import Flask
from sqlalchemy import select

from plugins.amazon.authorizing import consent_url
from plugins.amazon.plugin import practice_settings
from plugins.amazon.practice import REFRESH_TOKENS, SELLERS, PracticeClient, PracticeServer
from tests.ui.conftest import Browser, browser, logged, make_browser, olga, stranger
from webapp.api import StoreAccess, now
from webapp.audit.actor import Actor
from webapp.channels.ages import AGES, ages_of
from webapp.channels.models import Store
from webapp.channels.services import CONNECTION, add_store
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.live import connection
from webapp.settings.services import change

__all__ = ["browser", "logged", "make_browser", "olga", "stranger"]
LINK = re.compile(r'href="([^"]+/apps/authorize/consent[^"]+)"')
APPLICATION = "amzn1.sp.solution.mine"


@pytest.fixture
def desk(
    app: Flask, amazon_server: PracticeServer, amazon: PracticeClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A desk that allows custom endpoints, and the URL of the practice Amazon."""
    monkeypatch.setenv("WAYBILL_CUSTOM_ENDPOINTS", "1")
    monkeypatch.setenv("WAYBILL_PRACTICE_URL", amazon_server.url)
    configuration.cache_clear()
    yield amazon_server.url
    configuration.cache_clear()


@pytest.fixture
def typed(desk: str) -> dict[str, str]:
    """What a person types for a new store: no refresh token and no seller id."""
    known = practice_settings(desk, "eu")
    given = {name: known[name] for name in ("client_id", "client_secret", "region", "endpoint", "token_endpoint")}
    return given | {"name": "Berlin", "application_id": APPLICATION, "draft": "y", "import_from": "30"}


@pytest.fixture
def known_store(desk: str, olga: Actor) -> Store:
    with unit_of_work():
        return add_store("amazon", "Known", practice_settings(desk, "eu"), actor=olga, practice=True)


def link(page: str) -> str:
    found = LINK.search(page)
    assert found, page
    return unescape(found[1])


def consented(url: str, region: str = "eu", act: str = "confirm") -> str:
    """The path of the desk to which Amazon sends the seller who follows this link and consents."""
    page = httpx.get(url)
    assert page.status_code == 200
    there = next(
        found
        for found in re.findall(r'href="([^"]+)"', page.text)
        if act in found and (not region or f"region={region}" in found)
    )
    back = httpx.get(urlsplit(url)._replace(path="", query="").geturl() + unescape(there))
    assert back.status_code == 302
    parts = urlsplit(back.headers["location"])
    return f"{parts.path}?{parts.query}"


def said(browser: Browser, answer: Any) -> str:
    """The message on the page to which the desk redirects, whose address has nothing of the answer."""
    assert answer.status_code == 302
    assert "?" not in answer.location
    page: str = browser.get(answer.location).text
    assert "spapi_oauth_code" not in page
    return unescape(page)


def values(store: Store) -> dict[str, Any]:
    db.session.rollback()
    return CONNECTION.read(db.session.get_one(Store, store.id))


def test_a_new_store_is_connected_by_a_consent(
    browser: Browser, typed: dict[str, str], work: Callable[[], int], logged: Callable[[], str]
) -> None:
    assert "Authorize at Amazon" in browser.get("/stores/add/amazon").text
    page = browser.post("/stores/add/amazon/authorize", typed)
    assert page.status_code == 200
    assert db.session.scalars(select(Store)).all() == []
    url = link(page.text)
    asked = parse_qs(urlsplit(url).query)
    assert asked["application_id"] == [APPLICATION]
    assert asked["version"] == ["beta"]
    assert asked["redirect_uri"][0].endswith("/stores/authorized")
    assert typed["client_secret"] not in page.text
    kept = b"".join(connection().get(key) or b"" for key in connection().keys("waybill:authorization:*"))
    assert kept
    assert typed["client_secret"].encode() not in kept

    path = consented(url)
    assert "Berlin was added." in said(browser, browser.get(path))
    [store] = db.session.scalars(select(Store))
    found = values(store)
    assert (found["refresh_token"], found["seller_id"]) == (REFRESH_TOKENS["eu"], SELLERS["eu"])
    work()
    db.session.rollback()
    store = db.session.get_one(Store, store.id)
    assert (store.problem, {row.country for row in store.marketplaces} >= {"DE", "FR"}) == (None, True)
    code = parse_qs(urlsplit(path).query)["spapi_oauth_code"][0]
    assert code not in logged()
    assert asked["state"][0] not in logged()


def test_a_state_works_once_in_its_own_session_and_for_half_an_hour(
    browser: Browser,
    known_store: Store,
    make_browser: Callable[..., Browser],
    olga: Actor,
) -> None:
    start = f"/stores/{known_store.id}/authorize"
    path = consented(link(browser.post(start).text))
    unknown = "was not started in this session, has expired, or was already used"
    assert unknown in said(browser, browser.get(path.replace("state=", "state=x")))
    assert unknown in said(browser, browser.get("/stores/authorized"))
    other = make_browser(olga)
    assert unknown in said(other, other.get(path))  # and now it is spent
    assert unknown in said(browser, browser.get(path))
    path = consented(link(browser.post(start).text))
    assert "gave the authorization" in said(browser, browser.get(path))
    assert unknown in said(browser, browser.get(path))
    browser.post(start)
    [key] = connection().keys("waybill:authorization:*")
    assert 0 < connection().ttl(key) <= 1800


def test_a_known_store_gets_a_new_year(browser: Browser, known_store: Store, olga: Actor) -> None:
    """A practice store needs no application id; its seller id stays."""
    lasting = [setting.name for setting in CONNECTION.declared(known_store) if setting.lasts_days]
    assert lasting == ["client_secret", "refresh_token"]
    with unit_of_work():
        known_store.practice = False
        old = (now().date() - timedelta(days=360)).isoformat()
        settings = {"application_id": APPLICATION, "draft": "no"}
        change(CONNECTION, settings, known_store, actor=olga)
        change(AGES, {"refresh_token": old}, known_store, actor=olga)
    before = values(known_store)
    url = link(browser.post(f"/stores/{known_store.id}/authorize").text)
    assert "version" not in parse_qs(urlsplit(url).query)
    assert "gave the authorization" in said(browser, browser.get(consented(url)))
    assert values(known_store) == before
    assert {age.name: age.days_left for age in ages_of(known_store)}["refresh_token"] >= 364


def test_what_goes_wrong_is_one_sentence_each_and_changes_nothing(
    browser: Browser, known_store: Store, amazon: PracticeClient
) -> None:
    def begun() -> str:
        return link(browser.post(f"/stores/{known_store.id}/authorize").text)

    before = values(known_store)
    assert "the consent was refused at Amazon" in said(browser, browser.get(consented(begun(), "", "deny")))
    another = said(browser, browser.get(consented(begun(), "na")))
    assert f"The seller {SELLERS['na']} gave consent, but this store belongs to the seller {SELLERS['eu']}." in another
    late = consented(begun())
    amazon.advance(301)
    assert "its code is valid for five minutes" in said(browser, browser.get(late))
    amazon.advance(-301)
    bare = consented(begun()).partition("&spapi")[0]
    assert "without an authorization" in said(browser, browser.get(bare))
    refused = consented(begun())
    amazon.fault("token", "secret_expired")
    assert "does not accept the client ID and secret" in said(browser, browser.get(refused))
    assert values(known_store) == before


def test_what_was_typed_for_a_new_store_outlives_a_consent_that_failed(
    browser: Browser, typed: dict[str, str], logged: Callable[[], str]
) -> None:
    url = link(browser.post("/stores/add/amazon/authorize", typed).text)
    answer = browser.get(consented(url, "", "deny"))
    assert answer.location == "/stores/add/amazon"
    page = unescape(browser.get(answer.location).text)
    assert all(f'value="{typed[name]}"' in page for name in ("name", "client_id", "application_id", "endpoint"))
    assert ("A value is stored. Leave this empty to keep it." in page, typed["client_secret"] in page) == (True, False)
    sealed = b"".join(connection().get(key) or b"" for key in connection().keys("waybill:typed:*"))
    assert sealed
    assert typed["client_secret"].encode() not in sealed

    without = typed | {"client_secret": "", "name": "Berlin 2"}
    moved = browser.post("/stores/add/amazon/authorize", without | {"token_endpoint": "http://127.0.0.1:9/auth"})
    assert (moved.status_code, "Enter a value." in moved.text, "A value is stored" in moved.text) == (422, True, False)
    again = browser.post("/stores/add/amazon/authorize", without)
    assert "Berlin 2 was added." in said(browser, browser.get(consented(link(again.text))))
    assert connection().keys("waybill:typed:*") == []
    assert typed["client_id"] not in browser.get("/stores/add/amazon").text
    [store] = db.session.scalars(select(Store))
    assert values(store)["client_secret"] == typed["client_secret"]
    assert typed["client_secret"] not in logged()


def test_the_way_back_from_the_consent_keeps_what_was_typed_in_its_own_session(
    browser: Browser, typed: dict[str, str], make_browser: Callable[..., Browser], olga: Actor
) -> None:
    page = browser.post("/stores/add/amazon/authorize", typed).text
    assert 'href="/stores/add/amazon"' in page
    assert typed["client_id"] in browser.get("/stores/add/amazon").text
    assert typed["client_id"] not in make_browser(olga).get("/stores/add/amazon").text
    [key] = connection().keys("waybill:typed:*")
    assert 0 < connection().ttl(key) <= 1800
    whole = {**typed, "client_secret": "", "refresh_token": REFRESH_TOKENS["eu"], "seller_id": SELLERS["eu"]}
    assert browser.post("/stores/add/amazon", whole).status_code == 302
    assert connection().keys("waybill:typed:*") == []


def test_a_seller_that_is_none_is_found_before_the_code_is_spent(
    browser: Browser, typed: dict[str, str], amazon: PracticeClient
) -> None:
    path = consented(link(browser.post("/stores/add/amazon/authorize", typed).text))
    answer = browser.get(path.replace(SELLERS["eu"], "a-seller"))
    assert "without an authorization" in said(browser, answer)
    assert amazon.calls("token") == []


def test_mistakes_are_said_before_anybody_leaves(browser: Browser, typed: dict[str, str], known_store: Store) -> None:
    for wrong, words in (
        ({"client_secret": "Atzr|x"}, "is a refresh token"),
        ({"name": "Known"}, "Another store has this name"),
        ({"application_id": "mine"}, "Enter an application ID that begins with amzn1.sp.solution."),
        ({"application_id": ""}, "can't start yet"),
    ):
        answer = browser.post("/stores/add/amazon/authorize", typed | wrong)
        assert answer.status_code in (409, 422)
        assert words in unescape(answer.text)
        assert not LINK.search(answer.text)


def test_the_practice_amazon_is_authorized_by_its_own_button(
    browser: Browser, desk: str, work: Callable[[], int]
) -> None:
    assert "Practice authorizing" in browser.get("/stores/add").text
    url = link(browser.post("/stores/add/amazon/practice/authorize").text)
    said(browser, browser.get(consented(url, "na")))
    work()
    [store] = db.session.scalars(select(Store))
    assert (store.practice, store.problem, len(store.marketplaces)) == (True, None, 2)
    again = browser.post("/stores/add/amazon/practice/authorize")
    assert again.location == f"/stores/{store.id}"
    assert "Practice Amazon is connected already." in said(browser, again)


def test_practice_is_authorized_only_where_it_leads_back_to(browser: Browser, desk: str, known_store: Store) -> None:
    """The practice Amazon sends nobody to another machine."""
    settings, button = f"/stores/{known_store.id}/settings", f'action="/stores/{known_store.id}/authorize"'
    name = browser.app.config["WAYBILL_COOKIE"]
    signed_in = browser.client.get_cookie(name)
    assert signed_in is not None
    for host, offered in (("localhost:8000", True), ("127.0.0.1:8000", True), ("desk.example", False)):
        browser.client.set_cookie(name, signed_in.value, domain=host.partition(":")[0])
        assert ("Practice authorizing" in browser.get("/stores/add", Host=host).text) is offered
        assert (button in browser.get(settings, Host=host).text) is offered
    assert browser.post("/stores/add/amazon/practice/authorize", Host="desk.example").status_code == 404


def test_who_signs_in_first_or_lacks_the_right_sees_no_code(
    stranger: Browser, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    path = "/stores/authorized?spapi_oauth_code=c0de&state=s7ate&selling_partner_id=A1"
    door = stranger.get(path)
    assert door.location == "/sign-in?next=/stores/authorized"
    forbidden = make_browser(make_user("packer", "Paul")).get(path)
    assert forbidden.status_code == 403
    for page in (door, forbidden):
        assert not {"c0de", "s7ate"} & set(re.findall(r"\w+", page.text + str(page.headers)))


@pytest.mark.parametrize(
    ("settings", "site"),
    [
        ({"region": "na"}, "https://sellercentral.amazon.com/"),
        ({"region": "eu"}, "https://sellercentral-europe.amazon.com/"),
        ({"region": "eu", "marketplaces": "FR, DE"}, "https://sellercentral.amazon.fr/"),
        ({"region": "fe"}, "https://sellercentral.amazon.co.jp/"),
        ({"endpoint": "https://sandbox.sellingpartnerapi-na.amazon.com"}, "https://sellercentral.amazon.com/"),
        ({"endpoint": "https://amazon.com.example/"}, "https://amazon.com.example/"),
    ],
)
def test_the_consent_is_asked_where_the_seller_sells(settings: dict[str, str], site: str) -> None:
    store = StoreAccess(1, {"application_id": APPLICATION, **settings})
    url = consent_url(store, "s", "https://desk.example/stores/authorized")
    assert url is not None
    assert url.startswith(f"{site}apps/authorize/consent?application_id={APPLICATION}&state=s&redirect_uri=https%3A")
    assert consent_url(StoreAccess(1, {"region": "na"}), "s", "b") is None
