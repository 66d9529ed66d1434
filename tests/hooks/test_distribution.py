"""A plugin as a package of its own: built as a wheel, installed beside the desk, used on a running desk."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from tests.supervisor.test_up import WITHIN, Desk, wait_until
from tools.bootstrap import find_pip

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]
PASSWORD = "Correct-Horse-7-Battery"
FORM_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "waybill-checking"
version = "1.2.0"

[project.entry-points."waybill.plugins"]
checking = "waybill_checking.plugin"

[tool.hatch.build.targets.wheel]
packages = ["src/waybill_checking"]
"""
PLUGIN = '''
"""Checked: a packer says that the goods were counted before the parcel is closed."""
from webapp.api import (
    ActionInput, Actor, EventWords, Order, OrderAction, Refusal, Setting, SettingsGroup, hookimpl, record,
    lazy_gettext as _l,
)

class NothingToCheck(Refusal):
    code = "nothing_to_check"
    sentence = _l("Nothing is left to pack.")

class CheckOrder(OrderAction):
    code, label, right, icon = "check", _l("Count the goods"), "orders.ship", "circle-check"

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None if order.unshipped else NothingToCheck()

    def perform(self, order: Order, data: ActionInput, actor: Actor) -> None:
        record(order, "checked", actor=actor, values={"units": order.unshipped})

@hookimpl
def register_order_actions() -> list[OrderAction]:
    return [CheckOrder()]

@hookimpl
def register_event_words() -> list[EventWords]:
    return [EventWords("checked", _l("Counted before packing: %(units)s units"))]

@hookimpl
def register_settings() -> list[SettingsGroup]:
    scales = Setting(name="checking_scales", label=_l("Scales at the packing table"), default=False)
    return [SettingsGroup("checking", _l("Counting"), [scales])]
'''
FRENCH = {
    "Nothing is left to pack.": "Il ne reste rien à emballer.",
    "Count the goods": "Compter les articles",
    "Counted before packing: %(units)s units": "Comptés avant l’emballage : %(units)s",
    "Scales at the packing table": "Balance à la table d’emballage",
    "Counting": "Comptage",
    "Orders": "Nothing of the desk may be replaced",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed plugin; nothing was downloaded for it."""
    project = tmp_path_factory.mktemp("waybill-checking")
    package = project / "src" / "waybill_checking"
    words = package / "translations" / "fr" / "LC_MESSAGES" / "messages.mo"
    words.parent.mkdir(parents=True)
    (project / "pyproject.toml").write_text(PROJECT)
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(PLUGIN)
    catalog = Catalog(locale="fr")
    for english, french in FRENCH.items():
        catalog.add(english, french)
    with words.open("wb") as file:
        write_mo(file, catalog)

    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"], project)
    [wheel] = (project / "dist").glob("*.whl")
    site = project / "site"
    install = [*find_pip(Path(sys.executable)), "install", "--no-index", "--no-deps", "--disable-pip-version-check"]
    run([*install, "--target", str(site), str(wheel)], project)
    return site


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def desk(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A running desk with the plugin on its path."""
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    running = Desk(tmp_path_factory.mktemp("desk"), PYTHONPATH=path)
    running.link = running.start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def owner(desk: Desk) -> Iterator[httpx.Client]:
    """The desk's owner, who reads French."""
    with httpx.Client(base_url=desk.facts["url"], timeout=WITHIN, trust_env=False, follow_redirects=True) as client:
        client.cookies.set("lang", "fr")
        token = FORM_TOKEN.findall(client.get(desk.link).text)[0]
        told = {"csrf_token": token, "email": "olga@desk.test", "name": "Olga", "password": PASSWORD}
        answer = client.post(desk.link, data=told)
        assert answer.status_code == 200, answer.text
        yield client


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def an_open_order(desk: Desk) -> str:
    def found() -> list[dict[str, Any]]:
        rows = desk.call("orders", "list", "--limit", 0, "--json").document
        return [row for row in rows if row["state"] == "processing" and row["fulfilled_by"] == "merchant"]

    wait_until(lambda: bool(found()))
    return str(found()[0]["number"])


def test_an_installed_plugin_is_at_work_on_a_running_desk(desk: Desk, owner: httpx.Client) -> None:
    plugins = text_of(owner.get("/plugins/").text)
    assert "Checking Chargé" in plugins
    assert "Checking waybill-checking" in plugins
    assert "Commandes" in plugins  # the plugin's translations of the desk's own sentences are ignored
    assert "Nothing of the desk may be replaced" not in plugins

    number = an_open_order(desk)
    assert "Compter les articles" in text_of(owner.get(f"/orders/{number}").text)
    assert "Balance à la table d’emballage" in text_of(owner.get("/settings/").text)

    done = desk.call("orders", "act", number, "check", "--data", "-", "--json", stdin=json.dumps({}))
    assert done.code == 0, done.err
    timeline = text_of(owner.get(f"/orders/{number}", params={"tab": "timeline"}).text)
    assert "Comptés avant l’emballage : " in timeline
