"""Roles as rows and the shops of people: what is changed holds at once, and nobody gets beyond what they may."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select

from webapp.accounts import people, roles
from webapp.accounts.models import Role
from webapp.accounts.people import OwnAccount
from webapp.accounts.refund_limits import read_limits, written
from webapp.accounts.services import (
    AboveOwnLimits,
    LinkRefused,
    create_user,
    find_link,
    get_user,
    make_link,
    refund_limit,
)
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.rights import BUILT_IN, OURS, Right, all_rights, rights, rights_of_built_in
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, Invalid, NotFound
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure

Make = Callable[..., Actor]
CLERK = rights_of_built_in("clerk")
CODES = sorted(right.code for right in OURS)


@pytest.fixture
def olga(make_user: Make) -> Actor:
    return make_user("owner", "Olga")


@pytest.fixture
def max_(make_user: Make) -> Actor:
    return make_user("manager", "Max")


def now_of(name: str) -> Actor:
    db.session.expire_all()
    return get_user(f"{name}@desk.test").as_actor()


def changed(code: str, chosen: set[str] | frozenset[str], actor: Actor, name: str | None = None) -> None:
    with unit_of_work():
        roles.change_role_rights(code, chosen, actor=actor, name=name)


# --- Roles ------------------------------------------------------------------------------------------------------------


def test_a_changed_role_holds_at_once_and_can_be_as_it_was(olga: Actor, mia: Actor) -> None:
    changed("clerk", CLERK - {"orders.hold"} | {"orders.export"}, olga)
    assert now_of("mia").rights == CLERK - {"orders.hold"} | {"orders.export"}
    assert roles.get_role("clerk").changed
    changed("clerk", CLERK, olga)
    assert now_of("mia").rights == CLERK
    assert db.session.get(Role, "clerk") is None  # an unchanged role has no row


def test_an_owner_always_may_everything(olga: Actor) -> None:
    with pytest.raises(roles.OwnersRole):
        changed("owner", CLERK, olga)
    assert now_of("olga").rights == all_rights()


def test_a_role_is_added_renamed_given_and_deleted_once_nobody_has_it(olga: Actor, mia: Actor) -> None:
    with unit_of_work():
        code = roles.add_role("  Night   shift ", "packer", actor=olga)
        people.change_role(mia.id or 0, code, actor=olga)
    assert code == "night_shift"
    assert now_of("mia").rights == rights_of_built_in("packer")
    changed(code, rights_of_built_in("packer") | {"stores.sync"}, olga, name="Nuit – 夜")
    assert [row.label for row in roles.roles().values()][-1] == "Nuit – 夜"
    noted = select(AuditEntry.code).where(AuditEntry.code.startswith("role_")).order_by(AuditEntry.id)
    assert db.session.scalars(noted).all() == ["role_added", "role_changed", "role_renamed", "role_rights_changed"]
    assert now_of("mia").may("stores.sync")
    with pytest.raises(roles.RoleInUse), unit_of_work():
        roles.delete_role(code, actor=olga)
    with unit_of_work():
        people.change_role(mia.id or 0, "clerk", actor=olga)
        roles.delete_role(code, actor=olga)
    with pytest.raises(NotFound):
        roles.get_role(code)


@pytest.mark.parametrize("name", ["", "   ", "clerk", "CLERK", "x" * 101])
def test_a_role_needs_a_name_of_its_own(olga: Actor, name: str) -> None:
    with pytest.raises(Invalid), unit_of_work():
        roles.add_role(name, "packer", actor=olga)


@pytest.mark.parametrize("like", ["owner", "", "nobody", "\0"])
def test_no_role_begins_as_an_owner_or_as_what_there_is_not(olga: Actor, like: str) -> None:
    with pytest.raises(Invalid), unit_of_work():
        roles.add_role("New", like, actor=olga)


def test_names_in_any_script_get_codes_of_their_own(olga: Actor) -> None:
    with unit_of_work():
        codes = {roles.add_role(name, "packer", actor=olga) for name in ("夜勤", "昼勤", "Équipe", "equipe!")}
    assert len(codes) == 4
    assert all(code.isascii() for code in codes)


def test_who_may_not_change_roles_is_refused(max_: Actor) -> None:
    for act in (
        lambda: roles.add_role("New", "packer", actor=max_),
        lambda: roles.change_role_rights("clerk", CLERK, actor=max_),
        lambda: roles.delete_role("clerk", actor=max_),
    ):
        with pytest.raises(Forbidden, match="change what roles may do"), unit_of_work():
            act()


def test_nobody_gives_a_right_that_they_have_not_nor_touches_a_role_with_more(olga: Actor, max_: Actor) -> None:
    changed("manager", rights_of_built_in("manager") | {"roles.edit"} - {"orders.raw"}, olga)
    limited = now_of("max")
    assert limited.may("roles.edit")
    changed("manager", rights_of_built_in("manager") | {"roles.edit"}, olga)
    with unit_of_work():
        people.change_role(max_.id or 0, "manager", actor=olga)
    acting = now_of("max")
    with pytest.raises(Forbidden, match="manage owners"):
        changed("clerk", CLERK | {"owners.edit"}, acting)
    changed("clerk", CLERK | {"owners.edit"}, olga)
    with pytest.raises(Forbidden, match="manage owners"):
        changed("clerk", CLERK, acting)


def test_who_works_for_some_shops_changes_no_roles(olga: Actor, max_: Actor, mia: Actor) -> None:
    changed("manager", rights_of_built_in("manager") | {"roles.edit"}, olga)
    with unit_of_work():
        people.change_shops(max_.id or 0, [1], actor=olga)
        code = roles.add_role("Night", "packer", actor=olga)
    acting = now_of("max")
    for act in (
        lambda: roles.add_role("New", "packer", actor=acting),
        lambda: roles.change_role_rights("clerk", CLERK - {"orders.hold"}, actor=acting),
        lambda: roles.delete_role(code, actor=acting),
    ):
        with pytest.raises(Forbidden, match="work for all shops"), unit_of_work():
            act()
    assert [roles.may_change(one) for one in (olga, acting, mia)] == [True, False, False]


def test_an_unknown_right_is_refused(olga: Actor) -> None:
    with pytest.raises(Invalid, match=r"orders\.fly"):
        changed("clerk", CLERK | {"orders.fly"}, olga)


def test_more_rights_end_the_links_of_those_who_get_them(olga: Actor, mia: Actor) -> None:
    with unit_of_work():
        token = make_link(get_user("mia@desk.test"), actor=olga)
    changed("clerk", CLERK - {"orders.hold"}, olga)
    find_link(token)
    changed("clerk", CLERK | {"users.edit"}, olga)
    with pytest.raises(LinkRefused):
        find_link(token)


def test_a_change_is_decided_by_what_holds_when_it_is_made(olga: Actor, max_: Actor) -> None:
    changed("manager", rights_of_built_in("manager") | {"roles.edit"}, olga)
    acting = now_of("max")
    changed("manager", rights_of_built_in("manager"), olga)
    with pytest.raises(Forbidden):
        changed("clerk", CLERK - {"orders.hold"}, acting)  # by the rights that the page was opened with


def test_two_changes_at_once_are_made_one_after_the_other(app: Flask, olga: Actor, mia: Actor) -> None:
    barrier = Barrier(2)

    def change(right: str) -> None:
        with app.app_context():
            barrier.wait(30)
            with unit_of_work():
                roles.change_role_rights("clerk", CLERK | {right}, actor=olga)

    db.session.rollback()
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(change, right) for right in ("orders.export", "views.share")]:
            done.result(60)
    assert now_of("mia").rights in (CLERK | {"orders.export"}, CLERK | {"views.share"})


def test_what_two_give_at_once_is_both_given(app: Flask, olga: Actor, mia: Actor) -> None:
    begun = Event()

    def give() -> None:
        begun.set()
        with app.app_context(), unit_of_work():
            roles.adjust_role_rights("clerk", give=["views.share"], take=["orders.hold"], actor=olga)

    db.session.rollback()
    with ThreadPoolExecutor(1) as pool:
        with unit_of_work():
            roles.adjust_role_rights("clerk", give=["orders.export"], take=[], actor=olga)
            done = pool.submit(give)
            assert begun.wait(60)
            time.sleep(0.3)  # until it waits
        done.result(60)
    assert now_of("mia").rights == CLERK - {"orders.hold"} | {"orders.export", "views.share"}
    with pytest.raises(Invalid, match=r"orders\.fly"), unit_of_work():
        roles.adjust_role_rights("clerk", give=[], take=["orders.fly"], actor=olga)


def test_whoever_waited_for_a_change_acts_by_what_it_left(app: Flask, olga: Actor, max_: Actor, mia: Actor) -> None:
    changed("manager", rights_of_built_in("manager") | {"roles.edit"}, olga)
    acting, begun = now_of("max"), Event()

    def act(change: Callable[[], None]) -> None:
        begun.set()
        with app.app_context(), unit_of_work():
            change()

    acts: list[Callable[[], None]] = [
        lambda: roles.change_role_rights("clerk", CLERK - {"orders.hold"}, actor=acting),
        lambda: people.change_role(mia.id or 0, "packer", actor=acting),
    ]
    db.session.rollback()
    with ThreadPoolExecutor(2) as pool:
        with unit_of_work():
            roles.change_role_rights("manager", CLERK, actor=olga)
            done = [pool.submit(act, one) for one in acts]
            assert begun.wait(60)
            time.sleep(0.3)  # until they wait; a later request is refused in any case
        for one in done:
            with pytest.raises(Forbidden):
                one.result(60)
    assert now_of("mia").rights == CLERK


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["manager", "clerk", "packer", "read_only"]), st.sets(st.sampled_from(CODES))))
)
def test_what_is_chosen_is_what_they_may(app: Flask, chosen: list[tuple[str, set[str]]]) -> None:
    for code, wanted in chosen:
        changed(code, wanted, Actor.operator())
        assert roles.get_role(code).rights == wanted
    for code in BUILT_IN:
        if code != "owner":
            changed(code, rights_of_built_in(code), Actor.operator())
    assert not any(role.changed for role in roles.roles().values())


# --- Rights of plugins ------------------------------------------------------------------------------------------------


class Loyalty:
    """A plugin with a right of its own, and one that would replace the desk's."""

    def __init__(self, *brought: Right) -> None:
        self.brought = brought

    @hookimpl
    def register_rights(self) -> list[Right]:
        return list(self.brought)


