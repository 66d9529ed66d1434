"""Takes the pictures of the guides: `python tools/bootstrap.py shell python -m tools.pictures` (needs a Chromium).

Each picture is a page of a desk that is started here, in a temporary folder, with the practice Amazon as its only
marketplace: it contains nobody's data, and the orders are always the same. Run it after the pages changed, and look at
what it wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Locator, Page, ViewportSize, expect, sync_playwright

from tools.small_png import small

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
LARGEST = 150_000  # bytes; a page of the guides shows several
DESKTOP, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NUMBER = re.compile(r"\d{3}-\d{7}-\d{7}")  # Amazon's
LINK = re.compile(r"http://\S+/welcome/\S+")
STALLED = 300.0  # seconds without any progress, after which it gives up
ANSWER_WITHIN = 120_000.0  # milliseconds for one page or part; a busy machine is slow
TRIES = 5
FULL = 50  # rows of a page of the list
STORES = 3  # of the practice Amazon
PASSWORD = "Practice-Desk-2026"  # noqa: S105  # of a desk that lives for a minute


@contextmanager
def desk() -> Iterator[tuple[str, str]]:
    """A new desk; yields the link by which its owner is set up, and the address of its practice Amazon."""
    with tempfile.TemporaryDirectory(prefix="waybill-pictures-") as folder:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")}
        variables |= {"WAYBILL_DATA_DIR": folder, "WAYBILL_PORT": str(_free_port())}
        for name in ("DATABASE_URL", "REDIS_URL"):
            variables.pop(name, None)
        command = [sys.executable, "-m", "webapp", "up"]
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)
        try:
            link = _link(process)
            yield link, json.loads((Path(folder) / "desk.json").read_text())["practice_url"]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _link(process: subprocess.Popen[str]) -> str:
    """The link that the desk prints once it is up; `up` itself gives up on a start that makes no progress."""
    for line in process.stdout or ():
        if found := LINK.search(line):
            return found[0]
    raise SystemExit("The desk did not start.")


def await_on(page: Page, wanted: Locator, *, progress: Locator, count: int = 1) -> None:
    """Load the page again until `count` of `wanted` are on it; give up when `progress` has not changed for long."""
    before, deadline = "", time.monotonic() + STALLED
    while wanted.count() < count:
        if (now := "".join(progress.all_inner_texts())) != before:
            before, deadline = now, time.monotonic() + STALLED
        if time.monotonic() > deadline:
            raise SystemExit(f"Nothing has changed for {STALLED:.0f} s at {page.url}: {before}")
        page.wait_for_timeout(1000)
        page.reload()


def keep(page: Page, name: str) -> None:
    """Save a picture of the page, once nothing on it changes any more."""
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(400)
    path = PICTURES / f"{name}.png"
    path.write_bytes(small(page.screenshot(animations="disabled", caret="hide")))
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size // 1000} kB")
    if size > LARGEST:
        raise SystemExit(f"{path.name} is larger than {LARGEST // 1000} kB.")


def take_all(page: Page, link: str, practice_url: str) -> None:
    """Set the desk up and follow the merchants' guide."""
    page.goto(link)
    page.get_by_label("E-mail").fill("mia@example.com")
    page.get_by_label("Your name").fill("Mia")
    page.get_by_label("Password").fill(PASSWORD)
    keep(page, "set-up")
    page.get_by_role("button", name="Open the desk").click()
    _wait_for_orders(page)
    keep(page, "orders")
    _find(page)
    _hold_many(page)
    _ship(page)
    _ship_too_late(page, practice_url)
    _cancel(page)
    _outbox(page)
    _packages(page)
    _money(page)
    _messages(page, practice_url)
    _review(page)
    _stores(page)
    _dashboard(page)
    _people(page)
    _look_otherwise(page)
    page.goto(practice_url)
    keep(page, "practice")
    page.goto(f"{practice_url}/practice/mail")
    keep(page, "practice-mail")


def _base(page: Page) -> str:
    return "/".join(page.url.split("/")[:3])


def _list(page: Page, query: str = "") -> None:
    page.goto(f"{_base(page)}/orders/?q={quote(query)}" if query else f"{_base(page)}/orders/")
    expect(page.locator("#list tbody tr").first).to_be_visible()


def _act(page: Page, code: str) -> Locator:
    """What chooses an act of the order; none while the act is refused."""
    return page.locator(f"#order-actions a#offer-{code}")


