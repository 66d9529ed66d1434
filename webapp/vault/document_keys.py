"""What documents say of their buyers, where the law has it kept longer than the order's key: sealed under a data key of
its own for each document, which the key of the month wraps. No week's end touches these keys; deleting the row of a
document makes it unreadable, and destroying the month's key makes it so in backups.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag

from webapp.i18n import lazy_gettext as _l
from webapp.vault.key_file import KeyProblem, decrypt, encrypt, key_file


class SealedDocument(NamedTuple):
    """The columns of a row that keeps what a document says of its buyer: a `MonthName`, and two of bytes."""

    month: str
    wrapped: bytes  # the document's data key
    body: bytes


def seal_document(name: str, said: Mapping[str, Any]) -> SealedDocument:
    """Seal what a document says of its buyer under a new key. It opens under this `name` of the document alone."""
    month, month_key = key_file().current_month()
    key = secrets.token_bytes(32)
    plain = json.dumps(said, ensure_ascii=False).encode(errors="surrogatepass")
    body = encrypt(key, plain, f"document:{name}")
    return SealedDocument(month, encrypt(month_key, key, f"document-key:{name}"), body)


def open_document(name: str, sealed: SealedDocument) -> Mapping[str, Any] | None:
    """What the document says of its buyer; None once the month's key is destroyed. Callers ask for the right, and
    record the opening. Raises `KeyProblem` if the newer copy of the key file would open it.
    """
    month_key = key_file().key(sealed.month)
    if month_key is None:
        key_file().check_known(sealed.month)
        return None
    try:
        key = decrypt(month_key, sealed.wrapped, f"document-key:{name}")
    except InvalidTag:  # a copy of the file from before the month made another key for it
        problem = _l("it has another key for %(period)s. Restore the newer copy.", period=sealed.month)
        raise KeyProblem(path=key_file().path, problem=problem) from None
    said: Mapping[str, Any] = json.loads(decrypt(key, sealed.body, f"document:{name}"))
    return said