@pytest.fixture
def loyalty(app: Flask) -> Iterator[Loyalty]:
    plugin = Loyalty(Right("loyalty.grant", "grant loyalty points", roles=("clerk",)))
    hooks.manager.register(plugin, name="loyalty")
    yield plugin
    if hooks.manager.is_registered(plugin):
        hooks.manager.unregister(plugin)


def test_a_plugins_right_reaches_its_roles_also_those_that_were_changed(
    olga: Actor, mia: Actor, loyalty: Loyalty
) -> None:
    assert now_of("mia").may("loyalty.grant")
    assert now_of("olga").may("loyalty.grant")
    hooks.manager.unregister(loyalty)
    changed("clerk", CLERK - {"orders.hold"}, olga)
    assert not now_of("mia").may("loyalty.grant")
    hooks.manager.register(loyalty, name="loyalty")
    assert now_of("mia").may("loyalty.grant")


def test_work_in_the_background_may_whatever_plugins_bring(app: Flask) -> None:
    me = Actor.job("loyalty")  # created while plugins are loaded, before their rights are registered
    plugin = Loyalty(Right("loyalty.grant", "grant loyalty points"))
    hooks.manager.register(plugin, name="loyalty")
    try:
        me.needs("loyalty.grant")
        assert not Actor(me.kind).may("loyalty.grant")
    finally:
        hooks.manager.unregister(plugin)


