"""A client of the control API, for tests and scripts: act as buyer, bank and fault with one call each."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

Json = dict[str, Any]


class PracticeClient:
    """Controls the practice Amazon at a URL; a refused request raises httpx.HTTPStatusError."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url.rstrip("/") + "/practice", timeout=30, trust_env=False)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        response = self._http.request(method, path, **options)
        response.raise_for_status()
        return response.json() if response.content else None

    def place(self, **wish: Any) -> Json:
        """A buyer places an order; the fields are those of `composing.Wish`. Returns its summary."""
        placed: list[Json] = self._ask("POST", "/orders", json=wish)["orders"]
        return placed[0]

    def place_many(self, count: int, **wish: Any) -> list[Json]:
        """Buyers place `count` orders with one wish. Returns their summaries."""
        placed: list[Json] = self._ask("POST", "/orders", json=wish | {"count": count})["orders"]
        return placed

    def fill(self, orders: int, regions: Sequence[str] = (), *, days: float = 730) -> list[Json]:
        """Fill the past with this number of orders in these regions (None: in all); returns the stretches that
        contain them.
        """
        body = {"orders": orders, "regions": list(regions), "days": days}
        segments: list[Json] = self._ask("POST", "/fill", json=body)["segments"]
        return segments

    def order(self, order_id: str) -> Json:
        """An order as it is now; under "order" with everything that getOrder would return."""
        found: Json = self._ask("GET", f"/orders/{order_id}")
        return found

    def _act(self, order_id: str, act: str, **data: Any) -> Json:
        changed: Json = self._ask("POST", f"/orders/{order_id}/{act}", json=data)
        return changed

    def verify(self, order_id: str, *, after: float = 0) -> Json:
        """The payment is verified."""
        return self._act(order_id, "verify", after=after)

    def cancel(self, order_id: str, *, by: str = "BUYER", reason: str = "Ordered by mistake", after: float = 0) -> Json:
        """The order is canceled, if nothing was shipped."""
        return self._act(order_id, "cancel", by=by, reason=reason, after=after)

    def cancel_units(
        self, order_id: str, items: dict[str, int], *, by: str = "MERCHANT", reason: str = "NoInventory"
    ) -> Json:
        """So many units of these items are canceled in Seller Central, if they are left."""
        return self._act(order_id, "cancel", by=by, reason=reason, items=items)

    def request_cancel(self, order_id: str, reason: str = "Order created by mistake", *, after: float = 0) -> Json:
        """The buyer asks to cancel."""
        return self._act(order_id, "request_cancel", reason=reason, after=after)

    def withdraw_request(self, order_id: str) -> Json:
        """The buyer withdraws the request."""
        return self._act(order_id, "withdraw_request")

    def ship_elsewhere(
        self,
        order_id: str,
        *,
        carrier: str | None = None,
        tracking: str | None = None,
        reference: str | None = None,
        part: bool = False,
    ) -> Json:
        """Somebody ships the order with another program: everything that is left, or one piece."""
        act = "ship_part" if part else "ship"
        return self._act(order_id, act, carrier=carrier, tracking=tracking, reference=reference)

    def deliver(self, order_id: str) -> Json:
        """The packages of the order arrive."""
        return self._act(order_id, "deliver")

    def touch(self, order_id: str) -> Json:
        """Move the time of the order's last update, and nothing else."""
        return self._act(order_id, "touch")

    def change_quantity(self, order_id: str, quantity: int, *, item: str | None = None) -> Json:
        """Reduce the ordered quantity of an item (the first, if none is named)."""
        return self._act(order_id, "quantity", quantity=quantity, **({"item": item} if item else {}))

    def set_status_word(self, order_id: str, status: str | None) -> Json:
        """Answer this word as the order's status, known or not; None: the true one."""
        return self._act(order_id, "word", status=status)

    def refund_elsewhere(
        self,
        order_id: str,
        *,
        share: float = 1,
        items: dict[str, dict[str, int]] | None = None,
        kind: str = "elsewhere",
    ) -> Json:
        """Money goes back by another way than a feed: minor units by order item and component, or a share of what is
        left. The kinds are those of `refunds.KINDS`: the seller's own hand, a claim, a chargeback, Amazon's own money.
        """
        body: Json = {"kind": kind, "share": share} | ({} if items is None else {"items": items})
        booked: Json = self._ask("POST", f"/orders/{order_id}/refund", json=body)
        return booked

    def refunds(self, order_id: str) -> list[Json]:
        """The refunds of an order, also those that are booked later: at, kind, amounts, taxes, total."""
        refunds: list[Json] = self.order(order_id)["refunds"]
        return refunds

    def told(self, order_id: str) -> list[Json]:
        """The confirmations, feed messages, messages to the buyer and review requests for an order: at_ms, operation,
        status, effect, message, body. An effect is new, edited, same, canceled, acknowledged, refunded, invoiced,
        messaged, solicited or refused.
        """
        told: list[Json] = self._ask("GET", f"/orders/{order_id}/told")["told"]
        return told

    def effects(self, order_id: str) -> int:
        """The number of what `told` has for an order that changed something."""
        return int(self._ask("GET", f"/orders/{order_id}/told")["effects"])

    def all_told(self) -> list[Json]:
        """The latest of what `told` has, of all orders."""
        told: list[Json] = self._ask("GET", "/told")["told"]
        return told

    def feeds(self) -> list[Json]:
        """All feeds, newest first: as getFeed would answer, and seller, foreign, mark, seconds, messages, errors,
        warnings, due.
        """
        feeds: list[Json] = self._ask("GET", "/feeds")["feeds"]
        return feeds

    def foreign_feed(
        self, feed_type: str, *, region: str = "na", messages: int = 1, marketplace_ids: Sequence[str] | None = None
    ) -> Json:
        """Another application of the seller creates a feed, which changes no order."""
        body: Json = {"feedType": feed_type, "region": region, "messages": messages}
        body |= {} if marketplace_ids is None else {"marketplaceIds": list(marketplace_ids)}
        created: Json = self._ask("POST", "/feeds", json=body)
        return created

    def mark_next_feed(self, feed_type: str, mark: str, *, seconds: float = 0) -> None:
        """Something goes wrong with the next feed of a type; the marks are those of `marks.MARKS`."""
        self._ask("POST", "/feeds/next", json={"feedType": feed_type, "mark": mark, "seconds": seconds})

    def calls(self, operation: str | None = None, *, since: int = 0) -> list[Json]:
        """The calls received, oldest first: id, at_ms, operation, seller, status, fault, params."""
        params = {"since": since} | ({"operation": operation} if operation else {})
        calls: list[Json] = self._ask("GET", "/calls", params=params)["calls"]
        return calls

    def fault(
        self,
        operation: str,
        kind: str | int,
        *,
        times: int = 1,
        when: str = "before",
        seconds: float = 0,
        dataset: str = "",
        order_id: str = "",
        marketplace: str = "",
    ) -> Json:
        """Give the next calls of an operation a fault; the kinds are those of `faults.KINDS`."""
        body = {"operation": operation, "kind": kind, "times": times, "when": when, "seconds": seconds}
        which = {"dataset": dataset, "order_id": order_id, "marketplace": marketplace}
        queued: Json = self._ask("POST", "/faults", json=body | which)
        return queued

    def faults(self) -> list[Json]:
        """The current faults."""
        faults: list[Json] = self._ask("GET", "/faults")["faults"]
        return faults

    def mend(self) -> None:
        """Remove all faults, and the marks that wait for a feed."""
        self._ask("DELETE", "/faults")

    def mail_servers(self) -> Json:
        """Where the mail server and the mailbox are: smtp (host, port) and imap (host, port, user, password)."""
        servers: Json = self._ask("GET", "/mail/servers")
        return servers

    def mails(self) -> list[Json]:
        """The caught mails, newest first: id, at_ms, sender, recipients, author, subject, size."""
        mails: list[Json] = self._ask("GET", "/mails")["mails"]
        return mails

    def mail(self, mail_id: int) -> Json:
        """A caught mail, also with headers, text, is_html, attachments and raw."""
        mail: Json = self._ask("GET", f"/mails/{mail_id}")
        return mail

    def mailbox(self) -> list[Json]:
        """What is in the mailbox: uid, at_ms, flags, size."""
        mails: list[Json] = self._ask("GET", "/mailbox")["mails"]
        return mails

    def answer(
        self, *, mail_id: int | None = None, order_id: str = "", how: str = "plain", subject: str = "", text: str = ""
    ) -> int:
        """The buyer answers a caught mail, or a message about an order; what is answered is quoted below the text. The
        ways are those of `buyer_mails.HOWS`. Returns the UID of the answer in the mailbox.
        """
        body = {"mail_id": mail_id, "order_id": order_id, "how": how, "subject": subject, "text": text}
        return int(self._ask("POST", "/answers", json=body)["uid"])

    def mail_fault(self, kind: str, *, times: int = 1, seconds: float = 0) -> Json:
        """Give the next mails, or readings of the mailbox, a fault; the kinds are those of `mail_faults.KINDS`."""
        queued: Json = self._ask("POST", "/mail/faults", json={"kind": kind, "times": times, "seconds": seconds})
        return queued

    def mail_faults(self) -> list[Json]:
        """The current faults of mail."""
        faults: list[Json] = self._ask("GET", "/mail/faults")["faults"]
        return faults

    def mend_mail(self) -> None:
        """Remove all faults of mail."""
        self._ask("DELETE", "/mail/faults")

    def settings(self, **changes: Any) -> Json:
        """Change settings, those of `practice.Settings` and `arrivals`; returns all of them."""
        answer: Json = self._ask("POST", "/settings", json=changes)
        return answer

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._ask("POST", "/advance", json={"seconds": seconds})

    def fill_buckets(self) -> None:
        """Fill all token buckets."""
        self._ask("POST", "/buckets/full")

    def empty_buckets(self, operation: str | None = None) -> None:
        """Empty the buckets, as another program of the seller would."""
        self._ask("POST", "/buckets/empty", json={"operation": operation} if operation else {})

    def revoke(self, region: str | None = None) -> None:
        """The seller of a region withdraws the authorization; without a region, only the access tokens end."""
        self._ask("POST", "/tokens/revoke", json={"region": region} if region else {})

    def restore(self, region: str) -> None:
        """The seller authorizes again."""
        self._ask("POST", "/tokens/restore", json={"region": region})

    def reset(self) -> None:
        """Undo all acts and delete all records; the world and the settings stay."""
        self._ask("POST", "/reset")

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
