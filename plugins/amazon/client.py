"""Calls to Amazon over HTTP: the operations, and the meaning of each answer or missing answer.

The client handles paths and dicts, not their meaning. Each call takes a token of its bucket, carries the account's
access token, and ends in an answer or in one of `errors`. Bodies, tokens and URLs are never logged; the request id of a
failure is logged, since Amazon's support asks for it.
"""

import logging
import os
import random
import re
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from time import sleep
from typing import Any
from urllib.parse import quote

import httpx
import structlog

from plugins.amazon.accounts import Account, host_of, is_loopback, user_agent
from plugins.amazon.errors import (
    AccessDenied,
    AnswerLost,
    DocumentFailed,
    HungUp,
    NotThere,
    RequestRefused,
    Silent,
    Troubled,
    Unintelligible,
    Unreachable,
)
from plugins.amazon.shared import Shared
from plugins.amazon.throttle import Granted, Plan, Throttle
from plugins.amazon.tokens import NEVER_LEFT, Tokens
from webapp.api import Calling, PageRefused, Throttled, calling

log = structlog.get_logger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the URL of each call, with page tokens
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
LEARNED = (0.1, 10.0)  # limits, as multiples of the published rate, for rates in answers of Amazon's own hosts
LONGEST_SENTENCE = 500
# What the log calls them: they are no operations of the API.
UPLOAD, DOWNLOAD, UPLOAD_ATTACHMENT = "uploadDocument", "downloadDocument", "uploadAttachment"
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")


@dataclass(frozen=True, slots=True)
class Operation:
    """A call of Amazon's API with its published plan."""

    name: str
    method: str
    path: str
    plan: Plan
    tries: int = 1  # the number of tries for a call that changes nothing
    harmless: bool = False  # a call without an effect on orders, although it is no GET
    bodiless: bool = False  # its success has no body

    @property
    def writes(self) -> bool:
        return self.method != "GET" and not self.harmless


