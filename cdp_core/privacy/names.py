"""The class of a field by its name alone, as Segment's Privacy Portal has it by default.

Rule: the name ends in a term of one of the lists, or is spelled like one (Dice's coefficient of letter pairs above
0.7, as Segment has it). What a term describes is another thing: `email_verified`, `card_type` and `product_name` hold
no address, number or person.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdp_core.privacy.spec import Class

RED = (
    "ssn", "social_security", "social_insurance", "national_id", "tax_id", "nino", "bsn", "dni", "nie",
    "codice_fiscale", "steuer_id", "personnummer", "password", "passwd", "pwd", "passphrase", "secret", "visa",
    "veteran", "disability", "credit_card", "debit_card", "creditcard", "card_number", "cardnumber", "pan",
    "passport", "token", "cvv", "cvc", "iban", "bank_account", "account_number", "routing_number", "sort_code",
    "private_key", "api_key", "cc_number", "national_insurance", "insurance_number", "national_identification",
)  # fmt: skip
AT_DOOR = (
    "ssn", "social_security", "password", "passwd", "visa", "veteran", "disability", "credit_card", "creditcard",
    "card_number", "cardnumber", "passport", "token", "cvv", "iban",
)  # fmt: skip
"""Segment's red list: what is kept out until somebody decides."""
PUSH_ADDRESS = "context.device.token"
"""The one token of Segment's spec: messages are sent to it, and it opens nothing."""
YELLOW = (
    "race", "birthdate", "birthday", "birth_date", "birth_day", "birth_year", "birth_place", "date_of_birth",
    "birth", "born", "dob", "phone", "telephone", "mobile", "msisdn", "fax", "whatsapp", "address", "gender",
    "ethnicity", "citizenship", "nationality", "name", "firstname", "lastname", "surname", "forename",
    "fullname", "nickname", "username", "street", "address_line", "city", "town", "zipcode", "zip", "postcode",
    "postal_code", "email", "e_mail", "mail", "certificate", "license", "licence", "identification", "serial",
    "ip", "photo", "avatar", "salary", "income", "religion", "mac", "sex", "sexual_orientation", "medication",
    "allergy", "condition", "diagnosis", "procedure", "latitude", "longitude", "advertising_id", "idfa", "gaid",
    "idfv", "imei", "license_plate", "fingerprint", "photo_url", "avatar_url", "house_number", "residence",
    "lng", "lon",
)  # fmt: skip
_ALONE = frozenset({
    "visa", "veteran", "disability", "pan", "nie", "dni", "race", "certificate", "license", "licence", "identification",
    "serial", "photo", "avatar", "mac", "condition", "procedure", "mobile", "mail", "secret", "birth", "born", "income",
    "fingerprint", "fax",
})  # fmt: skip
"""Terms that say something only when they are the whole name: a `procedure` may be a treatment, a `stored_procedure`
is none.
"""
_PEOPLE = frozenset({
    "first", "last", "full", "given", "family", "middle", "maiden", "birth", "legal", "preferred", "nick",
    "sur", "user", "customer", "client", "contact", "person", "people", "member", "subscriber", "owner",
    "author", "sender", "recipient", "requester", "requestor", "buyer", "seller", "shopper", "patient",
    "employee", "agent", "assignee", "guest", "attendee", "passenger", "driver", "holder", "cardholder",
    "billing", "shipping", "delivery", "emergency", "spouse", "partner", "child", "parent", "mother", "father",
    "beneficiary", "referrer", "traits", "display",
})  # fmt: skip
_NO_PLACE = frozenset({
    "web", "website", "page", "url", "server", "email", "mac", "host", "site", "memory", "wallet",
})  # fmt: skip
"""Before `address`: no place where somebody lives (e-mail, IP and MAC addresses have a term of their own)."""
_STILL = frozenset({
    "number", "no", "nr", "num", "id", "value", "text", "raw", "line", "line1", "line2", "1", "2", "3", "hash",
    "hashed", "sha1", "sha256", "md5", "normalized", "normalised", "e164", "last4", "primary", "secondary",
    "home", "work", "private", "business", "main", "other", "old", "new", "current", "original", "lower",
    "masked", "encrypted", "plain", "field", "str", "string", "full", "address",
})  # fmt: skip
"""Behind a term: it is still about the same value."""
_ABOUT = frozenset({
    "is", "has", "had", "was", "can", "should", "wants", "num", "count", "n", "no", "total", "allow", "allows",
    "accepts", "use", "uses", "need",
})  # fmt: skip
"""Before a term: it says something about the value."""
_DICE = 0.7
_SHORTEST = 5
"""Short words are spelled like others too easily: `trace` and `race`, `game` and `name`."""
_MEANT = frozenset({"conditional", "conditions", "conditioner", "serialized", "procedural", "mobility", "emailing"})
"""Words of their own that are spelled like a term."""


