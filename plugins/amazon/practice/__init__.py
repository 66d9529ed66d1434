"""The practice Amazon: a simulator of Amazon's Selling Partner API, in a process of its own.

First runs connect to it, staff practice with it, and tests use it, over real HTTP. It knows nothing of the desk; the
desk's client does not know which Amazon it calls, since only the endpoint differs.
"""

from plugins.amazon.practice.client import PracticeClient
from plugins.amazon.practice.marketplaces import (
    AUTHORIZATION_CODES,
    CLIENT_ID,
    CLIENT_SECRET,
    MARKETPLACES,
    REFRESH_TOKENS,
    SELLERS,
)
from plugins.amazon.practice.practice import Practice
from plugins.amazon.practice.server import PracticeServer, create_practice

__all__ = [
    "AUTHORIZATION_CODES",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "MARKETPLACES",
    "REFRESH_TOKENS",
    "SELLERS",
    "Practice",
    "PracticeClient",
    "PracticeServer",
    "create_practice",
]
