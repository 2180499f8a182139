"""The fast way for American numbers gives what libphonenumber gives."""

from __future__ import annotations

import phonenumbers
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdp_core.errors import SpecError
from cdp_core.identity.phones import normalise_phones


def by_the_book(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("(415) 555-0134", "US", "+14155550134"),
        ("1-415-555-0134", "US", "+14155550134"),
        ("+1 415.555.0134", "DE", "+14155550134"),
        ("415 555 0134", "DE", "+494155550134"),
        ("(416) 555-0134", "US", "+14165550134"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("0049 30 901820", "DE", "+4930901820"),
        ("415-555-0134 ext. 5", "US", "+14155550134"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("115 555 0134", "US", None),
        ("unknown", "US", None),
        ("", "US", None),
    ],
)
def test_known_numbers(text: str, region: str, expected: str | None) -> None:
    assert normalise_phones(pl.Series([text]), region).to_list() == [expected]
    assert by_the_book(text, region) == expected


def test_every_area_code_is_judged_as_the_library_does() -> None:
    numbers = [f"{area}{rest}" for area in range(200, 1000) for rest in ("5550134", "2345678", "1115555")]
    assert normalise_phones(pl.Series(numbers), "US").to_list() == [by_the_book(n, "US") for n in numbers]


DIGITS = st.text("0123456789", min_size=1, max_size=13)
AMERICAN = st.builds(
    "{}({}) {}-{}".format,
    st.sampled_from(["", "+1 ", "1 ", "+", "001", "+44 "]),
    st.integers(150, 999),
    st.integers(100, 999),
    st.integers(1000, 9999),
)
MARKED = st.text("0123456789 ()-.+/x", max_size=16)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(AMERICAN | DIGITS | MARKED | st.text(max_size=12), max_size=6),
    st.sampled_from(["US", "CA", "GB", "DE", "AG"]),
)
@example(["1/415/555/0134", "(415555-0134", "4155550134)", "+(415) 555 0134", "415-555-01340"], "US")
def test_equals_the_library(texts: list[str], region: str) -> None:
    texts = [t.strip() for t in texts if t.isprintable()]
    assert normalise_phones(pl.Series(texts, dtype=pl.String), region).to_list() == [
        by_the_book(t, region) for t in texts
    ]


def test_a_region_that_is_none_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="unknown region 'UK'"):
        normalise_phones(pl.Series(["1"]), "UK")
