"""The consent page: sellers authorize an application, or don't, and are sent back with a code that lasts."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from plugins.amazon.practice import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKENS, SELLERS, PracticeServer

BACK = "http://127.0.0.1:8000/stores/authorized"


@pytest.fixture
def amazon(tmp_path: Path) -> Iterator[PracticeServer]:
    with PracticeServer(tmp_path, orders=1) as server:
        yield server


def consent(amazon: PracticeServer, **asked: str) -> httpx.Response:
    given = {"application_id": "amzn1.sp.solution.practice", "state": "s+1", "redirect_uri": BACK} | asked
    return httpx.get(f"{amazon.url}/apps/authorize/consent", params=given)


def answer(response: httpx.Response) -> dict[str, list[str]]:
    assert response.status_code == 302
    assert response.headers["location"].startswith(f"{BACK}?")
    return parse_qs(urlsplit(response.headers["location"]).query)


def exchanged(amazon: PracticeServer, code: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    return httpx.post(amazon.token_url, data=form)


def confirmed(amazon: PracticeServer, region: str = "eu") -> str:
    asked = {"state": "s+1", "redirect_uri": BACK, "region": region}
    given = answer(httpx.get(f"{amazon.url}/apps/authorize/confirm", params=asked))
    assert (given["state"], given["selling_partner_id"]) == (["s+1"], [SELLERS[region]])
    return given["spapi_oauth_code"][0]


def test_a_seller_consents_and_the_code_works_once(amazon: PracticeServer) -> None:
    asked = consent(amazon, version="beta")
    assert asked.headers["cache-control"] == "no-store"  # its links hold the state
    page = asked.text
    assert all(seller in page for seller in SELLERS.values())
    assert "The application is a draft." in page
    code = confirmed(amazon)
    assert exchanged(amazon, code).json()["refresh_token"] == REFRESH_TOKENS["eu"]
    again = exchanged(amazon, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_a_code_lasts_five_minutes(amazon: PracticeServer) -> None:
    code = confirmed(amazon)
    amazon.client.advance(301)
    assert exchanged(amazon, code).json()["error"] == "invalid_grant"


def test_a_seller_refuses_and_a_new_consent_undoes_a_withdrawal(amazon: PracticeServer) -> None:
    denied = httpx.get(f"{amazon.url}/apps/authorize/deny", params={"state": "s", "redirect_uri": BACK})
    assert answer(denied) == {"state": ["s"], "error": ["access_denied"]}
    amazon.client.revoke("na")
    assert exchanged(amazon, confirmed(amazon, "na")).status_code == 200
    assert amazon.practice is not None
    assert not amazon.practice.store.is_revoked(REFRESH_TOKENS["na"])


@pytest.mark.parametrize("wrong", [{"redirect_uri": "https://evil.example/"}, {"state": ""}, {"application_id": ""}])
def test_nobody_is_sent_elsewhere(amazon: PracticeServer, wrong: dict[str, str]) -> None:
    assert consent(amazon, **wrong).status_code == 400
    asked = {"redirect_uri": "https://evil.example/", "region": "na"}
    for path in ("confirm", "deny"):
        assert httpx.get(f"{amazon.url}/apps/authorize/{path}", params=asked).status_code == 400
