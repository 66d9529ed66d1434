"""Logos of shops: complete PNG or JPEG images of two kinds and nothing else, for those who may, one a shop."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.pictures import jpeg, part, png
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.legal_face import face_of
from webapp.channels.logos import LARGEST, logo_content, logo_of, remove_logo, set_logo
from webapp.channels.models import Shop
from webapp.channels.shops import create_shop, get_shop
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid, NotFound

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
GIF = b"GIF89a\x20\0\x20\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x20\0\x20\0\0\2\2D\1\0;"
WHOLE = png()


@pytest.fixture
def shop(app: Flask, operator: Actor) -> Shop:
    with unit_of_work():
        made = create_shop("Berlin", prefix="B-", actor=operator)
    return made


def give(shop: Shop, content: bytes, actor: Actor) -> None:
    with unit_of_work():
        set_logo(get_shop(shop.id), content, actor=actor)


@pytest.mark.parametrize(("content", "kind"), [(WHOLE, "png"), (png(4000, 16), "png"), (jpeg(640, 200), "jpeg")])
def test_a_picture_is_kept_as_it_was_sent(shop: Shop, operator: Actor, content: bytes, kind: str) -> None:
    give(shop, content, operator)
    logo = logo_of(shop.id)
    assert logo is not None
    assert logo.kind == kind
    assert logo_content(shop.id, operator) == (content, f"image/{kind}")
    assert face_of(shop).logo == logo


def test_there_is_one_logo_a_shop_and_it_can_be_removed(shop: Shop, operator: Actor) -> None:
    give(shop, png(32, 20), operator)
    first = logo_of(shop.id)
    give(shop, jpeg(64, 40), operator)
    second = logo_of(shop.id)
    assert first is not None
    assert second is not None
    assert (first.width, first.height, second.width, second.height) == (32, 20, 64, 40)
    assert first.digest != second.digest
    for _ in range(2):
        with unit_of_work():
            remove_logo(get_shop(shop.id), actor=operator)
        assert logo_of(shop.id) is None
    with pytest.raises(NotFound):
        logo_content(shop.id, operator)
    codes = [code for (code,) in db.session.query(AuditEntry.code).order_by(AuditEntry.id)]
    assert codes == ["shop_added", "shop_logo_changed", "shop_logo_changed", "shop_logo_removed"]


REFUSED = [
    (b"", "Choose a file"),
    (SVG, "PNG or JPEG"),
    (HTML, "PNG or JPEG"),
    (GIF, "PNG or JPEG"),
    (WHOLE[:-1], "complete PNG or JPEG image"),
    (WHOLE + HTML, "complete PNG or JPEG image"),
    (WHOLE[:8] + HTML + WHOLE[8:], "complete PNG or JPEG image"),
    (WHOLE[:40] + b"\0" + WHOLE[41:], "complete PNG or JPEG image"),
    (WHOLE[:8], "complete PNG or JPEG image"),
    (WHOLE[:8] + part(b"IHDR", b"\0" * 13) + part(b"IEND", b""), "complete PNG or JPEG image"),
    (png(kind=b"iCCP"), "complete PNG or JPEG image"),
    (jpeg()[:-1], "complete PNG or JPEG image"),
    (jpeg() + HTML, "complete PNG or JPEG image"),
    (b"\xff\xd8\xff\xd9", "complete PNG or JPEG image"),
    (b"\xff\xd8" + b"\xff" * 1000 + b"\xff\xd9", "complete PNG or JPEG image"),
    (b"\xff\xd8\xff\xe0\x00\x00\xff\xd9", "complete PNG or JPEG image"),
    (png(15, 20), "16 to 4000 pixels"),
    (png(4001, 20), "16 to 4000 pixels"),
    (png(2**31 - 1, 2**31 - 1), "16 to 4000 pixels"),
    (jpeg(20, 0), "16 to 4000 pixels"),
    (WHOLE + b"\0" * LARGEST, "larger than 500 KB"),
]


def test_what_is_no_such_picture_is_refused_and_the_logo_stays(shop: Shop, operator: Actor) -> None:
    give(shop, WHOLE, operator)
    had = logo_of(shop.id)
    for content, why in REFUSED:
        with pytest.raises(Invalid, match=why):
            give(shop, content, operator)
    assert logo_of(shop.id) == had


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.sampled_from([WHOLE, jpeg()]), at=st.integers(0, 200), put=st.binary(max_size=8), cut=st.booleans())
def test_garbage_never_breaks_it(shop: Shop, operator: Actor, which: bytes, at: int, put: bytes, cut: bool) -> None:
    content = which[:at] + put + (b"" if cut else which[at + len(put) :])
    try:
        give(shop, content, operator)
    except Invalid:
        db.session.rollback()
    else:
        assert logo_content(shop.id, operator)[0] == content


def test_a_logo_is_changed_and_seen_by_right(shop: Shop, operator: Actor, mia: Actor) -> None:
    with pytest.raises(Forbidden):
        give(shop, WHOLE, mia)
    give(shop, WHOLE, operator)
    assert logo_content(shop.id, mia)[0] == WHOLE
    assert logo_content(shop.id, replace(mia, shops=frozenset({shop.id})))[0] == WHOLE
    with pytest.raises(NotFound):
        logo_content(shop.id, replace(mia, shops=frozenset({shop.id + 1})))
    with pytest.raises(Forbidden):
        logo_content(shop.id, replace(mia, rights=frozenset()))
    with pytest.raises(Forbidden), unit_of_work():
        remove_logo(get_shop(shop.id), actor=mia)


def test_two_who_give_a_logo_at_once_leave_one(app: Flask, shop: Shop, operator: Actor) -> None:
    together, shop_id = Barrier(2), shop.id
    pictures = [png(32, 20), png(64, 40)]

    def send(content: bytes) -> None:
        with app.app_context():
            together.wait(60)
            with unit_of_work():
                set_logo(get_shop(shop_id), content, actor=operator)

    with ThreadPoolExecutor(2) as pool:
        for task in [pool.submit(send, content) for content in pictures]:
            task.result(60)
    db.session.rollback()  # what this session saw until now is older
    assert logo_content(shop_id, operator)[0] in pictures
