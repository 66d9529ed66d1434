"""What the browser is given: vendored files are the listed ones, and templates and scripts keep to the strict CSP."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from flask import Flask, g, render_template

from tests.ui.conftest import Browser
from webapp.ui.frame.unscripted import whole_url

ROOT = Path(__file__).resolve().parents[3]
UI = ROOT / "webapp" / "ui"
STATIC, TEMPLATES = UI / "static", UI / "templates"
LISTED = [line.split("  ", 1) for line in (STATIC / "vendor" / "SHA384SUMS").read_text().splitlines()]
SUMS = {name: digest for digest, name in LISTED}
SYMBOLS = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text()))
WORDS = {".py", ".html", ".js", ".md"}
ALL_TEMPLATES = sorted(TEMPLATES.rglob("*.html"))


@pytest.mark.parametrize("name", sorted(SUMS))
def test_a_vendored_file_is_the_listed_one(name: str) -> None:
    digest = hashlib.sha384((STATIC / name).read_bytes()).digest()

    assert "sha384-" + base64.b64encode(digest).decode() == SUMS[name]


def test_every_vendored_file_is_listed_and_every_package_brings_its_license() -> None:
    files = {path.relative_to(STATIC).as_posix() for path in (STATIC / "vendor").iterdir()} - {"vendor/SHA384SUMS"}

    assert files == set(SUMS) - {"icons.svg"}
    assert {name.split(".")[0] for name in files if name.endswith(".LICENSE.txt")} == {
        "vendor/htmx",
        "vendor/idiomorph",
        "vendor/inter",
        "vendor/tabler-icons",
    }


@pytest.mark.parametrize("path", ALL_TEMPLATES, ids=lambda path: path.relative_to(TEMPLATES).as_posix())
def test_a_template_has_no_inline_style_or_script_and_names_known_icons(path: Path) -> None:
    source = path.read_text()

    assert not re.search(r"\sstyle=|<style|\son\w+=|hx-on|javascript:", source)
    assert not re.search(r"<script(?![^>]*\ssrc=)", source)
    assert set(re.findall(r"\bicon\(\"([\w-]+)\"", source)) <= SYMBOLS


def test_every_icon_is_named_by_a_page_a_plugin_or_the_guide() -> None:
    files = [path for folder in (UI.parent, ROOT / "plugins") for path in folder.rglob("*.*") if path.suffix in WORDS]
    named = {name for path in files for name in re.findall(r"[\"#]([\w-]+)\"", path.read_text())}

    assert SYMBOLS - named == set()


@pytest.mark.parametrize("path", ALL_TEMPLATES, ids=lambda path: path.relative_to(TEMPLATES).as_posix())
def test_every_form_that_posts_carries_the_csrf_token(path: Path) -> None:
    for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", path.read_text(), re.S):
        assert "csrf()" in form or "csrf_token()" in form


def test_every_url_in_the_stylesheet_is_a_file_of_ours() -> None:
    for url in re.findall(r"url\(\"?([^\")]+)\"?\)", (STATIC / "waybill.css").read_text()):
        assert (STATIC / url).is_file()


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.css")), ids=lambda path: path.name)
def test_sizes_of_type_and_gaps_are_of_the_one_scale(path: Path) -> None:
    if path.name == "print.css":  # paper has its own measures
        return
    rules = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    told = re.findall(r"(?<![\w-])((?:padding|margin|gap|row-gap|column-gap|font)[\w-]*: [^;}]+)", rules)

    of_their_own = [
        rule for rule in told if re.search(r"\d(?:px|r?em|mm)", rule.replace("-1px", ""))
    ]  # -1px: on a line

    assert of_their_own == []


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_a_script_needs_no_eval(path: Path) -> None:
    assert not re.search(r"\beval\(|new Function|innerHTML|\.style\b", path.read_text())


def test_a_page_loads_few_scripts_and_each_of_them_once(browser: Browser) -> None:
    page = browser.get("/orders/").text
    scripts = re.findall(r'<script [^>]*src="([^"]+)"', page)
    assert len(scripts) < 10

    for script in scripts:
        source = browser.get(script).text
        imported = re.findall(r'^import .* from "\./([^"]+)"', source, re.M)
        # a browser loads and runs a module once for each address that it has
        assert {f"/static/{address}" for address in imported} <= set(scripts), script


def test_addresses_in_templates_know_where_the_desk_is_mounted(app: Flask) -> None:
    for root in ("", "/desk", ""):
        with app.test_request_context("/", environ_overrides={"SCRIPT_NAME": root}):
            url_for = app.jinja_env.globals["url_for"]
            assert url_for("orders.index") == f"{root}/orders/"  # type: ignore[operator]
            assert url_for("static", filename="icons.svg").startswith(f"{root}/static/icons.svg?v=")  # type: ignore[operator]
            assert url_for("orders.index", q="hold") == f"{root}/orders/?q=hold"  # type: ignore[operator]


def test_scripts_and_pages_drawn_whole_know_it_too(app: Flask) -> None:
    for root in ("", "/desk"):
        with app.test_request_context("/orders/?q=hold", environ_overrides={"SCRIPT_NAME": root}):
            assert whole_url() == f"{root}/orders/?q=hold&whole=1"
            assert f'data-url="{root}/palette/"' in render_template("frame/palette/_dialog.html")
        with app.test_request_context("/dashboard/", environ_overrides={"SCRIPT_NAME": root}):
            assert whole_url() == f"{root}/dashboard/?whole=1"
    for path in STATIC.glob("*.js"):
        assert not re.search(r"""["'`]/[a-z]+/""", path.read_text()), path.name


def test_words_in_templates_are_escaped_and_in_the_readers_language(app: Flask) -> None:
    with app.test_request_context("/"):
        for language, word in (("en", "Orders"), ("fr", "Commandes"), ("en", "Orders")):
            g.locale = language
            template = app.jinja_env.from_string("{{ _('Orders') }} {{ _('%(name)s: %(text)s', name='<b>', text=1) }}")
            assert template.render().startswith(f"{word} &lt;b&gt;")