def _choose(page: Page, code: str) -> None:
    """Choose an act of the order, which is a button or stands in the menu of the others."""
    act = _act(page, code)
    expect(act).to_be_attached()
    if not act.is_visible():
        page.locator("#order-actions .offers summary").click()
    act.click()


def _wait_for_orders(page: Page) -> None:
    """Wait until every store has been read once, and open the list, which is full then."""
    page.goto(f"{_base(page)}/stores/")
    statuses = page.locator("[id^=store-][id$=-status]")
    await_on(page, statuses.filter(has_text="Last read"), progress=statuses, count=STORES)
    _list(page)
    expect(page.locator("#list tbody tr")).to_have_count(FULL)


def _find(page: Page) -> None:
    """The list narrowed by filters, and its acts by name."""
    _list(page, "state:processing fulfilled-by:merchant country:DE,FR,GB total:>20 -hold")
    page.get_by_role("link", name="Filters").click()
    expect(page.get_by_role("button", name="Apply filters")).to_be_visible()
    keep(page, "filters")
    _list(page)
    page.keyboard.press("Control+k")
    page.keyboard.type("st")
    expect(page.locator("#palette li").first).to_be_visible()
    keep(page, "palette")
    page.keyboard.press("Escape")


def _hold_many(page: Page) -> None:
    """Hold several orders at once, some of which can't be held, and show the results."""
    _list(page, "placed:-3d country:JP")
    page.locator("#list thead input[type=checkbox]").check()
    page.locator(".bulk-bar summary").click()
    page.locator(".bulk-bar").get_by_role("button", name="Hold", exact=True).click()
    page.locator("[name=reason]").fill("Waiting for the new boxes")
    page.locator("main form button.main").click()
    expect(page.locator(".run-strip")).to_contain_text("refused")
    page.locator(".run-strip a").first.click()
    await_on(page, page.locator("main .head .pill").get_by_text("Done", exact=True), progress=page.locator("main"))
    expect(page.locator("#run-results .pill").first).to_be_visible()
    keep(page, "bulk")


def _ship(page: Page) -> None:
    """Ship an order of several units, wait until Amazon shows the update, and show the timeline."""
    _fill_ship_form(page, "DE", "JD014600003123456789")
    keep(page, "ship")
    page.locator("#order-actions").get_by_role("button", name="Ship", exact=True).click()
    expect(_update(page)).to_be_visible()
    _await_update(page, "Confirmed")
    keep(page, "order")
    page.get_by_role("link", name="Timeline", exact=True).click()
    expect(page.locator(".timeline > li").nth(2)).to_be_visible()
    keep(page, "timeline")
    page.goto(f"{page.url.split('?')[0]}?tab=shipments")
    page.locator("[id^=offer-correct_shipment]").first.click()
    expect(page.get_by_label("Tracking number")).to_be_visible()
    keep(page, "correct")


def _ship_too_late(page: Page, practice_url: str) -> None:
    """Ship an order while it is canceled at Amazon: Amazon refuses, and the order says so."""
    for _ in range(TRIES):
        _fill_ship_form(page, "FR", "JD014600003123456790")
        number = NUMBER.findall(page.locator("#order-summary").inner_text())[0]
        page.request.post(f"{practice_url}/practice/orders/{number}/cancel")
        page.locator("#order-actions").get_by_role("button", name="Ship", exact=True).click()
        refused_here = page.locator("#messages [data-tone]")
        expect(_update(page).or_(refused_here).first).to_be_visible()
        if _update(page).count():
            break  # otherwise the desk had heard of the cancellation before: try another order
    _await_update(page, "Refused")
    summary = page.locator("#order-summary")  # the newest events, which load later, may say it first
    await_on(page, summary.get_by_text("Canceled after shipping"), progress=summary)
    keep(page, "refused")


def _cancel(page: Page) -> None:
    """Cancel an order; until it goes to Amazon it can be undone."""
    _list(page, "state:processing fulfilled-by:merchant country:FR -hold buyer-cancel:no attention:no")
    page.locator("#list tbody a.number").first.click()
    _choose(page, "cancel")
    page.get_by_label("Reason").select_option("NoInventory")
    page.locator("#order-actions").get_by_role("button", name="Cancel order", exact=True).click()
    expect(page.locator("#order-summary").get_by_role("button", name="Undo")).to_be_visible()
    keep(page, "cancel")


