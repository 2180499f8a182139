"""Nothing personal gets through the masks, and nothing else is lost."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_core.privacy import masking

LETTERS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=12)


@given(LETTERS, LETTERS)
def test_an_address_is_never_readable(local: str, host: str) -> None:
    address = f"{local}@{host}.org"
    for text in (masking.mask_email(address), masking.mask_text(f"write to {address}, please")):
        assert local not in text.replace("write to", "").replace("please", "")
        assert f"{host}.org" not in text
    assert masking.mask_text(f"write to {address}, please").startswith("write to ")


@given(st.text("0123456789", min_size=9, max_size=13))
def test_a_phone_number_keeps_four_digits_at_most(digits: str) -> None:
    shown = masking.mask_phone("+" + digits)
    assert sum(sign.isdigit() for sign in shown) == 4
    assert len(shown) == len(digits) + 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("email", "email"),
        ("requester_email", "email"),
        ("firstName", "name"),
        ("last_name", "name"),
        ("name", "name"),
        ("phone", "phone"),
        ("birth_date", "birth_date"),
        ("street", "address"),
        ("postcode", "postcode"),
        ("email_sha256", None),
        ("product_name", None),
        ("created_at", None),
        ("total_spent", None),
        ("order_id", None),
    ],
)
def test_what_counts_as_personal(name: str, kind: str | None) -> None:
    assert masking.kind_of(name) == kind


def test_json_is_masked_however_deep() -> None:
    event = {
        "traits": {"email": "ann@example.org", "address": {"street": "12 High Street", "city": "Leeds"}, "age": 41},
        "items": [{"name": "Ann Example"}, {"sku": "4155550123"}],
        "note": "call +44 1632 960123 or ann@example.org",
    }
    text = masking.mask_json(json.dumps(event))
    assert text is not None
    for secret in ("ann@", "High Street", "Example", "960123"):
        assert secret not in text
    masked = json.loads(text)
    assert masked["traits"]["address"]["city"] == "Leeds"
    assert masked["traits"]["age"] == 41
    assert masked["items"][1] == {"sku": "4155550123"}


def test_numbers_under_a_personal_name_are_masked_too() -> None:
    assert "4155550123" not in (masking.mask_json('{"phone": 4155550123}') or "")


def test_text_that_is_no_json_is_masked_as_text() -> None:
    assert masking.mask_json("17;ann@example.org;Leeds") == "17;a••@e••••••.org;Leeds"


def test_frames() -> None:
    frame = pl.DataFrame({"email": ["ann@example.org", None], "city": ["Leeds", "York"], "born": [1, 2]})
    masked = masking.mask_frame(frame)
    assert masked["email"].to_list() == ["a••@e••••••.org", None]
    assert masked["city"].to_list() == ["Leeds", "York"]
    pairs = pl.DataFrame({"type": ["email", "user_id"], "value": ["ann@example.org", "4155550123"]})
    assert masking.mask_pairs(pairs, "type", "value")["value"].to_list() == ["a••@e••••••.org", "4155550123"]


def test_json_that_is_nested_without_end_is_masked_as_text() -> None:
    deep = '{"a":' * 20_000 + '"ann@example.org"' + "}" * 20_000
    found = masking.mask_json(deep)
    assert found is not None
    assert "ann@example.org" not in found
