"""A feed and its documents as they are stored, and a feed's state at a moment.

All times of a feed are decided when it is created (`feeds.py`); what it did is added when it is processed
(`feed_processing.py`). So its state at any moment, also a past one, follows from what is stored.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from plugins.amazon.practice.answers import iso

FIRST_NUMBER: Final = 50_000_000_000  # Amazon's feed ids have eleven digits or more
STATUSES: Final = ("CANCELLED", "DONE", "FATAL", "IN_PROGRESS", "IN_QUEUE")


@dataclass(frozen=True)
class Document:
    """What a seller uploads, or a report to download; without a body until it is uploaded."""

    id: str
    seller: str
    content_type: str
    created_ms: int
    body: bytes | None = None
    compression: str | None = None
    is_report: bool = False


@dataclass(frozen=True)
class Feed:
    """A feed: who created it, its times, and once it is processed, what became of it."""

    number: int  # 0: not stored yet
    seller: str
    type: str
    marketplaces: tuple[str, ...]
    document: str | None  # None: another application's, whose content nobody needs
    created_ms: int
    start_ms: int
    end_ms: int
    foreign: bool = False
    mark: str | None = None
    seconds: float = 0.0
    outcome: str | None = None
    report: str | None = None
    messages: int = 0
    errors: int = 0
    warnings: int = 0
    options: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its number as Amazon writes it."""
        return str(FIRST_NUMBER + self.number)

    def status(self, at_ms: int) -> str:
        """Amazon's word for its state at a moment."""
        if at_ms < self.start_ms:
            return "IN_QUEUE"
        return self.outcome if self.outcome and at_ms >= self.end_ms else "IN_PROGRESS"

    def listed_from(self) -> int:
        """The moment from which getFeeds lists it."""
        return self.created_ms + (int(self.seconds * 1000) if self.mark == "listed_late" else 0)

    def report_from(self) -> int:
        """The moment from which its report can be fetched."""
        return self.end_ms + (int(self.seconds * 1000) if self.mark == "report_lost" else 0)

    def answer(self, at_ms: int) -> dict[str, Any]:
        """The feed in Amazon's words, at a moment."""
        status = self.status(at_ms)
        json: dict[str, Any] = {
            "feedId": self.id,
            "feedType": self.type,
            "marketplaceIds": list(self.marketplaces),
            "createdTime": iso(self.created_ms),
            "processingStatus": status,
        }
        if status in ("IN_PROGRESS", "DONE", "FATAL"):
            json["processingStartTime"] = iso(self.start_ms)
        if status in ("DONE", "FATAL"):
            json["processingEndTime"] = iso(self.end_ms)
            if self.report:
                json["resultFeedDocumentId"] = self.report
        return json


def number_of(feed_id: str) -> int | None:
    """The number of a feed id; None: not such an id."""
    return int(feed_id) - FIRST_NUMBER if feed_id.isascii() and feed_id.isdigit() and len(feed_id) <= 15 else None