def words(name: str) -> str:
    """A field's name in lower case with underscores.

    >>> words("creditCard-Number"), words("addressLine1"), words("userIP")
    ('credit_card_number', 'address_line1', 'user_ip')
    """
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")


@functools.lru_cache(maxsize=100_000)
def is_red_at_door(name: str) -> bool:
    """Whether a field is kept out by its name alone until somebody decides: it ends in a term of Segment's red list.

    Names that are merely spelled like one, and our own terms, are suggestions of the inventory.

    >>> is_red_at_door("userPassword"), is_red_at_door("paswords"), is_red_at_door("token_type")
    (True, False, False)
    """
    return _ending(words(name).split("_"), _AT_DOOR) in _AT_DOOR


def red_marks() -> frozenset[str]:
    """Few short texts in lower case of which every name that is red at the door holds one, however it is spelled: a
    quick look for them tells that a text names nothing red. The Kelvin sign is a k in lower case.

    >>> "cred" in red_marks(), any(mark in "CVV".lower() for mark in red_marks())
    (True, True)
    """
    return frozenset(name.partition("_")[0][:4] for name in AT_DOOR) | {"\u212a"}


@functools.lru_cache(maxsize=100_000)
def class_of_name(name: str) -> Class | None:
    """The default class of the last part of a place, or None where the name says nothing.

    >>> class_of_name("creditCard"), class_of_name("email"), class_of_name("plan")
    ('red', 'yellow', None)
    >>> class_of_name("billing_email_address"), class_of_name("email_verified"), class_of_name("product_name")
    ('yellow', None, None)
    """
    term = term_of_name(name)
    if term is None:
        return None
    return "red" if term in _RED_SET else "yellow"


@functools.lru_cache(maxsize=100_000)
def term_of_name(name: str) -> str | None:
    """The term of Segment's lists, or ours, that a name ends in or is spelled like.

    >>> term_of_name("customerEmail"), term_of_name("addres"), term_of_name("trace"), term_of_name("emial")
    ('email', 'address', None, None)
    """
    told = words(name)
    if told in _TERMS:
        return told
    parts = told.split("_")
    if not parts[0] or parts[0] in _ABOUT:
        return None
    ending = _ending(parts)
    return _alike(told) if ending is None else ending or None


def term_of_place(place: str) -> str | None:
    """The same of a whole place, where what stands around a bare `name` or `token` says whose it is.

    >>> term_of_place("context.campaign.name"), term_of_place("traits.name"), term_of_place("properties.owner.name")
    (None, 'name', 'name')
    >>> term_of_place("context.device.token"), term_of_place("context.page.address")
    ('serial', None)
    """
    if place == PUSH_ADDRESS:
        return "serial"
    *before, last = place.split(".")
    told = words(last)
    if told not in ("name", "address") or not before:
        return term_of_name(last)
    around = words(before[-1]).split("_")[-1]
    singular = around.removesuffix("s")
    if told == "address":
        return None if singular in _NO_PLACE else told
    return told if {around, singular} & _PEOPLE else None


def _ending(parts: list[str], terms: frozenset[str] | None = None) -> str | None:
    """The longest term that the words end in, whatever neutral words stand behind it; empty where the word before it
    says that it is of something else.
    """
    terms = terms or _TERMS
    nothing: str | None = None
    while parts:
        for size in range(min(3, len(parts)), 0, -1):
            term = "_".join(parts[-size:])
            if term in terms:
                if _holds(term, parts[:-size]):
                    return term
                nothing = ""
        if parts[-1] not in _STILL:
            return nothing
        parts = parts[:-1]
    return nothing


def _holds(term: str, before: list[str]) -> bool:
    if not before:
        return True
    if term == "name":
        return before[-1] in _PEOPLE
    if term == "address":
        return before[-1] not in _NO_PLACE
    return term not in _ALONE


def _alike(told: str) -> str | None:
    joined = told.replace("_", "")
    if len(joined) < _SHORTEST or told in _MEANT:
        return None
    pairs = _pairs(joined)
    best, term = max((_dice(pairs, other), name) for name, other in _FUZZY)
    return term if best > _DICE and not (term in _ALONE and "_" in told) else None


def _pairs(text: str) -> frozenset[str]:
    return frozenset(text[i : i + 2] for i in range(len(text) - 1))


def _dice(left: frozenset[str], right: frozenset[str]) -> float:
    return 2 * len(left & right) / (len(left) + len(right))


_RED_SET = frozenset(RED)
_AT_DOOR = frozenset(AT_DOOR)
_TERMS = frozenset(RED + YELLOW)
_FUZZY = tuple(
    (term, _pairs(joined))
    for term in RED + YELLOW
    if len(joined := term.replace("_", "")) >= _SHORTEST and not joined.endswith("name")
)
"""Any two names that end in `name` are alike, of whatever they are the name."""
