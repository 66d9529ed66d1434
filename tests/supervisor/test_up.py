"""`up` on a data directory of its own, with everything real: pages, queue, worker, and the practice marketplace."""

import contextlib
import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import imapclient
import pytest

from supervisor.reaper import processes
from supervisor.up import Logs
from tests.cli.conftest import ROOT, Ended, call, environment, one_sentence

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]
WITHIN = 60.0  # seconds, on a busy machine


class Desk:
    """A desk that `up` runs, and commands beside it."""

    link: str

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir = data_dir
        self.env = {"WAYBILL_DATA_DIR": str(data_dir), **variables}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start the desk and return the address that it prints, once it is up."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "webapp", "up"],
            cwd=ROOT,
            env=environment(self.env),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://\S+", line):
                return found[0]
        raise AssertionError("it ended without an address")

    def stop(self, by: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(by)
        with self.process:
            return self.process.wait(WITHIN)

    def call(self, *arguments: object, stdin: str = "") -> Ended:
        return call(*arguments, env=self.env, stdin=stdin)

    @property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads((self.data_dir / "desk.json").read_text()))


def wait_until(condition: Callable[[], bool], seconds: float = WITHIN) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A new desk with its practice stores, and the link that `up` printed."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.link = desk.start()
    yield desk
    pids = desk.facts["processes"].values()
    assert desk.stop() == 0
    assert not processes().keys() & set(pids)
    assert not (desk.data_dir / "desk.json").exists()


def test_the_link_lets_the_first_owner_in_and_the_file_tells_where_all_is(running: Desk) -> None:
    facts = running.facts
    assert running.link.startswith(f"{facts['url']}/")
    for url in (running.link, f"{facts['practice_url']}/practice/health"):
        assert httpx.get(url, timeout=60, trust_env=False).status_code == 200
    wait_until(lambda: {"web", "worker", "scheduler", "valkey"} <= running.facts["processes"].keys())
    assert running.process is not None
    assert running.process.stdout is not None
    printed = (re.search(r"http://\S+", line) for line in running.process.stdout)
    assert next(found[0] for found in printed if found) == facts["practice_url"]
    assert running.facts["pid"] == running.process.pid
    assert (running.data_dir / "desk.json").stat().st_mode & 0o077 == 0


def test_all_workers_are_forked_from_one_process(running: Desk) -> None:
    wait_until(lambda: "worker" in running.facts["processes"])
    wait_until(lambda: bool(running.call("status", "--json").document["workers"] == 3))  # one is for finances
    parents = list(processes().values())
    assert [name for name in running.facts["processes"] if name.startswith("worker")] == ["worker"]
    assert parents.count(running.facts["processes"]["worker"]) == 3


def test_a_second_up_tells_the_address_and_ends(running: Desk) -> None:
    second = running.call("up")
    assert (second.code, second.out.strip()) == (0, running.facts["url"])


def test_an_order_comes_in_is_shipped_and_its_channel_knows(running: Desk) -> None:
    stores = running.call("store", "list", "--json").document
    assert [store["practice"] for store in stores] == [True, True, True]
    run = running.call("sync", stores[0]["name"], "--wait", "--seconds", WITHIN, "--json")
    assert (run.code, run.document["state"]) == (0, "done")

    def listed() -> list[dict[str, Any]]:
        return list(running.call("orders", "list", "--limit", 0, "--json").document)

    wait_until(lambda: {"US", "DE", "FR", "JP"} <= {row["marketplace"] for row in listed()})
    rows = listed()
    assert {row["fulfilled_by"] for row in rows} == {"merchant", "channel"}
    ours = [row for row in rows if row["fulfilled_by"] == "merchant" and row["state"] == "processing"]
    order = next(row for row in ours if not row["flags"] and not row["attention"])
    parcel = {"carrier": "DHL", "tracking_number": "JD014600001"}
    done = running.call("orders", "act", order["number"], "ship", "--data", "-", "--json", stdin=json.dumps(parcel))
    assert done.code == 0, done.err
    [update] = done.document["updates"]
    waited = running.call("updates", "wait", update["id"], "--until", "effective", "--seconds", WITHIN, "--json")
    assert (waited.code, waited.document["state"]) == (0, "effective")
    shown = running.call("orders", "show", order["number"], "--json").document
    assert (shown["state"], shown["unshipped"], shown["attention"]) == ("complete", 0, [])
    record = f"{running.facts['practice_url']}/practice/orders/{order['channel_order_number']}"
    assert "JD014600001" in httpx.get(record, timeout=60, trust_env=False).text


def test_its_mail_is_caught_by_the_practice_marketplace(running: Desk) -> None:
    assert running.call("mail", "test", "mia@example.com", "--json").document["from"] == "desk@practice.example"
    url = f"{running.facts['practice_url']}/practice"
    [mail] = httpx.get(f"{url}/mails", timeout=60, trust_env=False).json()["mails"]
    assert mail["recipients"] == ["mia@example.com"]
    httpx.post(f"{url}/answers", json={"mail_id": mail["id"], "text": "Thank you"}, timeout=60, trust_env=False)
    address = urlsplit(running.facts["variables"]["WAYBILL_PRACTICE_IMAP"])
    with imapclient.IMAPClient(address.hostname, port=address.port, ssl=False, timeout=WITHIN) as client:
        client.login(unquote(address.username or ""), unquote(address.password or ""))
        assert client.select_folder("INBOX")[b"EXISTS"] == 1


