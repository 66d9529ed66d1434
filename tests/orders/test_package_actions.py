"""An action on one package of an order: its refusal for the whole order follows from those of the packages."""

from collections.abc import Mapping
from typing import Any

import pytest

from webapp.audit.actor import Actor
from webapp.errors import Refusal
from webapp.orders.contract import NothingShipped, PackageAction
from webapp.orders.models import Order


class Sealed(Refusal):
    code, sentence = "sealed", "Package %(package)s is sealed."


class Open(PackageAction):
    code, label, right = "open", "Open", "orders.ship"

    def __init__(self, refusals: Mapping[int, Refusal | None]) -> None:
        self.known = refusals

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return self.known

    def perform(self, order: Order, data: Any, actor: Actor) -> None:
        raise AssertionError("nobody does it")


SEALED = [Sealed(package=number) for number in range(3)]


@pytest.mark.parametrize(
    ("refusals", "whole"),
    [({1: None}, None), ({1: SEALED[1], 2: None}, None), ({1: SEALED[1], 2: SEALED[2]}, SEALED[2])],
)
def test_an_order_refuses_what_all_its_packages_refuse(
    refusals: Mapping[int, Refusal | None], whole: Refusal | None
) -> None:
    assert Open(refusals).refusal(Order(), Actor.operator()) is whole


def test_of_one_package_its_own_reason_is_said() -> None:
    act = Open({1: SEALED[1], 2: None, 0: SEALED[0]})
    assert [act.refusal_of(Order(), number, Actor.operator()) for number in (0, 1, 2, 9)] == [*SEALED[:2], None, None]


def test_an_order_without_packages_has_nothing_shipped() -> None:
    assert isinstance(Open({}).refusal(Order(), Actor.operator()), NothingShipped)
