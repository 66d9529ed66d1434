"""Credentials as people paste them: with spaces and line ends, or into the wrong field."""

import pytest

from plugins.amazon.channel import AmazonChannel
from webapp.errors import Invalid

SETTINGS = {setting.name: setting for setting in AmazonChannel.settings}
PASTED = {
    "client_id": "amzn1.application-oa2-client.0123",
    "client_secret": "amzn1.oa2-cs.v1.abc",
    "refresh_token": "Atzr|IwEBI-x",
}


@pytest.mark.parametrize("name", PASTED)
def test_spaces_and_line_ends_of_a_pasted_text_are_dropped(name: str) -> None:
    text = PASTED[name]
    assert SETTINGS[name].parse(f"\ufeff  {text[:9]}\r\n {text[9:]}\u200b\n") == text
    assert SETTINGS["seller_id"].parse(" A2EXAMPLE 1234\n") == "A2EXAMPLE1234"


@pytest.mark.parametrize("name", PASTED)
@pytest.mark.parametrize("other", PASTED)
def test_a_credential_in_another_field_is_refused_by_its_name(name: str, other: str) -> None:
    if name == other:
        assert SETTINGS[name].parse(PASTED[name]) == PASTED[name]
        return
    with pytest.raises(Invalid) as refused:
        SETTINGS[name].parse(PASTED[other])
    assert f"Enter it in the field “{SETTINGS[other].label}”" in str(refused.value)
    assert PASTED[other] not in str(refused.value)


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        ("Atza|IwE", "valid for one hour only"),
        ("AKIAIOSFODNN7EXAMPLE", "which Amazon no longer requires"),
        ("amzn1.sp.solution.1-2", "Enter it in the field “Application ID”"),
        ("amzn1.sellerapps.app.1-2", "Enter it in the field “Application ID”"),
    ],
)
@pytest.mark.parametrize("name", PASTED)
def test_what_is_no_credential_is_said(name: str, pasted: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        SETTINGS[name].parse(pasted)


def test_a_secret_of_the_older_kind_is_taken() -> None:
    assert SETTINGS["client_secret"].parse("0123456789abcdef" * 4)
