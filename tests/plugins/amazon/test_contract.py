"""Amazon holds to what every channel must hold to, over real HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from plugins.amazon.client import REQUEST_REVIEW
from plugins.amazon.practice import PracticeClient
from webapp.api import StoreAccess, Update
from webapp.testing import ChannelContract


class TestAmazon(ChannelContract):
    @pytest.fixture
    def access(self, make_store: Callable[..., StoreAccess], amazon: PracticeClient) -> StoreAccess:
        return make_store("eu")  # to its marketplaces, documents are uploaded

    @pytest.fixture
    def refused_access(self, make_store: Callable[..., StoreAccess], amazon: PracticeClient) -> StoreAccess:
        return make_store("eu", client_secret="wrong")

    @pytest.fixture
    def fresh_updates(
        self,
        amazon: PracticeClient,
        make_update: Callable[..., Update],
        cancel: Callable[..., Update],
        refund: Callable[..., Update],
        upload: Callable[..., Update],
        message: Callable[..., Update],
        review: Callable[..., Update],
    ) -> Callable[[str, int], Sequence[Update]]:
        makers = {"shipment": make_update, "cancel": cancel, "refund": refund, "message": message}
        makers["review_request"] = review
        makers |= dict.fromkeys(("invoice_upload", "credit_memo_upload"), upload)

        def make(kind: str, count: int) -> list[Update]:
            status = "UNSHIPPED" if kind in ("shipment", "cancel", "message") else "SHIPPED"
            ago = {"placed_ago": 12 * 86_400} if kind == "review_request" else {}
            placed: list[dict[str, Any]] = amazon.place_many(count, marketplace="DE", status=status, **ago)
            return [replace(makers[kind](one), id=number, kind=kind) for number, one in enumerate(placed, start=1)]

        return make

    @pytest.fixture
    def lose_answer(self, amazon: PracticeClient) -> Callable[[], None]:
        def lose() -> None:
            amazon.mend()
            for operation in ("confirmShipment", "createFeed", "sendMessage", REQUEST_REVIEW.name):
                amazon.fault(operation, "drop", when="after")

        return lose