def test_what_was_decided_of_a_plugins_right_outlives_its_absence(olga: Actor, mia: Actor, loyalty: Loyalty) -> None:
    changed("clerk", CLERK, olga)
    changed("packer", rights_of_built_in("packer") | {"loyalty.grant"}, olga)
    hooks.manager.unregister(loyalty)
    changed("clerk", CLERK - {"orders.hold"}, olga)
    changed("packer", rights_of_built_in("packer") - {"orders.hold"}, olga)
    hooks.manager.register(loyalty, name="loyalty")
    assert not roles.get_role("clerk").rights & {"loyalty.grant", "orders.hold"}
    assert "loyalty.grant" in roles.get_role("packer").rights


def test_a_plugin_takes_none_of_ours(app: Flask, plugin_failures: list[Failure]) -> None:
    thief = Loyalty(Right("orders.view", "see everything", roles=("read_only",)))
    hooks.manager.register(thief, name="thief")
    assert rights()["orders.view"].roles != ("read_only",)
    assert [failure.plugin for failure in plugin_failures] == ["thief"]
    hooks.manager.unregister(thief)
    plugin_failures.clear()


@pytest.mark.parametrize(
    ("code", "given_to"), [("loyalty", ()), ("Loyalty.Grant", ()), ("a.b.c", ()), ("a.b", ("boss",))]
)
def test_a_right_with_a_code_or_role_that_can_not_be_is_refused(code: str, given_to: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"code|role"):
        Right(code, "x", roles=given_to)


