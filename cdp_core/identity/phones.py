"""Phone numbers in one spelling: E.164."""

from __future__ import annotations

import polars as pl

from cdp_core.errors import SpecError

_SHAPE = r"^\+?[0-9][0-9 ().\-/]*$|^\([0-9][0-9 ().\-/]*$"
_AMERICAN = r"^(?:\+?1)?[2-9][0-9]{9}$"


def normalise_phones(texts: pl.Series, region: str) -> pl.Series:
    """Numbers as E.164, in the order of `texts` (trimmed already); null where it is no valid number.

    Numbers without a country code are read as of `region`. The rule is libphonenumber's. Every number is asked about
    once in one spelling of its digits; US numbers are checked in one pass by the library's own patterns, and what these
    do not accept is left to the library. Raises SpecError for a region that the library does not know.

    >>> normalise_phones(pl.Series(["(415) 555-0134", "+44 20 7946 0018", "12"]), "US").to_list()
    ['+14155550134', '+442079460018', None]
    """
    import phonenumbers

    if region not in phonenumbers.SUPPORTED_REGIONS:
        choices = sorted(phonenumbers.SUPPORTED_REGIONS)
        raise SpecError.unknown("region", region, choices, where="region")
    bare = texts.str.replace_all(r"[ ().\-/]", "")
    spelling = texts.zip_with(~texts.str.contains(_SHAPE).fill_null(False), bare)
    american, impossible = _american(spelling, region)
    hard = spelling.filter(~american & ~impossible & spelling.str.contains(r"\d").fill_null(False)).unique()
    checked = dict(zip(hard, (_validated(text, region) for text in hard), strict=True))
    others = spelling.replace_strict(checked, default=None, return_dtype=pl.String)
    return ("+1" + spelling.str.tail(10)).zip_with(american, others)


def _american(spelling: pl.Series, region: str) -> tuple[pl.Series, pl.Series]:
    """Which spellings are valid numbers of the US, and which look like a number under +1 but are nowhere valid.

    Twenty-five countries share +1. The library asks the US first, so that a number which fits there is theirs.
    """
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    shape = _AMERICAN if region in ("US", "CA") else r"^\+1[2-9][0-9]{9}$"
    regions = COUNTRY_CODE_TO_REGION_CODE[1]
    assert regions[0] == "US"
    national = spelling.str.tail(10).set(~spelling.str.contains(shape).fill_null(False), None)
    of_us = national.str.contains(_patterns(regions[:1])).fill_null(False)
    anywhere = national.str.contains(_patterns(regions))
    return of_us, (~anywhere).fill_null(False)


def _patterns(regions: tuple[str, ...]) -> str:
    """One pattern of every kind of number that the library knows in these countries."""
    from phonenumbers import PhoneMetadata

    kinds = ("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager")
    data = [PhoneMetadata.metadata_for_region(region) for region in regions]
    known = [getattr(d, kind) for d in data for kind in (*kinds, "uan", "voicemail")]
    patterns = dict.fromkeys(k.national_number_pattern for k in known if k and k.national_number_pattern)
    return "^(?:" + "|".join(f"(?:{pattern})" for pattern in patterns) + ")$"


def _validated(text: str, region: str) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
