"""The credentials of a store at Amazon: where a person finds them, and how to tell one from another."""

from plugins.amazon.marketplaces import REGIONS
from webapp.api import GuideStep, LazyString, lazy_gettext as _l

CLIENT_ID, SECRET, REFRESH_TOKEN = "amzn1.application-oa2-client.", "amzn1.oa2-cs.", "Atzr|"  # prefixes
APPLICATION_IDS = ("amzn1.sp.solution.", "amzn1.sellerapps.app.")
_AN_APPLICATION = _l("This is an application ID. Enter it in the field “Application ID”.")
_BY_PREFIX: tuple[tuple[str, LazyString | str], ...] = (
    (CLIENT_ID, _l("This is a client ID. Enter it in the field “Client ID”.")),
    (SECRET, _l("This is a client secret. Enter it in the field “Client secret”.")),
    (REFRESH_TOKEN, _l("This is a refresh token. Enter it in the field “Refresh token”.")),
    (
        "Atza|",
        _l(
            "This is an access token, which is valid for one hour only. Enter the refresh token, which begins with "
            "“Atzr”."
        ),
    ),
    *((prefix, _AN_APPLICATION) for prefix in APPLICATION_IDS),
    (
        "AKIA",
        _l(
            "This is an AWS key, which Amazon no longer requires. Copy the value that “View” shows under LWA "
            "credentials."
        ),
    ),
)


def check_client_id(text: str) -> None:
    """Refuse what is plainly another credential: ValueError with a sentence that says which."""
    _refuse_others(text, CLIENT_ID)


def check_secret(text: str) -> None:
    """Like `check_client_id`, for the client secret."""
    _refuse_others(text, SECRET)


def check_refresh_token(text: str) -> None:
    """Like `check_client_id`, for the refresh token."""
    _refuse_others(text, REFRESH_TOKEN)


def _refuse_others(text: str, own: str) -> None:
    for prefix, sentence in _BY_PREFIX:
        if prefix != own and text.startswith(prefix):
            raise ValueError(str(sentence))


_DOCS = "https://developer-docs.amazon.com/sp-api/docs/"
GUIDE = (
    GuideStep(
        title=_l("Open the developer console"),
        text=_l(
            "Sign in to Seller Central as the account's primary user and open Partner Network, Develop Apps "
            "(in some countries Apps and Services). The first time, register as a developer for your own "
            "business. Amazon then opens its Solution Provider Portal."
        ),
        url="https://sellercentral.amazon.com",
    ),
    GuideStep(
        title=_l("Request five roles"),
        text=_l(
            "In the developer profile, choose Inventory and Order Tracking (orders, shipments, "
            "cancellations), Direct-to-Consumer Shipping (delivery addresses), Tax Invoicing (names of "
            "buyers), Finance and Accounting (payments and refunds) and Buyer Communication (messages to "
            "buyers). The second and the third role are restricted: Amazon asks how you protect the data, and "
            "the review may take some days."
        ),
        url=f"{_DOCS}direct-to-consumer-shipping-restricted-role",
    ),
    GuideStep(
        title=_l("Add an application"),
        text=_l(
            "Add an app client for the Selling Partner API and give it the same five roles. Amazon no longer "
            "requires an AWS account, an IAM role or AWS keys."
        ),
    ),
    GuideStep(
        title=_l("Copy the client ID and the client secret"),
        text=_l(
            "In the list of your applications, choose View in the column LWA credentials. The client ID and the "
            "client secret are shown there."
        ),
    ),
    GuideStep(
        title=_l("Copy the refresh token, or authorize with the button"),
        text=_l(
            "In the menu of the application, choose Authorize, then authorize your own account. Amazon shows "
            "the refresh token only once, so copy it at once. Authorizing again creates a new token. Or "
            "register this desk's address followed by /stores/authorized as the application's redirect URI "
            "(Amazon requires https), enter the application ID here, and press Authorize at Amazon. Then you "
            "need not copy the token and the seller ID."
        ),
    ),
    GuideStep(
        title=_l("Copy the seller ID"),
        text=_l("In Seller Central open Settings, Account Info, Merchant token. It begins with an A."),
    ),
    GuideStep(
        title=_l("Choose the region"),
        text=_l(
            "An authorization is valid for one seller account in one region: %(na)s; %(eu)s; %(fe)s. Add one "
            "store for each region, and enter the marketplaces that you want in it. Other sellers may "
            "authorize the same application: add a store for each of them, with its own refresh token and "
            "seller ID.",
            **REGIONS,
        ),
    ),
    GuideStep(
        title=_l("Later: a new secret every 180 days, a new authorization every year"),
        text=_l(
            "After Rotate secret at Amazon, the old secret works for seven more days. Enter the new secret on "
            "the store's settings page, test it without saving, then save. Waybill warns you 30 days before "
            "both dates."
        ),
        url=f"{_DOCS}rotating-your-apps-lwa-credentials",
    ),
)
