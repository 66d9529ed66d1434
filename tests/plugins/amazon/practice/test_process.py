"""The practice Amazon as a process of its own, over real HTTP: it starts fast, survives a kill, and can hang up."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from plugins.amazon.practice import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKENS, Practice, PracticeServer
from plugins.amazon.practice.practice import OtherWorld
from tests.plugins.amazon.practice.seller import confirmation


def signed_in(server: PracticeServer) -> httpx.Client:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": REFRESH_TOKENS["na"],
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    token = httpx.post(server.token_url, data=form).json()["access_token"]
    return httpx.Client(base_url=server.url, headers={"x-amz-access-token": token})


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    server = PracticeServer(tmp_path, process=True, orders=30, settings={"rates": 100, "edge": 0}).start()
    try:
        order = server.client.place()
        body = confirmation(order, int(time.time() * 1000))
        path = f"/orders/v0/orders/{order['order_id']}/shipmentConfirmation"
        with signed_in(server) as http:
            server.client.fault("confirmShipment", "drop", when="after")
            with pytest.raises(httpx.RemoteProtocolError):
                http.post(path, json=body)
            server.kill()
            server.start()
            assert http.post(path, json=body).status_code == 204
        assert server.client.effects(order["order_id"]) == 1
        assert server.client.order(order["order_id"])["status"] == "SHIPPED"
        assert [call["status"] for call in server.client.calls("confirmShipment")] == [None, 204]
    finally:
        server.stop()


def test_of_many_confirmations_at_once_one_takes_the_units(tmp_path: Path) -> None:
    with PracticeServer(tmp_path, orders=0, settings={"rates": 1000}) as server:
        order = server.client.place(quantity=2)
        path = f"/orders/v0/orders/{order['order_id']}/shipmentConfirmation"
        now_ms = int(time.time() * 1000)
        bodies = [confirmation(order, now_ms, packageReferenceId=str(number)) for number in range(1, 9)]
        with signed_in(server) as http, ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda body: http.post(path, json=body).status_code, bodies))

        assert sorted(statuses) == [204] + [400] * 7
        assert server.client.effects(order["order_id"]) == 1
        assert server.client.order(order["order_id"])["items"][0]["left"] == 0


def test_it_runs_in_a_thread_and_its_client_reaches_everything(tmp_path: Path) -> None:
    with PracticeServer(tmp_path, orders=10) as server:
        client = server.client
        orders = client.place_many(2, marketplace="DE", quantity=3)
        number = orders[0]["order_id"]
        assert client.ship_elsewhere(number, part=True, carrier="DHL", tracking="T")["status"] == "PARTIALLY_SHIPPED"
        assert client.deliver(number)["packages"][0]["status"] == "DELIVERED"
        assert client.change_quantity(number, 1)["status"] == "SHIPPED"
        other = orders[1]["order_id"]
        assert client.request_cancel(other)["order"]["orderItems"][0]["cancellation"]
        assert "cancellation" not in client.withdraw_request(other)["order"]["orderItems"][0]
        assert client.set_status_word(other, "FUTURE")["status"] == "FUTURE"
        assert client.set_status_word(other, None)["status"] == "UNSHIPPED"
        assert client.touch(other)["status"] == "UNSHIPPED"
        item = client.order(other)["items"][0]["order_item_id"]
        assert client.cancel_units(other, {item: 1})["items"][0]["canceled"] == 1
        assert client.cancel(other)["status"] == "CANCELLED"
        pending = client.place(status="PENDING")["order_id"]
        assert client.verify(pending)["status"] == "UNSHIPPED"
        assert client.settings(edge=1)["edge"] == 1
        client.advance(5)
        client.fill_buckets()
        client.empty_buckets()
        client.revoke("eu")
        client.restore("eu")
        client.revoke()
        client.fault("*", "slow", seconds=0)
        assert [fault["kind"] for fault in client.faults()] == ["slow"]
        client.mark_next_feed("POST_PAYMENT_ADJUSTMENT_DATA", "slow_queue", seconds=1)
        client.mend()
        feed = client.foreign_feed("POST_PAYMENT_ADJUSTMENT_DATA", region="eu", messages=2)
        assert [(one["feedId"], one["foreign"], one["mark"]) for one in client.feeds()] == [
            (feed["feedId"], True, None)
        ]
        assert client.all_told() == []
        client.reset()
        with pytest.raises(httpx.HTTPStatusError):
            client.order(number)
        with pytest.raises(httpx.HTTPStatusError):
            client.place(marketplace="XX")


def test_a_data_directory_keeps_its_world(tmp_path: Path) -> None:
    Practice(tmp_path, seed=7, orders=30).close()

    Practice(tmp_path, seed=7).close()
    with pytest.raises(OtherWorld, match="seed 7"):
        Practice(tmp_path, seed=8)
    said = subprocess.run(
        [sys.executable, "-m", "plugins.amazon.practice", "serve", "--data-dir", tmp_path, "--orders", "31"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 1
    assert said.stderr.startswith("This data directory holds a practice Amazon with orders 30")