SEARCH_ORDERS = Operation("searchOrders", "GET", "/orders/2026-01-01/orders", Plan(0.0056, 20), tries=2)
GET_ORDER = Operation("getOrder", "GET", "/orders/2026-01-01/orders/{order}", Plan(0.5, 30), tries=3)
LIST_TRANSACTIONS = Operation("listTransactions", "GET", "/finances/2024-06-19/transactions", Plan(0.5, 10), tries=2)
CONFIRM_SHIPMENT = Operation(
    "confirmShipment", "POST", "/orders/v0/orders/{order}/shipmentConfirmation", Plan(2, 10), bodiless=True
)
PARTICIPATIONS = Operation(
    "getMarketplaceParticipations", "GET", "/sellers/v1/marketplaceParticipations", Plan(0.016, 15), tries=2
)
CREATE_DOCUMENT = Operation(
    "createFeedDocument", "POST", "/feeds/2021-06-30/documents", Plan(0.5, 15), tries=2, harmless=True
)
CREATE_FEED = Operation("createFeed", "POST", "/feeds/2021-06-30/feeds", Plan(0.0083, 15))
CREATE_INVOICE_FEED = Operation("uploadVatInvoice", "POST", "/feeds/2021-06-30/feeds", Plan(0.33, 2))
GET_FEED = Operation("getFeed", "GET", "/feeds/2021-06-30/feeds/{feed}", Plan(2, 15), tries=2)
GET_FEEDS = Operation("getFeeds", "GET", "/feeds/2021-06-30/feeds", Plan(0.0222, 10), tries=2)
GET_DOCUMENT = Operation("getFeedDocument", "GET", "/feeds/2021-06-30/documents/{document}", Plan(0.0222, 10), tries=2)
GET_MESSAGES = Operation("getMessagingActionsForOrder", "GET", "/messaging/v1/orders/{order}", Plan(1, 5), tries=2)
GET_ATTRIBUTES = Operation("GetAttributes", "GET", "/messaging/v1/orders/{order}/attributes", Plan(1, 5), tries=2)
SEND_MESSAGE = Operation(  # all kinds in one bucket, while Amazon has one for each
    "sendMessage", "POST", "/messaging/v1/orders/{order}/messages/{message}", Plan(1, 5), bodiless=True
)
CREATE_DESTINATION = Operation(
    "createUploadDestination",
    "POST",
    "/uploads/2020-11-01/uploadDestinations/messaging/v1/orders/{order}/messages/{message}",
    Plan(5, 10),  # the models say 10 a second, Amazon's own library 5
    tries=2,
    harmless=True,
)
GET_SOLICITATIONS = Operation(
    "getSolicitationActionsForOrder", "GET", "/solicitations/v1/orders/{order}", Plan(1, 5), tries=2
)
REQUEST_REVIEW = Operation(
    "createProductReviewAndSellerFeedbackSolicitation",
    "POST",
    "/solicitations/v1/orders/{order}/solicitations/productReviewAndSellerFeedback",
    Plan(1, 5),
    bodiless=True,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Amazon's answer to a call that it accepted."""

    body: dict[str, Any]
    request_id: str = ""
    calls: int = 1
    at: datetime | None = None  # by Amazon's clock


class Client:
    """Makes the calls of all accounts; safe between threads, and after a fork."""

    def __init__(self, shared: Shared | None = None) -> None:
        self._shared = shared or Shared()
        self._pools: dict[tuple[int, str], httpx.Client] = {}
        self._throttle = Throttle(self._shared)
        self._tokens = Tokens(self._shared, self._http)

    def request(
        self,
        account: Account,
        operation: Operation,
        *,
        path: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        reserve: float = 0,
        start: float | None = None,
        spare: bool = False,
        renew: bool = True,
        orders: Sequence[str] = (),
        updates: Sequence[int] = (),
    ) -> Answer:
        """Make a call and return its answer; raises Throttled, PageRefused, Disconnected, or another of `errors`.

        A repeatable call is repeated if Amazon fails or hangs up. For any other call, AnswerLost means that its effect
        is unknown; Unreachable and Throttled mean that it had none. A `spare` call takes at most a quarter of the
        operation's allowance, and only tokens beyond half of its burst. Without `renew`, a denial is not retried with a
        new access token: the token was renewed just now. The call is reported as one about these `orders`, by Amazon's
        numbers, and these `updates`, by their ids.
        """
        about = calling(account.report, operation.name, orders=orders, updates=updates, writes=operation.writes)
        attempt = 1
        with about as made:
            while True:
                try:
                    answer = self._once(
                        account, operation, path or {}, params, json, reserve, start, spare, renew, made
                    )
                    return replace(answer, calls=attempt)
                except (Troubled, HungUp):
                    if attempt >= operation.tries:
                        raise
                    sleep(random.uniform(0.3, 0.7) * 2 ** (attempt - 1))  # noqa: S311 - jitter
                    attempt += 1

    def wait(self, account_key: str, operation: Operation) -> float:
        """Seconds until a call of this operation is allowed; no token is taken."""
        return self._throttle.wait(self._shared.key("amazon", "bucket", operation.name, account_key), operation.plan)

    def exchange(self, account: Account, code: str, back: str) -> str:
        """The refresh token for the code of a seller's consent; `back` is the address to which Amazon sent the code."""
        return self._tokens.exchange(account, code, back)

    def upload(
        self,
        account: Account,
        url: str,
        content: bytes,
        headers: Mapping[str, str],
        *,
        operation: str = UPLOAD,
        updates: Sequence[int] = (),
    ) -> None:
        """Store a document under an address that Amazon gave for it, with these headers and no token of ours. Raises
        `DocumentFailed`.
        """
        about = calling(account.report, operation, updates=updates)
        self._document(about, account, "PUT", url, content=content, headers=headers)

    def download(self, account: Account, url: str) -> bytes:
        """A document from an address that Amazon gave for it. Raises `DocumentFailed`."""
        return self._document(calling(account.report, DOWNLOAD), account, "GET", url).content

    def _document(
        self, about: AbstractContextManager[Calling], account: Account, method: str, url: str, **more: Any
    ) -> httpx.Response:
        if not url.startswith("https://") and not (is_loopback(url) and is_loopback(account.endpoint)):
            raise DocumentFailed(problem="no https")
        with about as made:
            try:
                with made.sending():
                    response = self._http(url.split("/", 3)[2]).request(method, url, **more)
            except httpx.HTTPError as error:
                made.answered(None, detail=type(error).__name__)
                log.warning("amazon_document_failed", method=method, problem=type(error).__name__)
                raise DocumentFailed(problem=type(error).__name__) from None
            made.answered(response.status_code)
            if not response.is_success:
                log.warning("amazon_document_failed", method=method, status=response.status_code)
                raise DocumentFailed(problem=f"status {response.status_code}")
        return response

    def _once(
        self,
        account: Account,
        operation: Operation,
        path: Mapping[str, str],
        params: Mapping[str, str] | None,
        json: Any,
        reserve: float,
        start: float | None,
        spare: bool,
        renew: bool,
        made: Calling,
    ) -> Answer:
        bucket = self._shared.key("amazon", "bucket", operation.name, account.key)
        quarter = Plan(operation.plan.rate / 4, operation.plan.burst / 4)
        shared: Granted | None = None
        token: str | None = None
        for renewed in (False, True):
            token = self._tokens.get(account, instead_of=token)
            if spare:
                shared = self._throttle.take(f"{bucket}:spare", quarter, start=None if start is None else start / 4)
                reserve = operation.plan.burst / 2
            granted = self._throttle.take(bucket, operation.plan, reserve=reserve, start=start)
            response = self._send(account, operation, path, params, json, token, made)
            if renewed or not renew or not _token_is_stale(response):
                break
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            seconds = self._throttle.refused(bucket, operation.plan)
            log.warning("amazon_refused_rate", operation=operation.name, seconds=round(seconds), **_id(response))
            raise Throttled(channel="Amazon", seconds=seconds)
        rate = _learned(response, account, operation)
        self._throttle.answered(bucket, granted, rate)
        if shared:
            self._throttle.answered(f"{bucket}:spare", shared, rate and rate / 4)
        return _understood(response, account, operation, params or {})

    def _send(
        self,
        account: Account,
        operation: Operation,
        path: Mapping[str, str],
        params: Mapping[str, str] | None,
        json: Any,
        token: str,
        made: Calling,
    ) -> httpx.Response:
        url = account.endpoint + operation.path.format(**{name: quote(value, safe="") for name, value in path.items()})
        headers = {"x-amz-access-token": token}
        try:
            with made.sending():
                response = self._http(account.endpoint).request(
                    operation.method, url, params=params, json=json, headers=headers
                )
        except NEVER_LEFT as error:
            made.answered(None, detail=type(error).__name__)
            log.warning("amazon_unreachable", operation=operation.name, problem=type(error).__name__)
            raise Unreachable(host=host_of(account.endpoint), problem=type(error).__name__) from None
        except httpx.TimeoutException as error:  # another try would most likely time out, too
            made.answered(None, detail=type(error).__name__)
            log.warning("amazon_silent", operation=operation.name, problem=type(error).__name__)
            raise (AnswerLost if operation.writes else Silent)(problem=type(error).__name__) from None
        except httpx.HTTPError as error:
            made.answered(None, detail=type(error).__name__)
            log.warning("amazon_hung_up", operation=operation.name, problem=type(error).__name__)
            raise (AnswerLost if operation.writes else HungUp)(problem=type(error).__name__) from None
        request_id = response.headers.get("x-amzn-requestid", "")
        made.answered(response.status_code, request_id=request_id, detail=_code(response))
        return response

    def _http(self, url: str) -> httpx.Client:
        """The connections of this process to an endpoint; a forked child never uses those of its parent."""
        key = os.getpid(), url
        if key not in self._pools:
            self._pools[key] = httpx.Client(
                timeout=TIMEOUT,
                headers={"user-agent": user_agent(), "accept": "application/json, application/hal+json"},
                verify=_authorities(),
                trust_env=not is_loopback(url),  # a proxy can't reach services on this machine
            )
        return self._pools[key]


@cache
def _authorities() -> ssl.SSLContext:
    """The certificate authorities of this machine; reading them takes 20 ms, longer than a call to a near server."""
    return httpx.create_ssl_context()


def _id(response: httpx.Response) -> dict[str, Any]:
    return {"status": response.status_code, "request_id": response.headers.get("x-amzn-requestid")}


def _token_is_stale(response: httpx.Response) -> bool:
    """Whether a new token may help: Amazon answers an expired token and a missing role alike, and a new role needs a
    new token.
    """
    return response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


def _learned(response: httpx.Response, account: Account, operation: Operation) -> float | None:
    """The rate in Amazon's answer for this account, within limits; None if the answer has none."""
    try:
        rate = float(response.headers["x-amzn-ratelimit-limit"])
    except (KeyError, ValueError):
        return None
    if not 0 < rate < 100_000:
        return None
    if account.at_amazon:
        low, high = (bound * operation.plan.rate for bound in LEARNED)
        return min(max(rate, low), high)
    return rate


def _understood(response: httpx.Response, account: Account, operation: Operation, params: Mapping[str, str]) -> Answer:
    """The answer, or the error that the response means, raised."""
    if response.is_success:
        body = {} if operation.bodiless else _object(response)
        if body is None:
            log.warning("amazon_unintelligible", operation=operation.name, **_id(response))
            raise (AnswerLost if operation.writes else Unintelligible)(problem="no JSON object")
        return Answer(body, response.headers.get("x-amzn-requestid", ""), at=_date(response))
    log.warning("amazon_failed", operation=operation.name, **_id(response))
    sentence, named = _said(response)
    match response.status_code:
        case 401 | 403:
            region = account.region.upper()
            raise AccessDenied(channel="Amazon", problem=sentence, region=region, operation=operation.name, named=named)
        case 404:
            raise NotThere(problem=sentence, named=named)
        case 400 if (params.get("paginationToken") or params.get("nextToken")) and "token" in named.lower():
            raise PageRefused(channel="Amazon")
        case status if 400 <= status < 500:
            raise RequestRefused(problem=sentence, named=named)
        case status if operation.writes:
            raise AnswerLost(problem=f"status {status}")
        case status if status >= 500:
            raise Troubled(status=status)
        case status:
            raise Unintelligible(problem=f"status {status}")


def _date(response: httpx.Response) -> datetime | None:
    """When the answer was given, by Amazon's clock."""
    try:
        at = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None
    return at if at.tzinfo else None


def _object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _errors(response: httpx.Response) -> list[dict[str, Any]]:
    body = _object(response) or {}
    return [error for error in body.get("errors") or () if isinstance(error, dict)]


def _code(response: httpx.Response) -> str:
    """Amazon's code for why it did not do this, such as QuotaExceeded; empty if it gives none."""
    codes = [] if response.is_success else [str(error.get("code") or "") for error in _errors(response)]
    return next((code for code in codes if _CODE.fullmatch(code)), "")


def _said(response: httpx.Response) -> tuple[str, str]:
    """Amazon's sentence for people, and all words of its errors, in which names are looked for."""
    errors = _errors(response)
    words = [str(error.get(part) or "") for error in errors for part in ("message", "details", "code")]
    sentences = dict.fromkeys(
        str(one) for error in errors for one in (error.get("message") or error.get("code"), error.get("details")) if one
    )
    sentence = " ".join("".join(c if c.isprintable() else " " for c in one).strip() for one in sentences)
    return sentence[:LONGEST_SENTENCE] or f"status {response.status_code}", " ".join(words)
