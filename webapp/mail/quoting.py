"""Where in an answer the text that it answers begins.

Clients set the quoted text apart by `>`, or by a block of the quoted mail's headers, in the language of the client.
Where it is not sure that everything from there on is quoted, nothing counts as quoted: what a buyer has written is
never folded away.
"""

import re

_ATTRIBUTION = re.compile(  # the line before quoted text: who wrote it, and when
    r"""(?xi)
    ^(On\b .{4,300} \b wrote
    | Le\b .{4,300} \b a [ \u00a0] écrit
    | (Am|Den|Der|Die)\b .{4,300} \b schrieb\b .{0,200}
    | \d{4} [年/.-] .{4,300} (さんは書きました | のメール | が書き(まし)?た | wrote)?
    | .{1,200} <[^<>\s]+@[^<>\s]+> \s* (wrote | schrieb | a [ \u00a0] écrit)
    ) [ \u00a0]* [::]$"""
)
_SEPARATOR = re.compile(
    r"(?i)^[-_]{2,}\s*(original message|original appointment|message d.origine|message original|"
    r"urspr(ü|ue)ngliche nachricht|originalnachricht|元のメッセージ)\s*[-_]{2,}$"
)
_RULE = re.compile(r"^[_-]{20,}$")
_FROM = re.compile(r"(?i)^\**(from|de|von|差出人|送信者)\s?\**\s?[::]\**\s?\S")
_OTHERS = re.compile(
    r"(?i)^\**(sent|date|to|cc|subject|reply-to|importance|envoyé|à|objet|répondre à|gesendet|datum|an|betreff|"
    r"priorität|送信日時|日時|日付|宛先|件名)\s?\**\s?[::]"
)
_SUBJECT = re.compile(r"(?i)^\**(subject|objet|betreff|件名)\s?\**\s?[::]")
_FORWARDED = re.compile(
    r"(?i)(forwarded message|begin forwarded|message transféré|weitergeleitete nachricht|転送されたメッセージ)"
)
_FORWARDS = re.compile(r"(?i)^\s*(fwd?|wg|tr|i|転送)\s?[::]")
_LONGEST_HEAD = 12  # lines of a block of headers, of which some go over two


def split_quoted(text: str, subject: str = "") -> tuple[str, str]:
    """What is new in the text of a mail, and what it quotes; forwarded text is new."""
    lines = text.split("\n")
    if _FORWARDED.search(text) or _FORWARDS.match(subject):
        return text, ""
    for start in (_marked(lines), _below_headers(lines)):
        if start is not None:
            new, quoted = "\n".join(lines[:start]).strip("\n"), "\n".join(lines[start:]).strip("\n")
            if new.strip():
                return new, quoted
    return text, ""


def _marked(lines: list[str]) -> int | None:
    """The first line of quoted text that begins with `>` and goes on to the end, with the line that says whose it
    is; None if there is none.
    """
    start = len(lines)
    while start and (not lines[start - 1].strip() or lines[start - 1].startswith(">")):
        start -= 1
    if not any(line.startswith(">") for line in lines[start:]):
        return None
    if any(line.startswith(">") for line in lines[:start]):  # answers stand between the quoted lines
        return None
    for count in (1, 2, 3):  # mail programs break the line
        if count <= start and _ATTRIBUTION.match(" ".join(line.strip() for line in lines[start - count : start])[:600]):
            return start - count
    return start


def _below_headers(lines: list[str]) -> int | None:
    """The first line of a block with the quoted mail's headers, as Outlook writes it; None if there is none."""
    for at, line in enumerate(lines):
        if not _FROM.match(line):
            continue
        head = []
        for one in lines[at + 1 : at + _LONGEST_HEAD]:
            if not one.strip():
                break
            head.append(one)
        known = [one for one in head if _OTHERS.match(one)]
        if len(known) < 2 or not any(_SUBJECT.match(one) for one in known):
            continue
        before = at
        while before and not lines[before - 1].strip():
            before -= 1
        marked = before > 0 and (_SEPARATOR.match(lines[before - 1].strip()) or _RULE.match(lines[before - 1].strip()))
        return before - 1 if marked else at
    return None
