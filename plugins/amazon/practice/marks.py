"""What goes wrong with one whole feed: a mark that the next feed of a type takes, and keeps.

Faults (`faults.py`) spoil single calls; a mark spoils what a feed does, says or when.
"""

from typing import Final

from plugins.amazon.practice.feed_messages import TYPES

MARKS: Final = (
    "fatal_25_wrong",  # FATAL, code 25, nothing processed; the report names a message that is fine
    "fatal_25_processed",  # FATAL, code 25, although the first half of the messages was carried out
    "fatal_other",  # FATAL with a report of another code, nothing processed
    "fatal_silent",  # FATAL without a report, nothing processed
    "fatal_silent_processed",  # FATAL without a report, although every message was carried out
    "canceled",  # CANCELLED before it is processed
    "report_cut",  # all is carried out; the report ends in its middle
    "report_miscounted",  # … its summary counts one error more than the report lists
    "report_foreign_message",  # … it has an error for a message that is not in the feed
    "report_too_few",  # … MessagesProcessed is one too low
    "warning",  # … the first message that was carried out has a warning
    "report_lost",  # … getFeedDocument answers 404 for `seconds` after the feed is done
    "slow_queue",  # it stays in the queue for `seconds` more
    "listed_late",  # getFeeds lists it `seconds` after its creation
    "refund_less",  # its refunds are booked with half of each amount
    "refund_more",  # … with a tenth more of an amount
    "refund_other_tax",  # … with seven minor units more of tax
)
TIMED: Final = ("report_lost", "slow_queue", "listed_late")
OF_REFUNDS: Final = ("refund_less", "refund_more", "refund_other_tax")
ADJUSTMENT: Final = "POST_PAYMENT_ADJUSTMENT_DATA"


class BadMark(Exception):
    """An impossible mark; its text says why."""


def check_mark(feed_type: str, mark: str, seconds: float) -> None:
    """Raise BadMark for a mark that no feed can have."""
    if feed_type not in TYPES:
        raise BadMark(f"No feed type {feed_type!r}; there are {', '.join(TYPES)}.")
    if mark not in MARKS:
        raise BadMark(f"No mark {mark!r}; there are {', '.join(MARKS)}.")
    if mark in OF_REFUNDS and feed_type != ADJUSTMENT:
        raise BadMark(f"The mark {mark} is for {ADJUSTMENT}.")
    if mark in TIMED and not 0 < seconds < 10**7:
        raise BadMark(f"The mark {mark} needs its seconds.")