def test_nothing_that_a_running_desk_wrote_is_readable_by_others(running: Desk) -> None:
    """Whichever process created it: database and journals, queue, logs, sockets, locks, the practice marketplace."""
    found = {path: path.lstat().st_mode for path in running.data_dir.rglob("*")}
    names = {str(path.relative_to(running.data_dir)) for path in found}
    assert {"waybill.db", "waybill.db-wal", "keys.json", "secret", "desk.json", "log/cli.log", "practice"} <= names
    assert stat.S_IMODE(running.data_dir.stat().st_mode) == 0o700
    assert {str(path): oct(mode) for path, mode in found.items() if mode & 0o077} == {}


def test_a_store_may_be_added_beside_the_practice_ones(running: Desk) -> None:
    url = running.facts["practice_url"]
    wrong = (
        "client_id=x",
        "client_secret=y",
        "refresh_token=z",
        "seller_id=A1EXAMPLE1234",
        f"endpoint={url}",
        f"token_endpoint={url}/auth/o2/token",
    )
    settings = [word for value in wrong for word in ("--set", value)]
    added = running.call("store", "add", "amazon", "--name", "Wrong keys", *settings, "--json")
    assert added.code == 0, added.err
    tested = running.call("store", "test", added.document["id"], "--json")
    assert tested.code == 1, tested.err
    assert (tested.document["ok"], tested.document["marketplaces"]) == (False, [])
    assert tested.document["problem"]
    synced = running.call("sync", "Wrong keys", "--wait", "--seconds", WITHIN, "--json")
    assert (synced.code, synced.document["state"]) == (1, "failed")
    assert synced.document["message"]


def test_the_desk_is_back_within_two_seconds_and_nobody_is_left_after_a_kill(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk")
    first = desk.start()
    wait_until(lambda: "scheduler" in desk.facts["processes"])
    ports = (desk.facts["url"], desk.facts["variables"])
    pids = set(desk.facts["processes"].values())
    desk.stop(signal.SIGKILL)
    wait_until(lambda: not processes().keys() & pids)

    before = time.monotonic()
    again = desk.start()
    took = time.monotonic() - before
    assert again != first  # the earlier link has ended
    assert (desk.facts["url"], desk.facts["variables"]) == ports
    assert desk.stop() == 0
    print(f"back after {took:.2f} s")
    assert took < float(os.environ.get("WAYBILL_TEST_START_WITHIN", "10"))  # 2 on a quiet machine


def half_asked(url: str) -> socket.socket:
    """A request of which the server has only a part."""
    address = urlsplit(url)
    client = socket.create_connection((address.hostname or "", address.port or 0), WITHIN)
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
    return client


def is_closed(url: str) -> bool:
    """Whether new connections are refused."""
    address = urlsplit(url)
    with socket.socket() as client:
        return client.connect_ex((address.hostname, address.port)) != 0


def test_without_practice_there_is_no_marketplace_and_a_stop_answers_who_has_asked(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk", WAYBILL_PRACTICE="0")
    desk.start()
    try:
        assert desk.facts["practice_url"] is None
        assert not [name for name in desk.facts["variables"] if "PRACTICE" in name]
        wait_until(lambda: "scheduler" in desk.facts["processes"])
        assert desk.facts["processes"].keys() == {"valkey", "web", "worker", "scheduler"}
        assert desk.call("store", "list", "--json").document == []
    finally:
        asked = [half_asked(desk.facts["url"]) for _ in range(8)]
        assert desk.process is not None
        desk.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_closed(desk.facts["url"]))
        for client in asked:
            client.sendall(b"desk\r\n\r\n")
        assert {client.recv(15) for client in asked} == {b"HTTP/1.1 200 OK"}
        for client in asked:
            client.close()
        with desk.process:
            said = desk.process.stdout.read() if desk.process.stdout else ""
            assert desk.process.wait(WITHIN) == 0
    assert "Stopping, once what is under way has ended." in said
    assert said.rstrip().endswith("Stopped.")


def test_up_watches_over_a_desk_without_loading_one() -> None:
    code = "import sys, supervisor.up; print(*{'flask', 'sqlalchemy', 'redis', 'plugins'} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_two_desks_that_start_at_once_choose_different_ports() -> None:
    code = "from supervisor.ports import free_port; print(free_port(18600, explicit=False), flush=True); input()"
    asking = [sys.executable, "-c", code]
    others = [
        subprocess.Popen(asking, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    chosen = []
    for other in others:
        assert other.stdout is not None
        chosen.append(other.stdout.readline())
    for other in others:
        other.communicate("\n")
    assert len(set(chosen)) == 2


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_taken_stops_the_start(tmp_path: Path, taken_port: int) -> None:
    ended = call("up", env={"WAYBILL_DATA_DIR": str(tmp_path), "WAYBILL_PORT": str(taken_port)})
    sentence = f"Port {taken_port} on 127.0.0.1 is taken by another program; stop it or choose another port."
    assert (ended.code, one_sentence(ended)) == (1, sentence)
    assert not (tmp_path / "waybill.db").exists()


def test_a_log_that_cannot_be_written_is_told_once_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.closing(Logs(tmp_path)) as logs:
        write_beyond_the_disk(logs)
    [line, other] = capsys.readouterr().err.splitlines()
    assert line == f"waybill: {tmp_path}/web.log can't be written: [Errno 27] File too large"
    assert "worker.log" in other
    assert (tmp_path / "web.log").read_text().splitlines()[-2:] == ["five", "log_was_not_written lines=3"]


def write_beyond_the_disk(logs: Logs) -> None:
    logs.keep("web", "one")
    sizes = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, sizes[1]))  # as on a full disk
    try:
        told = [logs.keep(name, line) for name in ("web", "worker") for line in ("two", "three", "four")]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, sizes)
    assert all(told)
    logs.keep("web", "five")
