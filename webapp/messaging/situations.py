"""The situations of message templates, and their standard texts.

The texts are written in each language for its readers, not translated: they are data, and change for everybody with an
update of the desk. A merchant's own text for a situation takes the place of the one here: see
`webapp.messaging.templates`.
"""

from collections.abc import Mapping
from typing import Final

from webapp.i18n import LazyString, lazy_gettext as _l

CUSTOM: Final = "custom"
SITUATIONS: Mapping[str, LazyString] = {
    "delay": _l("Delay"),
    "question": _l("Question"),
    "invoice": _l("Invoice attached"),
    "credit_memo": _l("Credit memo attached"),
    "shipped": _l("Shipped"),
    "address": _l("Address check"),
    "return": _l("Return"),
    CUSTOM: _l("Custom"),
}
TEXTS: Mapping[str, Mapping[str, str]] = {  # by language and situation
    "en": {
        "delay": """\
Hello,

We are sorry: your order {order_number} ({items}) will leave later than we had planned. We are doing what we can, and \
will send it as soon as possible.

Thank you for your patience.
{shop_name}""",
        "question": """\
Hello,

Thank you for your order {order_number}. Before we send {items}, we need to know one thing from you:

{write_here}

Just answer this message. Thank you!
{shop_name}""",
        "invoice": """\
Hello,

The invoice {invoice_number} for your order {order_number} is attached.

Thank you for your purchase.
{shop_name}""",
        "credit_memo": """\
Hello,

We have refunded you for your order {order_number}. The credit memo {credit_memo_number} is attached.

Kind regards
{shop_name}""",
        "shipped": """\
Hello,

Your order {order_number} is on its way to you with {carrier}. The tracking number is {tracking_number}.

Thank you for your purchase.
{shop_name}""",
        "address": """\
Hello,

Before we send your order {order_number}, we would like to be sure that it reaches you. Is the delivery address \
complete, with the house number and, if there is one, the floor or the company? Please tell us if anything is missing.

Thank you!
{shop_name}""",
        "return": """\
Hello,

We are sorry that your order {order_number} is coming back to us. Please pack the goods well, and put the return slip \
into the parcel. As soon as it is here and we have looked at it, we will refund you.

Kind regards
{shop_name}""",
    },
    "fr": {
        "delay": """\
Bonjour,

Nous sommes désolés : votre commande {order_number} ({items}) partira plus tard que prévu. Nous faisons tout notre \
possible pour vous l’expédier au plus vite.

Merci de votre patience.
{shop_name}""",
        "question": """\
Bonjour,

Merci pour votre commande {order_number}. Avant de vous expédier {items}, nous avons besoin d’une précision :

{write_here}

Il vous suffit de répondre à ce message. Merci d’avance !
{shop_name}""",
        "invoice": """\
Bonjour,

Vous trouverez ci-joint la facture {invoice_number} de votre commande {order_number}.

Merci pour votre achat.
{shop_name}""",
        "credit_memo": """\
Bonjour,

Nous vous avons remboursé pour votre commande {order_number}. Vous trouverez ci-joint l’avoir {credit_memo_number}.

Bien à vous,
{shop_name}""",
        "shipped": """\
Bonjour,

Votre commande {order_number} est en route avec {carrier}. Son numéro de suivi est {tracking_number}.

Merci pour votre achat.
{shop_name}""",
        "address": """\
Bonjour,

Avant d’expédier votre commande {order_number}, nous voulons être sûrs qu’elle vous parviendra. L’adresse de livraison \
est-elle complète, avec le numéro de rue et, le cas échéant, l’étage ou le nom de la société ? Dites-nous s’il manque \
quelque chose.

Merci !
{shop_name}""",
        "return": """\
Bonjour,

Nous sommes désolés que votre commande {order_number} nous revienne. Emballez bien les articles et glissez le bon de \
retour dans le colis. Dès que nous l’aurons reçu et vérifié, nous vous rembourserons.

Bien à vous,
{shop_name}""",
    },
}
