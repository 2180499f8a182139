"""Detectors of personal values: each looks at one text and says whether all of it is such a value.

`chance` is how often a text of the same shape that is something else would pass; `least` is the share of a field's
different values that must pass. Both must speak for a find, so that a check digit, which one number in ten has by
accident, needs many more matches than an e-mail address, which nothing has by accident.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdp_core.privacy import checks

if TYPE_CHECKING:
    from cdp_core.privacy.spec import Class

ACCIDENT = 0.001
"""A find must be less likely than this to be an accident."""
_STREETS = (
    "street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|square|sq|terrace|way|close|crescent|"
    "highway|hwy|parkway|pkwy|circle|cir|trail|row|gardens|mews|hill|park"
)
_FRONT = "rue|avenue|boulevard|chemin|allée|impasse|quai|via|viale|corso|piazza|calle|avenida|plaza|paseo|rua|travessa"
_BACK = r"\w*(?:stra(?:ß|ss)e|str\.|gasse|weg|platz|allee|ufer|ring|damm|straat|laan|gracht|plein|gatan|vägen|gränd)"
_ADDRESS = re.compile(
    rf"\d{{1,5}}[a-z]?,? (?:[\w.'’-]+ ){{1,4}}(?:{_STREETS})\b\.?(?:,? .*)?"
    rf"|(?:\d{{1,5}}(?: bis| ter)?,? )?(?:{_FRONT}) [\w.'’ -]+(?:,? \d{{1,5}}.*)?"
    rf"|(?:[\w.'’-]+ ){{0,3}}{_BACK} \d{{1,5}} ?[a-z]?(?:[-/]\d+)?(?:,? .*)?"
    r"|(?:p\.? ?o\.? box|postfach|apartado|boîte postale) \d+.*",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----.*|gh[pousr]_\w{36,}|AKIA[0-9A-Z]{16}"
    r"|xox[abpr]-[\w-]{10,}|sk_live_\w{16,}|\$2[aby]\$\d\d\$[./\w]{53}|\$argon2i?d?\$.+",
    re.DOTALL,
)
_MAC = re.compile(r"[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE)
_PHONE = re.compile(r"(?:\+|00)?[\d ().\-/]{7,22}(?: ?(?:x|ext\.?) ?\d{1,6})?")
_NOT_PHONE = re.compile(
    r"\d{4}[-/. ]\d{1,2}[-/. ]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d+\.\d+|(?:\d{1,3}\.){3}\d{1,3}"
)


@dataclass(frozen=True, kw_only=True)
class Detector:
    """One kind of value. `many` is what several are called."""

    kind: str
    many: str
    class_: Class
    matches: Callable[[str], bool]
    chance: float
    least: float

    def finds(self, matched: int, looked_at: int) -> bool:
        """Whether so many matches among so many different values say that the field holds this kind."""
        return looked_at > 0 and matched / looked_at >= self.least and accident(matched, looked_at, self.chance)


def accident(matched: int, looked_at: int, chance: float) -> bool:
    """Whether so many matches are no accident (Chernoff's bound on the binomial tail).

    >>> accident(1, 1, 0.1), accident(3, 3, 0.09), accident(100, 1000, 0.1), accident(180, 1000, 0.1)
    (False, True, False, True)
    """
    share = matched / looked_at
    if share <= chance:
        return False
    rest = (1 - share) * math.log((1 - share) / (1 - chance)) if share < 1 else 0.0
    return looked_at * (share * math.log(share / chance) + rest) > -math.log(ACCIDENT)


def is_email(text: str) -> bool:
    """
    >>> is_email("ann@example.org"), is_email("ann@localhost"), is_email("@ann")
    (True, False, False)
    """
    if text.count("@") != 1 or not 5 < len(text) < 255 or " " in text:
        return False
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return False
    return "." in text.rpartition("@")[2]


def is_ip(text: str) -> bool:
    """An address of version 4 or 6, also with the length of a network's prefix.

    >>> is_ip("192.0.2.1"), is_ip("2001:db8::1"), is_ip("1.2.3"), is_ip("::")
    (True, True, False, False)
    """
    if not 6 < len(text) < 50 or (text.count(".") != 3 and text.count(":") < 2):
        return False
    try:
        return bool(ipaddress.ip_interface(text))
    except ValueError:
        return False


def is_phone(text: str, region: str) -> bool:
    """A number that exists in the numbering plan of its country, as people write it.

    Digits alone are a number only in North America, where ten of them are; elsewhere nothing tells them from ids.

    >>> is_phone("(279) 555-0147", "US"), is_phone("+44 20 7946 0018", "US"), is_phone("1998-07-01", "US")
    (True, True, False)
    >>> is_phone("2795550147", "US"), is_phone("2079460018", "GB"), is_phone("020 7946 0018", "GB")
    (True, False, True)
    """
    if not _PHONE.fullmatch(text) or _NOT_PHONE.fullmatch(text):
        return False
    import phonenumbers

    if text.isdecimal() and not text.startswith("0") and phonenumbers.country_code_for_region(region) != 1:
        return False
    try:
        number = phonenumbers.parse("+" + text[2:] if text.startswith("00") else text, region)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_valid_number(number))


def is_address(text: str) -> bool:
    """
    >>> is_address("1923 Fountain Ln"), is_address("Lange Straße 12 a"), is_address("12, rue de la Paix")
    (True, True, True)
    >>> is_address("1997 was a good year"), is_address("Product Viewed")
    (False, False)
    """
    return 6 < len(text) < 200 and bool(_ADDRESS.fullmatch(text))


def is_mac(text: str) -> bool:
    """
    >>> is_mac("00:1B:44:11:3A:B7"), is_mac("00:1B:44:11:3A"), is_mac("001B.4411.3AB7")
    (True, False, True)
    """
    return bool(_MAC.fullmatch(text))


def is_secret(text: str) -> bool:
    """A token or key of a known shape, or the hash of a password.

    >>> is_secret("AKIAABCDEFGHIJKLMNOP"), is_secret("AKI")
    (True, False)
    """
    return len(text) > 15 and bool(_SECRET.fullmatch(text))


@functools.lru_cache(maxsize=16)
def detectors(region: str) -> tuple[Detector, ...]:
    """All of them, for a workspace whose phone numbers are of `region` unless they say so."""

    def kind(
        name: str, many: str, class_: Class, matches: Callable[[str], bool], chance: float, least: float
    ) -> Detector:
        return Detector(kind=name, many=many, class_=class_, matches=matches, chance=chance, least=least)

    # Of least: a check digit in ten or eleven leaves half the field to other things; a shape that only this has, most.
    return (
        kind("card", "card numbers", "red", checks.is_card, 0.09, 0.3),
        kind("iban", "IBANs", "red", checks.is_iban, 0.001, 0.05),
        kind("us_ssn", "US social security numbers", "red", checks.is_ssn, 0.05, 0.3),
        kind("uk_nino", "UK national insurance numbers", "red", checks.is_nino, 0.1, 0.3),
        kind("de_steuer_id", "German tax ids", "red", checks.is_steuer_id, 0.06, 0.3),
        kind("fr_nir", "French social security numbers", "red", checks.is_nir, 0.001, 0.05),
        kind("es_dni", "Spanish identity numbers", "red", checks.is_dni, 0.05, 0.3),
        kind("it_codice_fiscale", "Italian tax codes", "red", checks.is_codice_fiscale, 0.001, 0.05),
        kind("nl_bsn", "Dutch citizen numbers", "red", checks.is_bsn, 0.09, 0.5),
        kind("se_personnummer", "Swedish personal numbers", "red", checks.is_personnummer, 0.05, 0.3),
        kind("secret", "secrets", "red", is_secret, 0.001, 0.05),
        kind("email", "e-mail addresses", "yellow", is_email, 0.0005, 0.02),
        kind("phone", "phone numbers", "yellow", functools.partial(is_phone, region=region), 0.35, 0.6),
        kind("ip", "IP addresses", "yellow", is_ip, 0.05, 0.5),
        kind("mac", "MAC addresses", "yellow", is_mac, 0.001, 0.2),
        kind("address", "street addresses", "yellow", is_address, 0.02, 0.3),
    )
