"""The data of a seller's account for calls to Amazon, from the settings of a store."""

import hashlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from plugins.amazon.errors import EndpointNotAllowed
from plugins.amazon.marketplaces import ENDPOINTS, TOKEN_ENDPOINT
from webapp.api import Call, StoreAccess, configuration, gettext

_ADDRESS = re.compile(r"(https?)://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._/-]*)?")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Account:
    """The endpoints and credentials of an account; its representation shows no secret."""

    region: str
    endpoint: str
    token_endpoint: str
    seller_id: str  # empty for a store that was connected before it was asked for
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    report: Callable[[Call], None] = field(repr=False, compare=False)

    @classmethod
    def of(cls, store: StoreAccess) -> "Account":
        """The account of a store. Raises EndpointNotAllowed if the store names endpoints that this desk does not
        allow.
        """
        custom = {name: str(store.settings.get(name) or "").strip() for name in ("endpoint", "token_endpoint")}
        if any(custom.values()) and not (store.practice or configuration().custom_endpoints):
            raise EndpointNotAllowed(channel="Amazon", problem="")
        region = str(store.settings.get("region") or "na")
        return cls(
            region=region,
            endpoint=(custom["endpoint"] or ENDPOINTS[region]).rstrip("/"),
            token_endpoint=custom["token_endpoint"] or TOKEN_ENDPOINT,
            seller_id=str(store.settings.get("seller_id") or "").strip(),
            client_id=str(store.settings["client_id"]),
            client_secret=str(store.settings["client_secret"]),
            refresh_token=str(store.settings["refresh_token"]),
            report=store.report,
        )

    @property
    def key(self) -> str:
        """An identifier for data of this account alone; it reveals nothing about the account. Without a seller id the
        refresh token stands for it.
        """
        return account_key(self.client_id, self.seller_id or self.refresh_token, self.region, self.endpoint)

    @property
    def token_key(self) -> str:
        """Like `key`, but for access tokens: a new client secret or token endpoint gives another key, so no old
        token is used.
        """
        parts = (self.key, self.client_secret, self.refresh_token, self.token_endpoint)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]

    def in_region(self, region: str) -> "Account | None":
        """The account at the endpoint of another region; None if a custom endpoint does not end in its region's
        code.
        """
        if self.endpoint == ENDPOINTS[self.region]:
            return replace(self, region=region, endpoint=ENDPOINTS[region])
        base, slash, last = self.endpoint.rpartition("/")
        return replace(self, region=region, endpoint=base + slash + region) if last == self.region else None

    @property
    def at_amazon(self) -> bool:
        """Whether the endpoint is one of Amazon's own hosts."""
        return is_of_amazon(self.endpoint)


def account_key(client_id: str, seller: str, region: str, endpoint: str) -> str:
    """The key of a seller's account for one application, in one region, at one endpoint."""
    return hashlib.sha256("\0".join((client_id, seller, region, endpoint)).encode()).hexdigest()[:24]


def check_seller_id(text: str) -> None:
    """Check a seller id for the settings: ValueError with a sentence for anything that is none."""
    if not re.fullmatch(r"A[0-9A-Z]{9,20}", text):
        raise ValueError(
            gettext(
                "Enter a seller ID, such as A2EXAMPLE1234. It begins with an A, followed by capital letters and digits."
            )
        )


def is_loopback(url: str) -> bool:
    """Whether the URL is on this machine."""
    return host_of(url) in _LOOPBACK


def is_of_amazon(url: str) -> bool:
    """Whether the URL is on one of Amazon's own hosts."""
    return f".{host_of(url)}".endswith(".amazon.com")


def host_of(url: str) -> str:
    """The host of a URL; empty if it is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def check_endpoint(url: str) -> None:
    """Check an endpoint for the settings: ValueError with a sentence for a URL that a store may not have."""
    if not url:
        return
    if not configuration().custom_endpoints:
        raise ValueError(gettext("This address can't be changed on this desk. Leave this field empty."))
    if not (found := _ADDRESS.fullmatch(url)) or (found[1] == "http" and not is_loopback(url)):
        raise ValueError(gettext("Enter a plain https:// address."))


def user_agent() -> str:
    """The User-Agent that the desk sends to Amazon."""
    return f"Waybill/{configuration().version} (Language=Python/{sys.version_info.major}.{sys.version_info.minor})"
