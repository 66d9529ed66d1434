"""What a channel says of the taxes of lines beside their amounts: the scheme under which the tax is declared, and who
collects and pays it in place of the seller. A document keeps it as it was when it was issued.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from webapp.billing.remaining import Part
from webapp.channels.models import ChannelLine
from webapp.db import among, db

TaxTold = dict[str, list[str]]  # what is told of the lines of a document, each thing once, by these names
_FACTS = {  # the facts of a channel's line
    "schemes": "tax_scheme",
    "ioss": "ioss_number",
    "paid_by": "tax_paid_by",
}


def told_of(plans: Sequence[Sequence[Part]]) -> list[TaxTold]:
    """What is told of the lines of these documents, in one query."""
    ids = {part.line.channel_line_id for parts in plans for part in parts if part.line is not None}
    query = select(ChannelLine.id, ChannelLine.facts).where(among(ChannelLine.id, sorted(filter(None, ids))))
    facts: dict[int | None, dict[str, Any]] = dict(db.session.execute(query).all()) if ids else {}
    return [_told([facts.get(part.line.channel_line_id, {}) for part in parts if part.line]) for parts in plans]


def _told(lines: Sequence[dict[str, Any]]) -> TaxTold:
    found = {name: list(dict.fromkeys(line[fact] for line in lines if line.get(fact))) for name, fact in _FACTS.items()}
    return {name: values for name, values in found.items() if values}
