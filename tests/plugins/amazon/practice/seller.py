"""A seller who calls the practice Amazon as a desk would, and a clock that tests move."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from flask import Flask
from werkzeug.test import TestResponse

from plugins.amazon.practice import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKENS, Practice
from plugins.amazon.practice.answers import SETS

SCHEMAS = Path(__file__).parents[1] / "schemas"
START = datetime(2026, 11, 23, 9, tzinfo=UTC).timestamp()
ORDERS = "/orders/2026-01-01/orders"


class Clock:
    """A clock that only tests advance."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Seller:
    """Calls the practice Amazon as a desk would and checks each request and answer against Amazon's model."""

    def __init__(self, app: Flask, region: str = "na", host: str = "") -> None:
        self.practice: Practice = app.extensions["practice"]
        self.http = app.test_client()
        self.region, self.host = region, host
        self.endless = True  # buckets are filled before each call, since the clock does not run
        self.token = self.sign_in().get_json()["access_token"]

    def sign_in(self, **changes: str) -> TestResponse:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": REFRESH_TOKENS[self.region],
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        }
        return self.http.post("/auth/o2/token", data=form | changes)

    def get(self, path: str, **params: Any) -> TestResponse:
        if self.endless:
            self.practice.throttle.refill()
        headers = {"x-amz-access-token": self.token}
        return self.http.get(self.host + path, query_string=params, headers=headers)

    def search(self, **params: Any) -> TestResponse:
        answer = self.get(ORDERS, **params)
        if answer.status_code == 200:
            lists = ("fulfillmentStatuses", "marketplaceIds", "fulfilledBy", "includedData")
            asked = {name: value.split(",") if name in lists else value for name, value in params.items()}
            valid("orders_2026-01-01", "searchOrdersQuery", asked)
            valid("orders_2026-01-01", "SearchOrdersResponse", answer.get_json())
        return answer

    def pages(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        token: dict[str, str] = {}
        while True:
            answer = self.search(**params, **token)
            assert answer.status_code == 200, answer.text
            yield answer.get_json()["orders"]
            if "pagination" not in answer.get_json():
                return
            token = {"paginationToken": answer.get_json()["pagination"]["nextToken"]}

    def all(self, **params: Any) -> list[dict[str, Any]]:
        return [order for page in self.pages(**params) for order in page]

    def order(self, order_id: str, sets: str = ",".join(SETS)) -> dict[str, Any]:
        answer = self.get(f"{ORDERS}/{order_id}", includedData=sets)
        assert answer.status_code == 200, answer.text
        valid("orders_2026-01-01", "GetOrderResponse", answer.get_json())
        order: dict[str, Any] = answer.get_json()["order"]
        return order

    def confirm(self, order: dict[str, Any], *, valid_form: bool = True, **changes: Any) -> TestResponse:
        """Confirm everything that is left of a placed order, with changes to the package or the whole body."""
        body = confirmation(order, self.practice.now_ms(), **changes)
        if valid_form:
            valid("orders_v0", "ConfirmShipmentRequest", body)
        answer = self.http.post(
            f"{self.host}/orders/v0/orders/{order['order_id']}/shipmentConfirmation",
            json=body,
            headers={"x-amz-access-token": self.token},
        )
        if answer.status_code != 204:
            valid("orders_v0", "ConfirmShipmentErrorResponse", answer.get_json())
        return answer

    def place(self, **wish: Any) -> dict[str, Any]:
        answer = self.http.post("/practice/orders", json=wish)
        assert answer.status_code == 201, answer.text
        placed: dict[str, Any] = answer.get_json()["orders"][0]
        return placed

    def happen(self, order: dict[str, Any], act: str, **data: Any) -> dict[str, Any]:
        answer = self.http.post(f"/practice/orders/{order['order_id']}/{act}", json=data)
        assert answer.status_code == 200, answer.text
        changed: dict[str, Any] = answer.get_json()
        return changed

    def fault(self, operation: str, kind: str | int, **options: Any) -> None:
        body = {"operation": operation, "kind": kind} | options
        assert self.http.post("/practice/faults", json=body).status_code == 201


def confirmation(order: dict[str, Any], now_ms: int, **changes: Any) -> dict[str, Any]:
    """The body that confirms what is left of an order; the marketplace may be changed, too."""
    items = [{"orderItemId": item["order_item_id"], "quantity": item["left"]} for item in order["items"]]
    package = {
        "packageReferenceId": "1",
        "carrierCode": "UPS",
        "trackingNumber": "1Z999AA10123456784",
        "shipDate": datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "orderItems": items,
    }
    marketplace = changes.pop("marketplaceId", order["marketplace_id"])
    package = {key: value for key, value in (package | changes).items() if value is not None}
    return {"marketplaceId": marketplace, "packageDetail": package}


def valid(model: str, name: str, document: Any) -> None:
    """Check a document against a definition of Amazon's model."""
    _validator(model, name).validate(document)


@cache
def _validator(model: str, name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{model}.json").read_text())
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})
