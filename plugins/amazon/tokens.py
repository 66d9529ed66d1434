"""Access tokens of Login with Amazon: one per account, sealed in Redis, shared by all workers, and renewed by one of
them.

A token is valid for an hour; it is used until a minute before its end. Without Redis, each process keeps its own.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import structlog
from redis import Redis
from redis.exceptions import LockError, RedisError

from plugins.amazon.accounts import Account, host_of
from plugins.amazon.errors import (
    ApplicationNotAllowed,
    ApplicationRefused,
    ConsentTooLate,
    HungUp,
    PermissionWithdrawn,
    Silent,
    Troubled,
    Unintelligible,
    Unreachable,
)
from plugins.amazon.shared import Shared
from webapp.api import ChannelError, DeskError, Disconnected, Throttled, calling

log = structlog.get_logger(__name__)
EARLY = 60  # seconds before the end of a token at which it is no longer used
LOCK = 40  # seconds: longer than the longest call for a token
PATIENCE = 12  # seconds to wait for another worker's new token before fetching one ourselves
SIGN_IN = "getAccessToken"  # what the log calls it
KEPT = 100  # tokens that a process keeps while Redis is away
NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
_REFUSALS: Mapping[str, type[Disconnected]] = {
    "invalid_client": ApplicationRefused,
    "unauthorized_client": ApplicationNotAllowed,
    "invalid_grant": PermissionWithdrawn,
}


class Tokens:
    """Finds or fetches the access token of an account."""

    def __init__(self, shared: Shared, http: Callable[[str], httpx.Client]) -> None:
        self._shared = shared
        self._http = http
        self._own: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, account: Account, *, instead_of: str | None = None) -> str:
        """The account's token. `instead_of` is a token that Amazon no longer accepts: the first worker to report it
        renews it for all.
        """
        key = self._shared.key("amazon", "token", account.token_key)
        try:
            token = self._shared_token(key, instead_of)
            return token or self._renew_together(key, account, instead_of)
        except LockError:
            return self._fetch(account)[0]
        except RedisError:
            return self._own_token(account, instead_of)

    def _shared_token(self, key: str, instead_of: str | None) -> str | None:
        sealed: Any = self._shared.ask(lambda redis: redis.get(key))
        if sealed is None:
            return None
        try:
            token = self._shared.unseal(sealed.decode())
        except (DeskError, ValueError) as error:  # sealed under another secret of the desk: replaced soon
            log.info("amazon_token_unreadable", problem=type(error).__name__)
            return None
        return None if token == instead_of else token

    def _renew_together(self, key: str, account: Account, instead_of: str | None) -> str:
        def renew(redis: Redis) -> str:
            with redis.lock(f"{key}:lock", timeout=LOCK, sleep=0.05, blocking_timeout=PATIENCE):
                if token := self._shared_token(key, instead_of):
                    return token
                token, lasts = self._fetch(account)
                if lasts > EARLY:
                    redis.set(key, self._shared.seal(token), ex=lasts - EARLY)
                return token

        return self._shared.ask(renew)

    def _own_token(self, account: Account, instead_of: str | None) -> str:
        with self._lock:
            token, until = self._own.get(account.token_key, ("", 0.0))
            if token and token != instead_of and time.monotonic() < until:
                return token
        token, lasts = self._fetch(account)
        with self._lock:
            self._own[account.token_key] = token, time.monotonic() + max(lasts - EARLY, 1)
            while len(self._own) > KEPT:
                self._own.popitem(last=False)
        return token

    def _fetch(self, account: Account) -> tuple[str, int]:
        """Fetch a new token; returns it with the seconds for which it is valid. Raises errors of `errors`."""
        said = self._granted(account, {"grant_type": "refresh_token", "refresh_token": account.refresh_token})
        lasts = said.get("expires_in")
        return said["access_token"], lasts if isinstance(lasts, int) else 3600

    def exchange(self, account: Account, code: str, back: str) -> str:
        """The refresh token for the code of a seller's consent. Raises `ConsentTooLate`, and errors of `errors`."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
        try:
            token = self._granted(account, form).get("refresh_token")
        except PermissionWithdrawn:
            raise ConsentTooLate from None
        if not isinstance(token, str) or not token:
            raise Unintelligible(problem="no refresh token")
        return token

    def _granted(self, account: Account, form: dict[str, str]) -> dict[str, Any]:
        """The answer to a request for tokens, which has an access token. Raises errors of `errors`."""
        form |= {"client_id": account.client_id, "client_secret": account.client_secret}
        with calling(account.report, SIGN_IN) as made:
            try:
                with made.sending():
                    answer = self._http(account.token_endpoint).post(account.token_endpoint, data=form)
            except (*NEVER_LEFT, httpx.HTTPError) as error:
                made.answered(None, detail=type(error).__name__)
                raise _unanswered(account, error) from None
            said = _json(answer)
            request_id, problem = answer.headers.get("x-amzn-requestid", ""), said.get("error")
            made.answered(answer.status_code, request_id=request_id, detail=str(problem or ""))
            if answer.status_code == httpx.codes.OK and isinstance(said.get("access_token"), str):
                return said
            raise self._refusal(answer, said)

    def _refusal(self, answer: httpx.Response, said: dict[str, Any]) -> ChannelError:
        log.warning(
            "amazon_token_refused", status=answer.status_code, request_id=answer.headers.get("x-amzn-requestid")
        )
        if isinstance(why := said.get("error"), str) and why in _REFUSALS:
            return _REFUSALS[why](channel="Amazon", problem="")
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            return Throttled(channel="Amazon", seconds=30)
        if answer.is_server_error:
            return Troubled(status=answer.status_code)
        return Unintelligible(problem=f"status {answer.status_code} for a token")


def _unanswered(account: Account, error: Exception) -> ChannelError:
    problem = type(error).__name__
    if isinstance(error, NEVER_LEFT):
        return Unreachable(host=host_of(account.token_endpoint), problem=problem)
    return (Silent if isinstance(error, httpx.TimeoutException) else HungUp)(problem=problem)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