def _outbox(page: Page) -> None:
    """What channels are told, and every call that was made."""
    for name in ("outbox", "communication"):
        page.goto(f"{_base(page)}/{name}/")
        expect(page.locator("#list tbody tr").first).to_be_visible()
        keep(page, name)


def _packages(page: Page) -> None:
    """The list of packages, and the packing slip of an order that waits."""
    page.goto(f"{_base(page)}/shipments/")
    expect(page.locator("#list tbody tr").first).to_be_visible()
    keep(page, "shipments")
    _list(page, "state:processing fulfilled-by:merchant country:DE unshipped:>2 -hold buyer-cancel:no")
    page.locator("#list tbody a.number").first.click()
    page.get_by_role("link", name="Packing slip", exact=True).click()
    expect(page.locator(".slip").first).to_be_visible()
    keep(page, "slip")


def _money(page: Page) -> None:
    """An invoice on paper, a refund as it is composed, and a return whose goods are here."""
    _list(page, "state:complete fulfilled-by:merchant country:DE total:>60")
    page.locator("#list tbody a.number").first.click()
    expect(page.locator("#order-actions")).to_be_visible()
    order = page.url.split("?")[0].split("#")[0]
    page.goto(f"{order}/actions/invoice")
    page.locator("#order-actions form.chosen button.main").click()
    expect(page.locator("#messages")).to_contain_text("issued")
    page.goto(f"{order}?tab=invoices")
    page.locator("#order-tab").get_by_role("link", name="Print", exact=True).first.click()
    expect(page.locator(".slip").first).to_be_visible()
    keep(page, "invoice")
    page.goto(f"{order}/actions/refund")
    page.get_by_label("Reason").select_option(index=1)
    expect(page.locator("#order-actions form.chosen")).to_contain_text("The buyer gets")
    page.locator("#order-actions").evaluate("part => scrollTo(0, part.getBoundingClientRect().top + scrollY - 60)")
    keep(page, "refund")
    page.goto(f"{order}/actions/return")
    page.get_by_label("Reason").select_option(index=2)
    page.locator("#order-actions form.chosen button.main").click()
    expect(page.locator("#messages")).to_contain_text("requested")
    for step, done in (("Authorize", "authorized"), ("Receive goods", "received")):
        page.goto(f"{order}?tab=returns")
        form = page.locator("#order-tab").get_by_role("link", name=step)
        if form.count():  # of several units some can be chosen
            form.click()
            page.locator("#order-tab form button.main").click()
        else:
            page.locator("#order-tab").get_by_role("button", name=step).click()
        expect(page.locator("#messages")).to_contain_text(done)
    page.goto(f"{order}?tab=returns")
    keep(page, "return")


def _messages(page: Page, practice_url: str) -> None:
    """An e-mail with an invoice as it is composed, the thread with the buyer's answer, a mail that fits no order, and
    the settings of mail.
    """
    _list(page, "state:processing fulfilled-by:merchant country:FR -hold buyer-cancel:no attention:no")
    page.locator("#list tbody a.number").first.click()
    expect(page.locator("#order-actions")).to_be_visible()
    order = page.url.split("?")[0].split("#")[0]
    page.goto(f"{order}/actions/invoice")
    page.locator("#order-actions form.chosen button.main").click()
    expect(page.locator("#messages")).to_contain_text("issued")
    page.goto(f"{order}/actions/message")
    form = page.locator("#order-actions form.chosen")
    expect(form.locator("optgroup[label='Through Amazon']")).to_be_attached()
    form.get_by_role("button", name="Invoice attached", exact=True).first.click()
    expect(form.locator(".previewed")).to_contain_text("Attached files: Invoice")
    form.evaluate("form => scrollTo(0, form.getBoundingClientRect().top + scrollY - 60)")
    keep(page, "message")
    form.locator("button.main").click()
    expect(page.locator("#messages")).to_contain_text("written")
    page.goto(f"{order}?tab=messages")
    thread = page.locator(".thread")
    await_on(page, thread.get_by_text("Sent", exact=True), progress=thread)
    [mail, *_] = page.request.get(f"{practice_url}/practice/mails").json()["mails"]
    for how, subject, text in (
        ("plain", "", "Merci ! Quand le colis part-il ?"),
        ("stray", "Une question", "Vendez-vous aussi des tasses rouges ?"),
    ):
        answer = {"mail_id": mail["id"], "how": how, "subject": subject, "text": text}
        page.request.post(f"{practice_url}/practice/answers", data=answer)
    await_on(page, thread.get_by_text("Unread", exact=True), progress=thread)
    page.locator("#order-tab").evaluate("tab => scrollTo(0, tab.getBoundingClientRect().top + scrollY - 60)")
    keep(page, "messages")
    page.goto(f"{_base(page)}/inbox/")
    await_on(page, page.locator("main tbody tr"), progress=page.locator("main"))
    page.locator("main tbody a").first.click()
    keep(page, "inbox")
    page.goto(f"{_base(page)}/settings/mail/")
    keep(page, "mail")


