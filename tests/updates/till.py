"""A plugin with a kind of its own: credits that a till pays out, exclusive and not repeatable, over real HTTP.

The till takes a batch of credits under a key, pays each as often as it receives it, and reports later what it paid. It
never refuses a credit that it has received before: sending twice pays twice.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import httpx

from webapp.api import (
    Accepted,
    Batch,
    Channel,
    ChannelError,
    Connection,
    Contradicted,
    Disconnected,
    IncomingOrder,
    NotCarriedOut,
    NothingLearned,
    NotYet,
    Order,
    Outcome,
    OutwardKind,
    Refusal,
    Refused,
    Sent,
    Setting,
    SettingsGroup,
    Shown,
    StoreAccess,
    Unknown,
    Update,
    UpdateKind,
    Waits,
    hookimpl,
    lazy_gettext as _l,
    now,
)
from webapp.testing import FakeChannel
from webapp.updates.models import ChannelUpdate

HOLD = 60
HOLDING: Setting[int] = Setting(name="hold", label=_l("Hold"), default=HOLD)
SETTINGS = SettingsGroup("till", _l("Till"), [HOLDING], scope="store")


# --- The other side -----------------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """What the till paid and how it behaves: in memory, so that a test sees what really happened."""

    batches: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # key -> credits, as they arrived
    paid: list[str] = field(default_factory=list)  # references, once for each payment
    refuses: set[str] = field(default_factory=set)  # references that it refuses in its report
    leaves: set[int] = field(default_factory=set)  # sizes of batches that it accepts and does not carry out
    drop: int = 0  # so many next batches are paid while the answer is lost
    fail: int = 0  # so many next batches are refused with 500 before anything happens
    secret: str = "right"
    url: str = ""
    lock: Any = field(default_factory=threading.Lock)

    def take(self, key: str, credits: list[dict[str, Any]]) -> str:
        with self.lock:
            if self.fail:
                self.fail -= 1
                return "fail"
            self.batches[key] = credits
            if len(credits) not in self.leaves:
                self.paid += [one["reference"] for one in credits if one["reference"] not in self.refuses]
            if self.drop:
                self.drop -= 1
                return "drop"
            return "taken"

    def report(self, key: str) -> dict[str, str]:
        with self.lock:
            credits = self.batches.get(key, [])
            left = len(credits) in self.leaves
            words = {one["reference"]: "refused" if one["reference"] in self.refuses else "paid" for one in credits}
            return dict.fromkeys(words, "left") if left else words


class TillServer:
    """The till on a port of its own, in this process."""

    def __init__(self) -> None:
        self.ledger = ledger = Ledger()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.headers["Authorization"] != ledger.secret:
                    return self.answer(403, {})
                came = ledger.take(body["key"], body["credits"])
                if came == "drop":
                    self.close_connection = True
                    return self.connection.close()
                return self.answer(500 if came == "fail" else 200, {})

            def do_GET(self) -> None:
                if self.headers["Authorization"] != ledger.secret:
                    return self.answer(403, {})
                asked = {name: one[0] for name, one in parse_qs(urlsplit(self.path).query).items()}
                if "reference" in asked:
                    wanted = asked["reference"]
                    keys = [
                        key for key, told in ledger.batches.items() if any(one["reference"] == wanted for one in told)
                    ]
                    return self.answer(200, {"key": keys[0] if keys else ""})
                key = asked["key"]
                return self.answer(200, {"known": key in ledger.batches, "report": ledger.report(key)})

            def answer(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


# --- The channel ------------------------------------------------------------------------------------------------------


class Away(ChannelError):
    code = "till_away"
    sentence = _l("The till is away.")
    retry_after = 5.0


class TillChannel(FakeChannel):
    """Orders like the fake channel's; credits are sent to the till."""

    code, label = "till", _l("Till")
    settings = (
        Setting(name="url", label=_l("Address")),
        Setting(name="secret", label=_l("Secret"), secret=True, default="right"),
    )
    kinds = (
        UpdateKind("shipment", _l("Shipment confirmation"), repeatable=True, batch=10),
        UpdateKind(
            "credit", _l("Credit"), repeatable=False, batch=4, exclusive=True, look_after=1.0, unseen_after=7 * 86_400
        ),
    )

    def lane(self, kind: str, payload: Mapping[str, Any]) -> str:
        return "payouts" if kind == "credit" else kind

    def connect(self, store: StoreAccess) -> Connection:
        try:
            self._ask(store, "?key=none")
        except ChannelError as error:
            return Connection(problem=error)
        return Connection(self.marketplaces, account=str(store.settings["url"]))

    def fetch_orders(self, store: StoreAccess, window: Any) -> Any:
        self._ask(store, "?key=none")
        return super().fetch_orders(store, window)

    def deliver(self, store: StoreAccess, updates: Batch) -> Mapping[int, Outcome]:
        if updates[0].kind != "credit":
            return super().deliver(store, updates)
        mine = list(updates)
        key = f"batch-{mine[0].id}-{mine[0].attempts}"
        attempt = updates.attempt(mine, key=key, channel_at=now())
        credits = [{"reference": one.reference, "order": one.order_number, **one.payload} for one in mine]
        try:
            attempt.call(self.send, store, key, credits)
        except Away:
            return {one.id: NotYet(5, problem="away") for one in mine}
        except httpx.TransportError:
            return {one.id: Unknown() for one in mine}
        return {one.id: Sent(key) for one in mine}

    def send(self, store: StoreAccess, key: str, credits: Sequence[Mapping[str, Any]]) -> None:
        self._ask(store, "", {"key": key, "credits": credits})

    def look_up(self, store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        if updates[0].kind != "credit":
            return super().look_up(store, updates)
        return {one.id: self._fate(store, one) for one in updates}

    def _fate(self, store: StoreAccess, one: Update) -> Outcome:
        try:
            key = one.handle or (one.begun.key if one.begun else "")
            if not key and one.look_from is not None:  # the desk's database is older: it may have left since
                key = self._ask(store, f"?reference={one.reference}")["key"]
            answer = self._ask(store, f"?key={key}") if key else {"known": False}
        except (Away, httpx.TransportError):
            return NothingLearned(5, problem="away")
        if not answer["known"]:
            return NotYet(0)
        match answer["report"].get(one.reference):
            case "paid":
                return Accepted("rounded up") if one.handle else Sent(key)
            case "refused":
                return Refused("no such credit")
            case "left":
                return NotCarriedOut(together=max(1, len(answer["report"]) // 2))
        return Unknown()

    def _ask(self, store: StoreAccess, query: str, body: Any = None) -> Any:
        url, headers = f"{store.settings['url']}/{query}", {"Authorization": str(store.settings["secret"])}
        answer = httpx.request("GET" if body is None else "POST", url, json=body, headers=headers, timeout=60)
        if answer.status_code == 403:
            raise Disconnected(channel="Till", problem="wrong secret")
        if answer.status_code == 500:
            raise Away(channel="Till", problem="500")
        return answer.json()


# --- The kind ---------------------------------------------------------------------------------------------------------


@dataclass
class Credit:
    """The source of a credit: a note of an amount, by the id of an event or of anything else."""

    id: int
    amount: int


class Unwanted(Refusal):
    code = "credit_unwanted"
    sentence = _l("Nobody wants this credit any more.")


class NotPaid(ChannelError):
    code = "credit_not_paid"
    sentence = _l("The till says that it was not paid.")


class CreditKind(OutwardKind):
    """Its effect is a flag of the order; the test's sets say which updates are wanted and ready."""

    code, label, hold = "credit", _l("Credit"), HOLDING
    never_with: ClassVar[Sequence[str]] = ("shipment",)
    unwanted: ClassVar[set[str]] = set()
    waiting: ClassVar[set[str]] = set()
    ended: ClassVar[list[tuple[str, str]]] = []

    def reference(self, source: Credit) -> str:
        return f"C{source.id}"

    def payload(self, order: Order, source: Credit) -> Mapping[str, Any]:
        return {"version": 1, "amount": source.amount}

    def stands(self, update: ChannelUpdate, order: Order) -> Refusal | None:
        return Unwanted() if update.reference in self.unwanted else None

    def ready(self, update: ChannelUpdate, order: Order) -> Waits | None:
        return Waits(Unwanted(), 300) if update.reference in self.waiting else None

    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> Shown | Contradicted | None:
        if f"credited:{update.reference}" in reading.flags:
            return Shown()
        return Contradicted(NotPaid(channel="Till", problem="")) if "nothing_paid" in reading.flags else None

    def settled(self, update: ChannelUpdate) -> None:
        self.ended.append((update.reference, update.state))


class Till:
    """Registers both as any plugin would."""

    def __init__(self, channel: Channel, kind: OutwardKind) -> None:
        self._channel, self._kind = channel, kind

    @hookimpl
    def register_channels(self) -> list[Channel]:
        return [self._channel]

    @hookimpl
    def register_settings(self) -> list[SettingsGroup]:
        return [SETTINGS]

    @hookimpl
    def register_outward_kinds(self) -> list[OutwardKind]:
        return [self._kind]


def plugin() -> Till:
    """The plugin, also for a process of its own."""
    return Till(TillChannel(), CreditKind())
