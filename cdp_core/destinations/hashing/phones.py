"""Phone numbers as E.164, from what people write. A number whose country is not told is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_CLEAN = re.compile(r"\+1[2-9]\d{2}[2-9]\d{6}")


def e164(number: str, region: str | None) -> tuple[str | None, str | None]:
    """A number with `+` and country code, or the reason why there is none.

    `region` (ISO 3166-1 alpha-2) is where a number without a country code is from. Without one only `+` and the
    international prefix 00 (ITU-T E.123) tell the country; nothing is taken for +1.

    >>> e164("(650) 555-1212", "US"), e164("(650) 555-1212", None)
    (('+16505551212', None), (None, 'no_country_code'))
    """
    import phonenumbers

    if _CLEAN.fullmatch(number):
        return number, None
    told = number.lstrip("( ")
    plus = told if told.startswith(("+", "＋")) else None
    if region is not None and plus is None:
        found = _parsed(number, region)
        if found is not None and phonenumbers.is_valid_number(found):
            return _text(found), None
    if plus is None and told.startswith("00"):
        plus = "+" + told[2:].lstrip("0")
    if plus is None:
        digits = sum(c.isdigit() for c in number)
        return None, "no_country_code" if region is None and digits >= 4 else "not_a_phone"
    found = _parsed(plus, None)
    if found is None or not phonenumbers.is_possible_number(found):
        return None, "not_a_phone"
    return _text(found), None


def e164_all(numbers: Iterable[str], regions: Iterable[str | None]) -> tuple[list[str | None], list[str | None]]:
    """`e164` of each number with its region: the numbers, and the reasons where there is none."""
    pairs = [e164(number, region) for number, region in zip(numbers, regions, strict=True)]
    return [number for number, _ in pairs], [reason for _, reason in pairs]


def _parsed(number: str, region: str | None) -> PhoneNumber | None:
    import phonenumbers

    try:
        return phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None


def _text(number: PhoneNumber) -> str:
    import phonenumbers

    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
