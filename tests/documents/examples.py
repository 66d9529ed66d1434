"""A document with every kind of part, for tests of drawings."""

from dataclasses import replace
from typing import Any

from webapp.channels.legal_face import Face
from webapp.documents.composed import Column, Document, Fact, Party, Style, Text

LONG = "A mug “Café au lait”, 500 ml, dishwasher safe, in a box, with a title as long as merchants write them"


def row(quantity: int, sku: str, *product: Text) -> tuple[tuple[Text, ...], ...]:
    return (Text(str(quantity), Style.STRONG),), (Text(sku),), product


def document(paper: str = "a4", *, length: int = 2, **changed: Any) -> Document:
    lines = [
        row(2, "MUG-BLUE", Text(LONG), Text("Customization: Zoë 😀", Style.NOTE, lead="Customization")),
        row(1, "SKU-" + "0123456789" * 6, Text("お茶、緑茶 한글 ★"), Text("Happy birthday!\n誕生日", Style.QUOTE)),
    ]
    found = Document(
        title="Packing slip",
        language="en",
        paper=paper,
        face=Face("Harbor & Co", "Harbor GmbH", "1 Rue X\n75001 Paris", "FR1"),
        vat_number="VAT number FR1",
        codes=("WB-100000012",),
        parties=(Party("Ship to", ("Zoë Ångström", "東京都千代田区丸の内1丁目", "Łódź", "Germany")),),
        facts=(
            Fact("Order", "WB-100000012", Style.STRONG),
            Fact("Fake channel order number", "302-0000003-0000001"),
            Fact("Placed", "Nov 29, 2026, 18:46"),
        ),
        columns=(Column("Quantity", 16, is_number=True), Column("SKU", 25), Column("Product", 59)),
        rows=tuple(lines[place % 2] for place in range(length)),
        totals=(Fact("Units", "3", Style.STRONG),),
        banner="PRACTICE – not a real order",
        notes=(Text("Delivery instructions: Ring twice", Style.NOTE, lead="Delivery instructions"),),
        closing=(Text("Reprint: these units have already shipped.", Style.NOTE),),
    )
    return replace(found, **changed)