def _review(page: Page) -> None:
    """A review request, of an order that was delivered long enough ago."""
    _list(page, "state:complete fulfilled-by:merchant placed:-25d..-10d")
    orders = [link.get_attribute("href") for link in page.locator("#list tbody a.number").all()]
    for order in orders:
        page.goto(f"{_base(page)}{order}")
        if _act(page, "request_review").count():
            _choose(page, "request_review")
            expect(page.locator("#order-actions form.chosen .previewed")).to_contain_text("once for a review")
            return keep(page, "review")
    raise SystemExit("No order can be asked for a review.")


def _update(page: Page) -> Locator:
    """The state of the update; its steps also contain the words of states not reached yet."""
    return page.locator("#order-updates .pill")


def _await_update(page: Page, state: str) -> None:
    page.goto(page.url.split("#")[0].split("/actions")[0])
    await_on(page, _update(page).get_by_text(state, exact=True), progress=page.locator("#order-updates"))


def _fill_ship_form(page: Page, country: str, tracking_number: str) -> None:
    """Open the newest plain order that goes to a country, and fill in its form."""
    _list(
        page,
        f"state:processing fulfilled-by:merchant country:{country} unshipped:>1 -hold buyer-cancel:no attention:no",
    )
    page.locator("#list tbody a.number").first.click()
    _choose(page, "ship")
    page.get_by_label("Carrier", exact=True).select_option("DHL")
    page.get_by_label("Tracking number").fill(tracking_number)


def _dashboard(page: Page) -> None:
    page.goto(f"{_base(page)}/dashboard/")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    keep(page, "dashboard")


def _stores(page: Page) -> None:
    page.goto(f"{_base(page)}/stores/")
    keep(page, "stores")
    page.get_by_role("link", name="Practice Amazon EU").first.click()
    expect(page.get_by_role("heading", name="Practice Amazon EU")).to_be_visible()
    keep(page, "store")
    page.goto(f"{page.url.split('?')[0]}/settings")
    expect(page.locator("#order-preview dd strong")).to_be_visible()
    keep(page, "order-settings")


def _people(page: Page) -> None:
    """The people who work here, after some were invited."""
    for name, role in (("Ada Berg", "Manager"), ("Jonas Lind", "Clerk"), ("Pia Roth", "Packer")):
        page.goto(f"{_base(page)}/settings/people/add")
        page.get_by_label("E-mail").fill(f"{name.split()[0].lower()}@example.com")
        page.get_by_role("textbox", name="Name").fill(name)
        page.get_by_label("Role").select_option(role)
        page.get_by_role("button", name="Invite", exact=True).click()
        expect(page.locator("#new-link")).to_be_visible()
    page.goto(f"{_base(page)}/settings/people/")
    keep(page, "people")
    page.get_by_role("link", name="Roles", exact=True).click()
    page.get_by_role("link", name="Clerk", exact=True).click()
    expect(page.get_by_role("heading", name="Clerk")).to_be_visible()
    keep(page, "role")


def _look_otherwise(page: Page) -> None:
    """The list in the dark theme, on a phone, and in French."""
    _list(page)
    page.emulate_media(color_scheme="dark")
    keep(page, "orders-dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    keep(page, "orders-phone")
    page.set_viewport_size(DESKTOP)
    page.locator("header details[data-menu] summary").last.click()
    page.get_by_role("button", name="Français").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    keep(page, "orders-french")


def chromium() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit("A Chromium is needed: chromium, chromium-browser or google-chrome.")
    return found


def main() -> None:
    """Take every picture."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with desk() as (link, practice_url), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=sandbox)
        page = browser.new_context(viewport=DESKTOP, locale="en-GB", color_scheme="light").new_page()
        page.set_default_timeout(ANSWER_WITHIN)
        expect.set_options(timeout=ANSWER_WITHIN)
        take_all(page, link, practice_url)
        browser.close()


if __name__ == "__main__":
    main()