# --- Shops of people --------------------------------------------------------------------------------------------------


def test_people_work_for_the_shops_they_are_given(olga: Actor, mia: Actor) -> None:
    with unit_of_work():
        people.change_shops(mia.id or 0, [3, 1, 3], actor=olga)
    assert now_of("mia").shops == {1, 3}
    with unit_of_work():
        people.change_shops(mia.id or 0, None, actor=olga)
    assert now_of("mia").shops is None


def test_an_owner_works_for_all(olga: Actor, mia: Actor) -> None:
    with unit_of_work():
        other = create_user(email="otto@desk.test", role="owner", actor=Actor.operator(), password_hash=None)
        people.change_shops(mia.id or 0, [1], actor=olga)
    for act in (
        lambda: people.change_shops(other.id, [1], actor=olga),
        lambda: people.change_role(mia.id or 0, "owner", actor=olga),
        lambda: create_user(email="eve@desk.test", role="owner", actor=olga, shops=[1]),
    ):
        with pytest.raises(Invalid, match="An owner always works for all"), unit_of_work():
            act()


def test_nobody_gives_a_shop_that_they_do_not_work_for(olga: Actor, max_: Actor, mia: Actor) -> None:
    with unit_of_work():
        people.change_shops(max_.id or 0, [1, 2], actor=olga)
    acting = now_of("max")
    for act in (
        lambda: people.change_shops(mia.id or 0, [1], actor=acting),  # who works for all
        lambda: people.disable(mia.id or 0, actor=acting),
        lambda: people.invite(email="eve@desk.test", role="clerk", actor=acting),
        lambda: people.invite(email="eve@desk.test", role="clerk", shops=[1, 3], actor=acting),
    ):
        with pytest.raises(Forbidden, match="shops"), unit_of_work():
            act()
    with unit_of_work():
        user, _token = people.invite(email="eve@desk.test", role="clerk", shops=[2], actor=acting)
        people.change_shops(user.id, [1], actor=acting)
    with pytest.raises(OwnAccount), unit_of_work():
        people.change_shops(max_.id or 0, [1], actor=acting)
    assert not people.may_manage(get_user("mia@desk.test"), acting)
    assert people.may_manage(get_user("eve@desk.test"), acting)


def test_more_shops_end_the_links_fewer_do_not(olga: Actor, mia: Actor) -> None:
    def link_after(shops: list[int] | None) -> bool:
        with unit_of_work():
            token = make_link(get_user("mia@desk.test"), actor=olga)
        with unit_of_work():
            people.change_shops(mia.id or 0, shops, actor=olga)
        try:
            find_link(token)
        except DeskError:
            return False
        return True

    assert [link_after(shops) for shops in ([1, 2], [1], [1, 3], None)] == [True, True, False, False]


# --- Limits of refunds ------------------------------------------------------------------------------------------------


