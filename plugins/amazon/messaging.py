"""Writing to buyers by Amazon's Messaging API: the kinds of messages, those that an order allows, and sending one.

A message is a text, or, of the kind `invoice`, invoices as files; the files that texts may have are none of an order's
documents, and a legal disclosure and a warranty are files that the desk does not have. Files are uploaded beforehand,
each to an address of its own, which the buyer sees nothing of. Amazon shows nowhere what was sent, so a message whose
answer was lost can't be looked up, and a person decides about it. Text and files are never logged, and no error has
them.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from hashlib import md5
from typing import Any, Final

from plugins.amazon.accounts import Account
from plugins.amazon.client import (
    CREATE_DESTINATION,
    GET_ATTRIBUTES,
    GET_MESSAGES,
    SEND_MESSAGE,
    UPLOAD_ATTACHMENT,
    Client,
)
from plugins.amazon.errors import AccessDenied, AnswerLost, RequestRefused, Unintelligible
from plugins.amazon.shipping import LATER, ForeignUpdate
from webapp.api import (
    AttachedFile,
    Batch,
    ChannelError,
    Effective,
    MailRoute,
    MessageKind,
    MessagesAnswer,
    NotYet,
    Outcome,
    Refused,
    StoreAccess,
    Unknown,
    Update,
    UpdateKind,
    lazy_gettext as _l,
)

KIND: Final = UpdateKind("message", _l("Message to the buyer"), repeatable=False)
MESSAGES: Final = (
    MessageKind(
        "confirmOrderDetails",
        _l("Question about the order"),
        2000,
        _l("Before you ship, ask for information that you need to fulfill the order."),
        situations=("question", "address"),
    ),
    MessageKind(
        "confirmDeliveryDetails",
        _l("Arranging the delivery"),
        2000,
        _l("Agree on a delivery, or ask how the carrier can reach the buyer."),
        situations=("address",),
    ),
    MessageKind(
        "confirmCustomizationDetails",
        _l("Details of a custom product"),
        800,
        _l("Ask for or check the details of a custom product, such as the spelling of a name."),
    ),
    MessageKind(
        "confirmServiceDetails",
        _l("Arranging a service call"),
        2000,
        _l("For home services, arrange the visit, or ask for information that you need before it."),
    ),
    MessageKind(
        "unexpectedProblem",
        _l("Unexpected problem"),
        2000,
        _l(
            "Use this only if an unforeseen problem keeps you from completing the order. Amazon treats it as a "
            "critical message."
        ),
        situations=("delay",),
    ),
    MessageKind(
        "digitalAccessKey",
        _l("Digital access key"),
        400,
        _l("Send the key that the buyer needs for digital content of the order."),
    ),
    MessageKind(
        "invoice",
        _l("Invoice"),
        0,
        _l("Send invoices of the order as files, without text."),
        documents=("invoice",),
        most_documents=5,
    ),
)
BY_MAIL: Final = MailRoute(
    relayed=True,
    documents=("invoice", "credit_memo"),  # Amazon itself tells buyers about shipments
    help=_l(
        "Amazon forwards e-mails to its buyers only from addresses that are registered in Seller Central, "
        "under Messaging permissions. Register the shop's sender there first."
    ),
)
KINDS: Final = {kind.code: kind for kind in MESSAGES}
_LOCALE: Final = re.compile(r"[a-z]{2,3}([-_]\w{2,8})*", re.ASCII)
REPEATED: Final = 12  # characters of the text that Amazon's sentence may have by chance
_OF_BUYERS: Final = re.compile(r"[^\s@]+@[^\s@]+|\+?\d(?:[ ()/.-]{0,2}\d){4,}")  # addresses, telephone numbers


def asked(client: Client, store: StoreAccess, order_number: str, marketplace: str) -> MessagesAnswer:
    """The kinds that Amazon allows for an order now, and the buyer's language. Raises `ChannelError`, but not if only
    the language is not said.
    """
    path, params = {"order": order_number}, {"marketplaceIds": marketplace}
    answer = client.request(Account.of(store), GET_MESSAGES, path=path, params=params, orders=[order_number])
    try:
        actions = actions_in(answer.body)
    except (KeyError, TypeError, AttributeError):
        raise Unintelligible(problem="no actions") from None
    kinds = [kind.code for kind in MESSAGES if kind.code in actions]
    if not kinds:
        return MessagesAnswer()
    with suppress(ChannelError, KeyError, TypeError):  # the kinds count
        answer = client.request(Account.of(store), GET_ATTRIBUTES, path=path, params=params, orders=[order_number])
        if _LOCALE.fullmatch(locale := answer.body["buyer"]["locale"]):
            return MessagesAnswer(kinds, locale.replace("-", "_"))
    return MessagesAnswer(kinds)


def actions_in(answer: Mapping[str, Any]) -> set[str]:
    """The actions that an answer's links lead to; the model lets links have no name. Raises KeyError, TypeError or
    AttributeError for another answer.
    """
    links = answer["_links"]["actions"]
    return {str(link.get("name") or link["href"].partition("?")[0].rpartition("/")[2]) for link in links}


def deliver(client: Client, store: StoreAccess, updates: Batch) -> dict[int, Outcome]:
    """Send the messages, each by a call of its own; an outcome for each."""
    return {update.id: _sent(client, store, updates, update) for update in updates}


def _sent(client: Client, store: StoreAccess, updates: Batch, update: Update) -> Outcome:
    kind = KINDS.get(str(update.payload.get("message")))
    text, files = update.private.get("text"), update.private.get("files", ())
    if kind is None or not isinstance(text, str) or bool(files) == bool(kind.longest):
        unknown = ForeignUpdate(kind=update.kind)
        return Refused(str(unknown), unknown.stored())
    try:
        account = Account.of(store)
        body = {"text": text} if kind.longest else {"attachments": _uploaded(client, account, update, files)}
        attempt = updates.attempt([update])
        attempt.call(
            client.request,
            account,
            SEND_MESSAGE,
            path={"order": update.order_number, "message": kind.code},
            params={"marketplaceIds": update.marketplace},
            json=body,
            updates=[update.id],
        )
    except (RequestRefused, AccessDenied) as error:  # Amazon also denies a kind that this order does not allow
        return Refused(_without(text, str(error.values["problem"])))
    except AnswerLost as error:
        return Unknown(str(error))
    except ChannelError as error:  # nothing was sent
        return NotYet(LATER if error.retry_after is None else error.retry_after, cause=error.stored())
    return Effective()


def _uploaded(
    client: Client, account: Account, update: Update, files: Sequence[AttachedFile]
) -> list[Mapping[str, str]]:
    """The files of a message as Amazon names them once they are uploaded. Nothing reaches the buyer by that. Raises
    `ChannelError`.
    """
    path, updates = {"order": update.order_number, "message": str(update.payload["message"])}, [update.id]
    named: list[Mapping[str, str]] = []
    for file in files:
        content = file.draw()
        digest = b64encode(md5(content, usedforsecurity=False).digest()).decode()
        params = {"marketplaceIds": update.marketplace, "contentMD5": digest, "contentType": file.media_type}
        answer = client.request(account, CREATE_DESTINATION, path=path, params=params, updates=updates)
        id_, url, headers = _destination(answer.body)
        headers = {"content-type": file.media_type} | headers
        client.upload(account, url, content, headers, operation=UPLOAD_ATTACHMENT, updates=updates)
        named.append({"uploadDestinationId": id_, "fileName": file.name})
    return named


def _destination(answer: Mapping[str, Any]) -> tuple[str, str, dict[str, str]]:
    """The id and the address of an upload destination, and the headers that an upload needs."""
    try:
        payload = answer["payload"]
        id_, url, headers = payload["uploadDestinationId"], payload["url"], payload.get("headers") or {}
        given = {str(name).lower(): str(value) for name, value in headers.items()}
    except (KeyError, TypeError, AttributeError):
        raise Unintelligible(problem="no upload destination") from None
    if not isinstance(id_, str) or not isinstance(url, str):
        raise Unintelligible(problem="no upload destination")
    return id_, url, given


def _without(text: str, sentence: str) -> str:
    """Amazon's sentence without what it repeats of the text: long pieces, addresses and numbers however short."""
    sentence, text = " ".join(sentence.split()), " ".join(text.split())
    written = _letters(text)
    sentence = _OF_BUYERS.sub(lambda found: "…" if _letters(found[0]).lstrip("0") in written else found[0], sentence)
    return _without_long(text, sentence)


def _without_long(text: str, sentence: str) -> str:
    same = SequenceMatcher(None, sentence, text, autojunk=False).find_longest_match()
    if same.size < max(1, min(len(text), REPEATED)):
        return sentence
    before, after = sentence[: same.a], sentence[same.a + same.size :]
    return f"{_without_long(text, before)}…{_without_long(text, after)}"


def _letters(text: str) -> str:
    """Letters and digits alone: numbers are written in many ways."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def look_up(updates: Sequence[Update]) -> dict[int, Outcome]:
    """Nobody can find out what became of a message."""
    return {update.id: Unknown() for update in updates}
