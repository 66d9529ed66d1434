"""Errors of Amazon, each with its own sentence: stored by code, and translated for each reader.

`client` raises them, `channel` turns errors about an update into outcomes. No error contains a token or data of an
order.
"""

from typing import Any

from plugins.amazon.marketplaces import REGIONS
from webapp.api import DENIED_FOR, CallOutcome, ChannelError, Denied, DeniedThing, Disconnected, lazy_gettext as _l


class AmazonError(ChannelError):
    """Amazon could not be asked, or refused."""

    code = "amazon_failed"
    sentence = _l("Amazon could not be reached.")


class Unreachable(AmazonError):
    """No connection was made, so the call certainly had no effect."""

    code = "amazon_unreachable"
    sentence = _l("Waybill can't reach Amazon at %(host)s (%(problem)s). Check the network and the endpoint.")
    retry_after = 30.0


class HungUp(AmazonError):
    """The connection broke during a reading call."""

    code = "amazon_hung_up"
    sentence = _l("The connection to Amazon was interrupted (%(problem)s). Waybill retries automatically.")


class Silent(AmazonError):
    """No answer came within the timeout."""

    code = "amazon_silent"
    sentence = _l("Amazon did not answer in time (%(problem)s). Waybill retries automatically.")


class AnswerLost(AmazonError):
    """A write was sent and no usable answer came: it may or may not have had an effect."""

    code = "amazon_answer_lost"
    outcome = CallOutcome.LOST
    sentence = _l("Amazon's answer was lost (%(problem)s), so Waybill does not know whether the call took effect.")


class Troubled(AmazonError):
    """Amazon reported a failure on its own side."""

    code = "amazon_troubled"
    sentence = _l("Amazon has a temporary problem (%(status)s). Waybill retries automatically.")


class Unintelligible(AmazonError):
    """The answer is not what the API promises, such as a web page."""

    code = "amazon_unintelligible"
    sentence = _l("Amazon's answer can't be read (%(problem)s). Waybill retries automatically.")
    retry_after = 120.0


class DocumentFailed(AmazonError):
    """A document could not be stored at Amazon, or fetched from there; nothing was submitted by it."""

    code = "amazon_document_failed"
    sentence = _l("A document could not be exchanged with Amazon (%(problem)s). Waybill retries automatically.")


class SellerIdMissing(AmazonError):
    """Feeds must name the seller."""

    code = "amazon_seller_id_missing"
    sentence = _l("Amazon requires the seller ID for this update. Enter the seller ID in the settings of the store.")


class FeedRefused(AmazonError):
    """Amazon takes no feed of this kind as it stands."""

    code = "amazon_feed_refused"
    sentence = _l("Amazon refused all updates that were sent together: %(problem)s")


class ReportUnclear(AmazonError):
    """The processing report of a feed does not fit what was sent in it."""

    code = "amazon_report_unclear"
    sentence = _l("Amazon's report does not clearly show the result of this update.")


class RequestRefused(AmazonError):
    """Amazon refused this very request; `named` holds all words of its answer, in which names are looked for."""

    code = "amazon_refused"
    outcome = CallOutcome.REFUSED
    sentence = _l("Amazon refused this: %(problem)s")
    retry_after = 300.0

    def __init__(self, *, named: str = "", **values: Any) -> None:
        super().__init__(**values)
        self.named = named


class NotThere(RequestRefused):
    """The account has nothing with this name at Amazon."""

    code = "amazon_not_there"
    sentence = _l("Amazon did not find this: %(problem)s")


class ApplicationRefused(Disconnected):
    """Amazon does not know the client id, or the client secret is wrong or has expired."""

    code = "amazon_application_refused"
    sentence = _l(
        "Amazon does not accept the client ID and secret. One of them is mistyped, or the secret has expired "
        "(180 days after it was created, or 7 days after a newer one was created). Copy both again from your "
        "application's page."
    )


class ApplicationNotAllowed(Disconnected):
    """Amazon knows the application and does not let it sign in for sellers."""

    code = "amazon_application_not_allowed"
    sentence = _l(
        "Amazon knows this application, but the application can't sign in for sellers. It is not an "
        "application for the Selling Partner API, or it was suspended. Check its status on your application's "
        "page."
    )


class PermissionWithdrawn(Disconnected):
    """The refresh token is wrong or expired, the seller withdrew it, or it was given to another application."""

    code = "amazon_permission_withdrawn"
    sentence = _l(
        "Amazon does not accept the refresh token. It is mistyped, belongs to another application, was "
        "revoked, or is older than one year. Authorize the application again and enter the new token."
    )


class ConsentRefused(AmazonError):
    """The seller did not authorize the application."""

    code = "amazon_consent_refused"
    sentence = _l("Nothing was authorized, because the consent was refused at Amazon. The store was not changed.")


class ConsentUnclear(AmazonError):
    """The seller was sent back without what a consent gives."""

    code = "amazon_consent_unclear"
    sentence = _l("Amazon sent you back without an authorization. Start the authorization again.")


class ConsentTooLate(AmazonError):
    """The code of the consent has expired or was used."""

    code = "amazon_consent_too_late"
    sentence = _l(
        "Amazon no longer accepts this authorization, because its code is valid for five minutes and only "
        "once. Start the authorization again."
    )


class AnotherSeller(AmazonError):
    """A seller consented who is not the store's."""

    code = "amazon_another_seller"
    sentence = _l(
        "The seller %(seller)s gave consent, but this store belongs to the seller %(known)s. Sign in at "
        "Amazon as %(known)s, or add a store for %(seller)s."
    )


class AccessDenied(Denied):
    """The token is valid but lacks the right for this call; `named` as in `RequestRefused`."""

    code = "amazon_access_denied"
    sentence = _l(
        "Amazon does not permit this call (%(operation)s). The application lacks the role for it, or the "
        "account does not belong to the region “%(region)s”."
    )

    def __init__(self, *, named: str = "", **values: Any) -> None:
        super().__init__(name=str(values.get("operation", "")), **values)
        self.named = named


class MarketplaceDenied(Denied):
    """The account has no right to read the orders of this one marketplace."""

    code = "amazon_marketplace_denied"
    sentence = _l("Amazon does not permit Waybill to read the orders of %(site)s.")
    thing = DeniedThing.MARKETPLACE


class EndpointNotAllowed(Disconnected):
    """The desk itself refuses to sign in: the store has an endpoint of its own, which this desk does not allow."""

    code = "amazon_endpoint_not_allowed"
    sentence = _l("This desk does not allow custom endpoints. Leave the endpoints of the store empty.")


class NothingSold(AmazonError):
    """The credentials work, but no marketplace is open to the seller."""

    code = "amazon_nothing_sold"
    retry_after = DENIED_FOR
    sentence = _l("The credentials work, but the account sells in none of the chosen marketplaces (%(chosen)s).")


class WrongRegion(AmazonError):
    """The credentials work, but for marketplaces of another region than the store's."""

    code = "amazon_wrong_region"
    retry_after = DENIED_FOR
    sentence = _l(
        "The account belongs to another region, because it sells in %(countries)s. Choose the region "
        "“%(region)s” for this store."
    )

    def __str__(self) -> str:
        region = str(self.values.get("region", ""))
        return str(self.sentence) % {**self.values, "region": REGIONS.get(region, region)}
