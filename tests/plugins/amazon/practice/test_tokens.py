"""Login with Amazon, and what a token opens."""

from collections.abc import Callable

import pytest
from flask import Flask

from plugins.amazon.practice import AUTHORIZATION_CODES, REFRESH_TOKENS
from tests.plugins.amazon.practice.seller import ORDERS, Clock, Seller


def test_a_refresh_token_opens_the_orders_of_its_region(seller: Seller) -> None:
    answer = seller.sign_in()

    assert answer.get_json()["token_type"] == "bearer"
    assert answer.get_json()["expires_in"] == 3600
    assert seller.search(createdAfter="2026-10-01T00:00:00Z").status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"refresh_token": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "client_credentials", "scope": "wrong"}, 400, "invalid_scope"),
    ],
)
def test_wrong_credentials_are_refused_as_amazon_does(
    seller: Seller, changes: dict[str, str], status: int, error: str
) -> None:
    answer = seller.sign_in(**changes)

    assert (answer.status_code, answer.get_json()["error"]) == (status, error)


def test_the_code_of_a_first_sign_in_gives_the_refresh_token(seller: Seller) -> None:
    answer = seller.sign_in(grant_type="authorization_code", code=AUTHORIZATION_CODES["eu"])

    assert answer.get_json()["refresh_token"] == REFRESH_TOKENS["eu"]


def test_a_grantless_token_opens_no_orders(seller: Seller) -> None:
    answer = seller.sign_in(grant_type="client_credentials", scope="sellingpartnerapi::notifications")
    seller.token = answer.get_json()["access_token"]

    assert seller.search(createdAfter="2026-10-01T00:00:00Z").status_code == 403


def test_an_access_token_expires(seller: Seller, clock: Clock) -> None:
    clock.now += 3601

    answer = seller.search(createdAfter="2026-10-01T00:00:00Z")

    assert answer.status_code == 403
    assert answer.get_json()["errors"][0]["details"] == "The access token you provided has expired."


@pytest.mark.parametrize("token", ["", "Atza|made-up", "Atza|", "é"])
def test_a_made_up_access_token_is_refused(seller: Seller, token: str) -> None:
    seller.token = token

    assert seller.search(createdAfter="2026-10-01T00:00:00Z").status_code == 403


def test_a_seller_takes_the_authorization_back_and_gives_it_again(seller: Seller) -> None:
    seller.http.post("/practice/tokens/revoke", json={"region": "na"})

    assert seller.sign_in().get_json()["error"] == "invalid_grant"
    assert seller.search(createdAfter="2026-10-01T00:00:00Z").status_code == 403

    seller.http.post("/practice/tokens/restore", json={"region": "na"})
    assert seller.sign_in().status_code == 200


def test_access_tokens_end_while_the_refresh_token_stays(seller: Seller) -> None:
    seller.http.post("/practice/tokens/revoke")

    assert seller.get(f"{ORDERS}/111-0000000-0000000").status_code == 403
    assert seller.sign_in().status_code == 200


def test_another_regions_host_denies_access(app: Flask) -> None:
    assert Seller(app, "na", host="/eu").search(createdAfter="2026-10-01T00:00:00Z").status_code == 403
    assert Seller(app, "na", host="/na").search(createdAfter="2026-10-01T00:00:00Z").status_code == 200


def test_tokens_survive_a_restart(make_app: Callable[..., Flask]) -> None:
    before = Seller(make_app(orders=20))
    after = Seller(make_app())
    after.token = before.token

    assert after.search(createdAfter="2026-10-01T00:00:00Z").status_code == 200


def test_the_record_of_calls_holds_no_secret(seller: Seller) -> None:
    seller.search(createdAfter="2026-10-01T00:00:00Z", maxResultsPerPage=1)

    record = seller.http.get("/practice/calls").text

    assert '"createdAfter"' in record
    for secret in (seller.token, REFRESH_TOKENS["na"], "practice-secret"):
        assert secret not in record
