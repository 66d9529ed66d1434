"""Brings the catalogs in line with the sources; for developers, after a visible sentence was added or changed.

It extracts the visible sentences of the desk and each plugin, keeps the translations, drops sentences that are gone,
and compiles. English has no catalog: the message id is the sentence. The files contain nothing that changes by itself:
no dates, no line numbers. The developer translates the sentences that it lists; tests/test_catalogs.py checks this.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT: Final = Path(__file__).resolve().parent.parent
LANGUAGES: Final = ("fr",)
METHODS: Final = [
    ("**/tests/**", "ignore"),
    ("testing.py", "ignore"),  # its fakes are only seen by tests
    ("**.py", "python"),
    ("**/templates/**.html", "jinja2"),
]
OPTIONS: Final = {"**/templates/**.html": {"silent": "false"}}  # a template that can't be read is an error
KEYWORDS: Final[dict[str, Any]] = {
    **DEFAULT_KEYWORDS,
    "_l": None,
    "lazy_gettext": None,
    "lazy_ngettext": (1, 2),
    "lazy_pgettext": ((1, "c"), 2),
}


class Words(Catalog):
    """A catalog whose header contains only what is needed to read it."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Language", str(self.locale)),
            ("Plural-Forms", self.plural_forms),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]


def folders() -> list[Path]:
    """The folders with a catalog of their own: the desk and each plugin."""
    return [ROOT / "webapp", *sorted(path.parent for path in ROOT.glob("plugins/*/__init__.py"))]


def file_of(folder: Path, language: str) -> Path:
    return folder / "translations" / language / "LC_MESSAGES" / "messages.po"


def sources_of(folder: Path) -> list[Path]:
    """The folders whose sentences are in a catalog; the desk's includes those of its supervisor."""
    return [folder, ROOT / "supervisor"] if folder == ROOT / "webapp" else [folder]


def extracted(folder: Path) -> Catalog:
    """The sentences of a catalog's sources, each with its files, in the order of these files."""
    found: dict[tuple[Any, str | None], set[str]] = {}
    for source in sources_of(folder):
        for name, _, sentence, _, context in extract_from_dir(source, METHODS, OPTIONS, keywords=KEYWORDS):
            found.setdefault((sentence, context), set()).add((source / name).relative_to(ROOT).as_posix())
    catalog = Catalog()
    for (sentence, context), files in sorted(found.items(), key=lambda item: (min(item[1]), str(item[0]))):
        catalog.add(sentence, locations=[(file, 0) for file in sorted(files)], context=context)
    return catalog


def messages(catalog: Catalog) -> Iterator[Message]:
    """The catalog's messages without its header."""
    return (message for message in catalog if message.id)


def read(path: Path, language: str) -> Catalog:
    """The existing catalog, or an empty one."""
    if not path.exists():
        return Catalog(locale=language, header_comment="")
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def renewed(template: Catalog, old: Catalog, language: str) -> Catalog:
    """The template's sentences with the existing translations."""
    catalog = Words(locale=language, header_comment=old.header_comment, fuzzy=False)
    for message in messages(template):
        known = old.get(message.id, message.context)
        string = known.string if known and known.id == message.id and not known.fuzzy else None
        catalog.add(
            message.id,
            string,
            locations=message.locations,
            user_comments=known.user_comments if known else (),
            context=message.context,
        )
    return catalog


def as_text(catalog: Catalog) -> bytes:
    """The catalog as a .po file."""
    header = [catalog.header_comment] if catalog.header_comment else []
    header += ['msgid ""', 'msgstr ""', *(f'"{name}: {value}\\n"' for name, value in catalog.mime_headers)]
    body = BytesIO()
    write_po(body, catalog, omit_header=True, include_lineno=False, ignore_obsolete=True, width=110)
    return "\n".join([*header, "", ""]).encode() + body.getvalue().rstrip(b"\n") + b"\n"


def compiled(catalog: Catalog) -> bytes:
    """The catalog as a .mo file."""
    body = BytesIO()
    write_mo(body, catalog)
    return body.getvalue()


def lacking(catalog: Catalog) -> list[Message]:
    """The messages that are not translated, or not in every plural form."""
    return [message for message in messages(catalog) if not _said(message)]


def _said(message: Message) -> bool:
    return all(message.string) if isinstance(message.string, tuple | list) else bool(message.string)


def main() -> int:
    """Renew every catalog; if translations are missing, list them and fail."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    missing = 0
    for folder in folders():
        template = extracted(folder)
        for language in LANGUAGES if any(messages(template)) else ():
            path = file_of(folder, language)
            catalog = renewed(template, read(path, language), language)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(as_text(catalog))
            path.with_suffix(".mo").write_bytes(compiled(catalog))
            for message in lacking(catalog):
                missing += 1
                print(f"{path.relative_to(ROOT)}: {message.id!r} is not translated")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
