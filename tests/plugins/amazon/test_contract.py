"""Amazon holds to what every channel must hold to, over real HTTP."""

import pytest

from plugins.amazon.practice import PracticeClient
from webapp.api import StoreAccess
from webapp.testing import ChannelContract


class TestAmazon(ChannelContract):
    @pytest.fixture
    def access(self, store: StoreAccess, amazon: PracticeClient) -> StoreAccess:
        return store