def limited(code: str, limits: str, actor: Actor) -> None:
    with unit_of_work():
        set_limits(code, limits, actor)


def set_limits(code: str, limits: str, actor: Actor) -> None:
    roles.change_role_rights(code, roles.get_role(code).rights, limits=limits, actor=actor)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", {}),
        ("50 EUR", {"EUR": 5000}),
        ("50 EUR, 60 USD", {"EUR": 5000, "USD": 6000}),
        ("1.234,50 eur; 5000 JPY", {"EUR": 123450, "JPY": 5000}),
        ("0 EUR", {"EUR": 0}),
        ("1,234.567KWD 3,5 EUR", {"KWD": 1234567, "EUR": 350}),
    ],
)
def test_limits_are_read_as_people_write_them(text: str, limits: dict[str, int]) -> None:
    assert read_limits(text) == limits
    assert read_limits(written(limits)) == limits


@pytest.mark.parametrize(
    "text",
    [
        "50",
        "EUR",
        "50 EUR, 60",
        "50 EUR, 60 EUR",
        "-5 EUR",
        "5.0011 EUR",
        "50 XQQ",
        "50 EURO",
        "x EUR",
        "9" * 20 + " EUR",
    ],
)
def test_what_cant_be_read_is_said_and_changes_nothing(olga: Actor, text: str) -> None:
    limited("clerk", "50 EUR", olga)
    with pytest.raises(Invalid, match="refund_limits"):
        limited("clerk", text, olga)
    assert roles.get_role("clerk").limits == {"EUR": 5000}


def test_a_role_keeps_its_limits_and_loses_them_alone(olga: Actor, mia: Actor) -> None:
    before = roles.get_role("clerk").version
    limited("clerk", "50 EUR", olga)
    after = roles.get_role("clerk")
    assert (after.changed, after.rights, after.limits) == (True, CLERK, {"EUR": 5000})
    assert after.version != before
    with pytest.raises(roles.RoleChanged), unit_of_work():
        roles.change_role_rights("clerk", CLERK, limits="", version=before, actor=olga)
    assert [refund_limit(mia, currency) for currency in ("EUR", "USD")] == [5000, 0]
    changed("clerk", CLERK - {"orders.hold"}, olga)
    assert roles.get_role("clerk").limits == {"EUR": 5000}
    with unit_of_work():
        code = roles.add_role("Night shift", "clerk", actor=olga)
    assert roles.get_role(code).limits == {"EUR": 5000}
    limited("clerk", "", olga)
    changed("clerk", CLERK, olga)
    assert db.session.get(Role, "clerk") is None
    assert refund_limit(mia, "USD") is None
    query = select(AuditEntry).where(AuditEntry.code == "role_limits_changed").order_by(AuditEntry.id)
    [entry, _removed] = db.session.scalars(query).all()
    assert entry.data == {"role": "clerk", "before": "", "after": "50.00 EUR"}


def test_owners_have_no_limit(olga: Actor) -> None:
    with pytest.raises(roles.OwnersRole):
        limited("owner", "50 EUR", olga)
    with unit_of_work():
        db.session.add(Role(code="owner", name="", base="owner", given=[], taken=[], refund_limits={"EUR": 1}))
    assert refund_limit(olga, "EUR") is None


def test_nobody_lets_others_refund_more_than_they_may(olga: Actor, max_: Actor, mia: Actor) -> None:
    with unit_of_work():
        roles.change_role_rights(
            "manager", roles.get_role("manager").rights | {"roles.edit"}, limits="50 EUR", actor=olga
        )
    acting = now_of("max")
    for attempt in (
        *(partial(set_limits, "manager", limits, acting) for limits in ("", "50.01 EUR", "50 EUR, 1 USD")),
        partial(set_limits, "clerk", "", acting),
        lambda: roles.add_role("Like clerks", "clerk", actor=acting),
        lambda: people.change_role(mia.id or 0, "clerk", actor=acting),
    ):
        with pytest.raises(AboveOwnLimits), unit_of_work():
            attempt()
    limited("manager", "20 EUR", acting)
    assert refund_limit(acting, "EUR") == 2000
