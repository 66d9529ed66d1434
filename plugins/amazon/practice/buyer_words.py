"""What buyers write by themselves, and the words around a mail, in the languages of the marketplaces."""

from datetime import UTC, datetime
from typing import Final

SENTENCES: Final = {
    "en": (
        "Thank you for the quick answer. When will it arrive?",
        "Hello, I have a question: can I still change the delivery address?",
        "The parcel is here, but one item is missing. What can we do?",
    ),
    "de": (
        "Vielen Dank für die schnelle Antwort. Wann kommt das Paket an?",
        "Guten Tag, kann ich die Lieferadresse noch ändern?",
        "Das Paket ist da, aber ein Artikel fehlt. Was können wir tun?",
    ),
    "fr": (
        "Merci pour votre réponse rapide. Quand le colis arrivera-t-il ?",
        "Bonjour, puis-je encore changer l’adresse de livraison ?",
        "Le colis est arrivé, mais il manque un article. Que pouvons-nous faire ?",
    ),
    "it": (
        "Grazie per la rapida risposta. Quando arriverà il pacco?",
        "Buongiorno, posso ancora cambiare l’indirizzo di consegna?",
        "Il pacco è arrivato, ma manca un articolo. Che cosa possiamo fare?",
    ),
    "es": (
        "Gracias por la rápida respuesta. ¿Cuándo llegará el paquete?",
        "Hola, ¿puedo cambiar todavía la dirección de entrega?",
        "El paquete ha llegado, pero falta un artículo. ¿Qué podemos hacer?",
    ),
    "ja": (
        "早速のお返事をありがとうございます。いつ届きますか。",
        "お届け先の住所はまだ変更できますか。",
        "荷物は届きましたが、商品が一つ足りません。どうすればよいでしょうか。",
    ),
}
WROTE: Final = {
    "en": "On {date}, {who} wrote:",
    "de": "Am {date} schrieb {who}:",
    "fr": "Le {date}, {who} a écrit :",
    "it": "Il {date}, {who} ha scritto:",
    "es": "El {date}, {who} escribió:",
    "ja": "{date} {who}:",
}
OUTLOOK: Final = {  # From, Sent, To, Subject
    "en": ("From:", "Sent:", "To:", "Subject:"),
    "de": ("Von:", "Gesendet:", "An:", "Betreff:"),
    "fr": ("De :", "Envoyé :", "À :", "Objet :"),
    "it": ("Da:", "Inviato:", "A:", "Oggetto:"),
    "es": ("De:", "Enviado:", "Para:", "Asunto:"),
    "ja": ("差出人:", "送信日時:", "宛先:", "件名:"),
}
INQUIRY: Final = {  # the subject of a buyer's message that Amazon passes on
    "en": "Inquiry from Amazon customer {name} (Order: {order})",
    "de": "Anfrage vom Amazon-Kunden {name} (Bestellung: {order})",
    "fr": "Demande du client Amazon {name} (Commande : {order})",
    "it": "Richiesta dal cliente Amazon {name} (Ordine: {order})",
    "es": "Consulta del cliente de Amazon {name} (Pedido: {order})",
    "ja": "Amazonのお客様 {name} からのお問い合わせ (注文番号: {order})",
}
ABOUT_ORDER: Final = {
    "en": "Question about order {order}",
    "de": "Frage zur Bestellung {order}",
    "fr": "Question sur la commande {order}",
    "it": "Domanda sull’ordine {order}",
    "es": "Pregunta sobre el pedido {order}",
    "ja": "注文 {order} について",
}
STRAY: Final = {
    "en": "A question",
    "de": "Eine Frage",
    "fr": "Une question",
    "it": "Una domanda",
    "es": "Una pregunta",
    "ja": "質問",
}
AWAY: Final = {
    "en": "Automatic reply: {subject}",
    "de": "Automatische Antwort: {subject}",
    "fr": "Réponse automatique : {subject}",
    "it": "Risposta automatica: {subject}",
    "es": "Respuesta automática: {subject}",
    "ja": "自動応答: {subject}",
}


def sentence(language: str, number: int) -> str:
    """One of the sentences that buyers write by themselves."""
    known = SENTENCES[language]
    return known[number % len(known)]


def wrote(language: str, at_ms: int, who: str) -> str:
    """The line above a quoted text."""
    return WROTE[language].format(date=day_and_time(at_ms), who=who)


def day_and_time(at_ms: int) -> str:
    """A moment as mail programs write it."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"
