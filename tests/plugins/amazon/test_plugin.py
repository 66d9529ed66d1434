"""What the plugin registers, and the facts that it brings along."""

import subprocess
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from flask import Flask

from plugins.amazon import plugin
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.client import CONFIRM_SHIPMENT, GET_ORDER, PARTICIPATIONS, SEARCH_ORDERS
from plugins.amazon.marketplaces import DOMAINS, MARKETPLACES, chosen
from plugins.amazon.practice.server import answers
from tests.ports import unused_port
from webapp.api import StoreAccess, decimals
from webapp.orders.badges import badges
from webapp.search.registered import query_keys, word_sources

ROOT = Path(__file__).resolve().parents[3]


def test_one_channel_and_one_process_are_registered(tmp_path: Path) -> None:
    [channel] = plugin.register_channels()
    [process] = plugin.register_processes()

    assert isinstance(channel, AmazonChannel)
    assert channel.practice_settings("http://127.0.0.1:9400") == plugin.practice_settings("http://127.0.0.1:9400")
    assert AmazonChannel().practice_settings("http://127.0.0.1:9400") is None  # by itself it knows of no practice
    assert process.variables("http://127.0.0.1:9400", 9526, 9644) == {
        "WAYBILL_PRACTICE_URL": "http://127.0.0.1:9400",
        "WAYBILL_PRACTICE_SMTP": "smtp://desk%40practice.example@127.0.0.1:9526",
        "WAYBILL_PRACTICE_IMAP": "imap://desk%40practice.example:practice-mailbox@127.0.0.1:9644",
    }
    assert process.argv(tmp_path, 9401, 9526, 9644)[:3] == ["-m", "plugins.amazon.practice", "serve"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_its_product_code_and_its_programs_stand_where_merchants_know_them(app: Flask) -> None:
    keys = query_keys()
    assert {code: str(keys[code].label) for code in ("asin", "prime", "business")} == {
        "asin": "ASIN", "prime": "Prime", "business": "Business",
    }  # fmt: skip
    assert {"premium", "label-required"} & keys.keys() == set()
    codes = list(keys)
    assert codes[codes.index("sku") :][:3] == ["sku", "asin", "title"]
    assert codes[codes.index("archived") :][:4] == ["archived", "prime", "business", "gift"]
    shown = [code for code in badges() if code not in ("cancel_requested", "attention")]
    assert shown[:6] == ["on_hold", "prime", "premium", "business", "replacement", "gift"]
    assert [str(flag.label) for flag in AmazonChannel.flags if flag.row] == ["Prime", "Premium", "Business"]
    assert str(word_sources()["listing"].label) == "SKU, ASIN, title"


def test_the_practice_amazon_starts_as_registered_and_again(tmp_path: Path) -> None:
    [process] = plugin.register_processes()
    port, *mail_ports = unused_port(), unused_port(), unused_port()
    url = f"http://127.0.0.1:{port}"
    for _ in range(2):  # its world is founded at the first start, and stays
        started = subprocess.Popen([sys.executable, *process.argv(tmp_path, port, *mail_ports)], cwd=ROOT)
        try:
            deadline = time.monotonic() + 60
            while not answers(url) and started.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            assert httpx.get(url + process.ready_path, trust_env=False).status_code == 200
            settings = httpx.get(url + "/practice/settings", trust_env=False).json()
            servers = httpx.get(url + "/practice/mail/servers", trust_env=False).json()
        finally:
            started.terminate()
            started.wait(60)
        assert [servers["smtp"]["port"], servers["imap"]["port"]] == mail_ports
        assert (settings["rates"], settings["edge"], settings["arrivals"]) == (60, 2, plugin.ARRIVALS)


def test_marketplaces_are_whole() -> None:
    assert len(MARKETPLACES) == 23
    for marketplace in MARKETPLACES.values():
        ZoneInfo(marketplace.zone)
        assert decimals(marketplace.currency) in (0, 2)
        assert DOMAINS[marketplace.id].startswith("amazon.")
    assert [one.country for one in chosen("uk,DE, gb")] == ["GB", "DE"]
    assert chosen("") == []


@pytest.mark.parametrize("marketplace", [*MARKETPLACES, "A-NEW-ONE"])
def test_every_marketplace_has_carriers_and_a_way_out(marketplace: str, channel: AmazonChannel) -> None:
    *known, other = channel.carriers(marketplace)
    assert known
    assert (other.code, other.needs_name) == ("Other", True)
    assert len({carrier.code for carrier in known}) == len(known)
    for carrier in known:
        assert not carrier.needs_name
        if carrier.tracking_url:
            assert httpx.URL(carrier.tracking_url.format(number="1Z%2F9")).scheme == "https"


def test_an_order_is_found_on_amazons_own_site(channel: AmazonChannel) -> None:
    real, practice = StoreAccess(1, {}), StoreAccess(1, {}, practice=True)
    url = channel.order_url(real, "302-0000001-0000002", "A1PA6795UKMFR9")
    assert url == "https://sellercentral.amazon.de/orders-v3/order/302-0000001-0000002"
    assert channel.order_url(practice, "302-0000001-0000002", "A1PA6795UKMFR9") is None
    assert channel.order_url(real, "S01-0000001-0000002", "") is None


def test_practice_stores_are_read_every_few_seconds(channel: AmazonChannel) -> None:
    assert channel.poll_interval(StoreAccess(1, {}, practice=True)) == 5
    assert channel.poll_interval(StoreAccess(1, {})) == 300


def test_the_published_plan() -> None:
    plans = {one.name: (one.plan.rate, one.plan.burst) for one in (SEARCH_ORDERS, GET_ORDER, CONFIRM_SHIPMENT)}
    assert plans == {"searchOrders": (0.0056, 20), "getOrder": (0.5, 30), "confirmShipment": (2, 10)}
    assert (PARTICIPATIONS.plan.rate, PARTICIPATIONS.plan.burst) == (0.016, 15)
    assert CONFIRM_SHIPMENT.tries == 1
