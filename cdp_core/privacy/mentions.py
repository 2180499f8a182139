"""Personal values inside longer texts: what people write into a comment, and what ends up in a URL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdp_core.privacy import checks
from cdp_core.privacy.detectors import is_email

if TYPE_CHECKING:
    from cdp_core.privacy.spec import Class

_EMAIL = re.compile(r"[\w.+'-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_DIGITS = re.compile(r"\d(?:[\s().-]*\d){6,}")
LONGEST = 200
"""Values in which phone numbers are looked for: that is the slow part."""


@dataclass(frozen=True, kw_only=True)
class Mention:
    """How many of the texts mention one kind of value."""

    kind: str
    many: str
    class_: Class
    texts: int


def mentions(values: Sequence[str], region: str) -> list[Mention]:
    """What is mentioned in texts that are more than that value, the worst kind first.

    >>> texts = ["call Ann, 4111 1111 1111 1111", "mail ann@example.org or bob@example.org"]
    >>> [(each.kind, each.texts) for each in mentions(texts, "US")]
    [('card', 1), ('email', 1)]
    >>> mentions(["ann@example.org", "nothing here", "/orders/4111111111111111"], "US")
    []
    """
    texts = [text for text in values if len(text) > 7]
    prose = [text for text in texts if " " in text and re.search(r"[^\W\d]{2}", text)]
    counted: list[tuple[str, str, Class, int]] = [
        ("card", "a card number", "red", _count(prose, _CARD, checks.is_card)),
        ("iban", "an IBAN", "red", _count(prose, _IBAN, checks.is_iban)),
        ("us_ssn", "a US social security number", "red", _count(prose, _SSN, checks.is_ssn)),
        ("email", "an e-mail address", "yellow", _count(texts, _EMAIL, lambda t: is_email(t.replace("%40", "@")))),
        ("phone", "a phone number", "yellow", _phones(prose, region)),
    ]
    return [Mention(kind=kind, many=many, class_=class_, texts=n) for kind, many, class_, n in counted if n]


def _count(texts: Sequence[str], pattern: re.Pattern[str], is_one: object) -> int:
    assert callable(is_one)
    return sum(any(is_one(found.rstrip(".")) and found != text for found in pattern.findall(text)) for text in texts)


def _phones(texts: Sequence[str], region: str) -> int:
    """One may be the number of an order; two texts with a valid one are taken for what they are."""
    candidates = [text for text in texts if _DIGITS.search(text)][:LONGEST]
    if not candidates:
        return 0
    import phonenumbers

    found = sum(phonenumbers.PhoneNumberMatcher(text[:500], region).has_next() for text in candidates)
    return found if found > 1 else 0
