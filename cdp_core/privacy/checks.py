"""Numbers that check themselves: cards, bank accounts and what states give people. Pure arithmetic on one text.

Every function takes the text as somebody wrote it and says whether it is such a number; it never raises.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

_CARDS = (
    (r"4", (13, 16, 19)),
    (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
    (r"3[47]", (15,)),
    (r"3(?:0[0-5]|09|[689])", (14, 16, 17, 18, 19)),
    (r"6011|64[4-9]|65", (16, 17, 18, 19)),
    (r"35(?:2[89]|[3-8])", (16, 17, 18, 19)),
    (r"62|81", (16, 17, 18, 19)),
    (r"50|5[6-9]|6[0-9]", (16, 17, 18, 19)),
)
"""Issuer prefixes and lengths: Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Maestro
(ISO/IEC 7812)."""
_IBAN = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19,
    "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""Length by country (ISO 13616)."""
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_CF_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def is_card(text: str) -> bool:
    """A card number: 13 to 19 digits of an issuer, Luhn's digit at the end; blanks and dashes between are fine.

    >>> is_card("4111 1111 1111 1111"), is_card("4111 1111 1111 1112"), is_card("1234567812345670")
    (True, False, False)
    """
    if not re.fullmatch(r"\d(?:[ -]?\d){12,18}", text):
        return False
    digits = re.sub(r"\D", "", text)
    issued = any(re.match(prefix, digits) and len(digits) in lengths for prefix, lengths in _CARDS)
    return issued and luhn(digits) and len(set(digits)) > 1


def luhn(digits: str) -> bool:
    """
    >>> luhn("79927398713"), luhn("79927398710")
    (True, False)
    """
    doubled = (int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """A bank account: country, its length, and 1 modulo 97 (ISO 13616, ISO 7064).

    >>> is_iban("GB82 WEST 1234 5698 7654 32"), is_iban("GB82 WEST 1234 5698 7654 33")
    (True, False)
    """
    plain = re.sub(r"[ -]", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,28}", plain) or _IBAN.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def is_ssn(text: str) -> bool:
    """United States: three groups with dashes, no group of zeros, no area 666 or 9xx. It has no check digit.

    >>> is_ssn("219-09-9998"), is_ssn("900-12-3456"), is_ssn("219099998")
    (True, False, False)
    """
    return bool(re.fullmatch(r"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}", text))


def is_nino(text: str) -> bool:
    """United Kingdom: two letters that are given out, six digits, A to D. It has no check digit.

    >>> is_nino("AB 12 34 56 C"), is_nino("BG123456C"), is_nino("AB123456E")
    (True, False, False)
    """
    plain = text.replace(" ", "").upper()
    return bool(re.fullmatch(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", plain))


def is_steuer_id(text: str) -> bool:
    """Germany: 11 digits; of the first ten, exactly one digit stands there twice or three times; ISO 7064 Mod 11,10.

    >>> is_steuer_id("86095742719"), is_steuer_id("86095742718"), is_steuer_id("12345678903")
    (True, False, False)
    """
    digits = text.replace(" ", "")
    if not re.fullmatch(r"[1-9]\d{10}", digits):
        return False
    repeated = [digits[:10].count(d) for d in set(digits[:10]) if digits[:10].count(d) > 1]
    if len(repeated) != 1 or repeated[0] > 3:
        return False
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_nir(text: str) -> bool:
    """France: sex, year, month, department, commune, order, and a key modulo 97; Corsica has letters.

    >>> is_nir("2 55 08 14 168 025 38"), is_nir("255081416802539")
    (True, False)
    """
    plain = text.replace(" ", "").upper()
    if not re.fullmatch(r"[12]\d{2}(?:0[1-9]|1[0-2]|[2-9]\d)(?:\d{2}|2[AB])\d{8}", plain):
        return False
    corsican = plain[:13].replace("2A", "19").replace("2B", "18") if plain[6] in "AB" else plain[:13]
    return 97 - int(corsican) % 97 == int(plain[13:])


def is_dni(text: str) -> bool:
    """Spain: 8 digits (NIE: X, Y or Z and 7 digits) and a letter modulo 23.

    >>> is_dni("12345678Z"), is_dni("X1234567L"), is_dni("12345678A")
    (True, True, False)
    """
    plain = re.sub(r"[ -]", "", text).upper()
    if not re.fullmatch(r"(?:\d{8}|[XYZ]\d{7})[A-Z]", plain):
        return False
    number = str("XYZ".index(plain[0])) + plain[1:8] if plain[0] in "XYZ" else plain[:8]
    return _DNI[int(number) % 23] == plain[8]


def is_codice_fiscale(text: str) -> bool:
    """Italy: six letters, year, month and day of birth, place, and a letter over all of them.

    >>> is_codice_fiscale("RSSMRA85T10A562S"), is_codice_fiscale("RSSMRA85T10A562T")
    (True, False)
    """
    plain = text.replace(" ", "").upper()
    digit = "[0-9LMNP-V]"
    if not re.fullmatch(rf"[A-Z]{{6}}{digit}{{2}}[A-EHLMPRST]{digit}{{2}}[A-Z]{digit}{{3}}[A-Z]", plain):
        return False
    total = sum(_cf_value(sign, odd=place % 2 == 0) for place, sign in enumerate(plain[:15]))
    return chr(ord("A") + total % 26) == plain[15]


def _cf_value(sign: str, *, odd: bool) -> int:
    order = int(sign) if sign.isdigit() else ord(sign) - ord("A")
    return _CF_ODD[order] if odd else order


def is_bsn(text: str) -> bool:
    """The Netherlands: 9 digits whose weighted sum (9 … 2, −1) is divisible by 11.

    >>> is_bsn("111222333"), is_bsn("111222334"), is_bsn("000000000")
    (True, False, False)
    """
    plain = text.replace(".", "")
    if not re.fullmatch(r"\d{9}", plain) or not int(plain):
        return False
    return _weighted(plain, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def is_personnummer(text: str) -> bool:
    """Sweden: day of birth and four digits, the last of them Luhn's over ten; coordination numbers add 60 to the day.

    >>> is_personnummer("811218-9876"), is_personnummer("19811218-9876"), is_personnummer("811218-9877")
    (True, True, False)
    """
    found = re.fullmatch(r"(\d{2})?(\d{2})(\d{2})(\d{2})([-+]?)(\d{4})", text)
    if not found or (found[1] or "19") not in ("18", "19", "20"):
        return False
    day = int(found[4]) - 60 if int(found[4]) > 60 else int(found[4])
    try:
        date(int((found[1] or "20") + found[2]), int(found[3]), day)
    except ValueError:
        return False
    return luhn("".join(found.group(2, 3, 4, 6)))


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(d) * w for d, w in zip(digits, weights, strict=True))
