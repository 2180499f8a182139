"""What a field holds, by its name and by a sample of its different values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from cdp_core.privacy import names
from cdp_core.privacy.birthdays import looks_born
from cdp_core.privacy.detectors import detectors
from cdp_core.privacy.mentions import mentions

if TYPE_CHECKING:
    from cdp_core.privacy.spec import Class

By = Literal["name", "value", "text", "role"]
"""`role`: it is an identifier of the workspace."""
ORDER: dict[str, int] = {"red": 0, "yellow": 1, "green": 2}
_FLAGS = frozenset({
    "true", "false", "yes", "no", "y", "n", "0", "1", "on", "off", "granted", "denied", "t", "f",
})  # fmt: skip
_KIND_OF_TERM = {
    "email": "email", "e_mail": "email", "mail": "email", "phone": "phone", "telephone": "phone", "mobile": "phone",
    "ip": "ip", "mac": "mac", "birthdate": "birth_date", "birthday": "birth_date", "birth_date": "birth_date",
    "date_of_birth": "birth_date", "dob": "birth_date", "born": "birth_date", "birth": "birth_date",
    "firstname": "name", "lastname": "name", "fullname": "name", "surname": "name", "forename": "name",
    "address_line": "address", "street": "address", "credit_card": "card", "creditcard": "card",
    "debit_card": "card", "card_number": "card", "cardnumber": "card", "pan": "card", "zip": "postcode",
    "zipcode": "postcode", "postal_code": "postcode", "token": "secret", "password": "secret", "passwd": "secret",
    "api_key": "secret", "private_key": "secret", "secret": "secret", "pwd": "secret",
}  # fmt: skip
PARTS = ("state", "province", "county", "country", "region")
_BESIDE = ("street", "address", "address_line", "city", "town", "zip", "zipcode", "postcode", "postal_code")
_NAME_LEAST, _NAME_CHANCE = 0.6, 0.2


@dataclass(frozen=True, kw_only=True)
class Found:
    """One reason to class a field. `share` is of the different values that were looked at; None when it is the name."""

    kind: str
    class_: Class
    by: By
    why: str
    share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """kind, class, by, why, share."""
        return {"kind": self.kind, "class": self.class_, "by": self.by, "why": self.why, "share": self.share}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the workspace knows: its country, its day, and names of people as its own fields hold them (lower case)."""

    region: str
    today: date
    people: frozenset[str] = frozenset()


def judge(place: str, values: Sequence[str], around: Surroundings) -> list[Found]:
    """Every reason, the highest class first and values before names; none: nothing personal was found.

    >>> around = Surroundings(region="US", today=date(1998, 7, 1))
    >>> [(f.kind, f.by, f.why) for f in judge("properties.note", ["ann@example.org", "bob@example.org"], around)]
    [('email', 'value', '100 % of the values are e-mail addresses')]
    >>> judge("properties.email", ["true", "false"], around)
    []
    """
    looked_at = [clean for text in values if (clean := text.strip())]
    found = [*_by_value(looked_at, around), *_by_spread(looked_at, around), *_by_people(place, looked_at, around)]
    found += _by_text(looked_at, around, {each.kind for each in found})
    found += _by_name(place, looked_at, found)
    return sorted(found, key=lambda each: (ORDER[each.class_], each.by == "name"))


def part_of_address(place: str, beside: Collection[str]) -> Found | None:
    """A state or country that stands beside parts of an address; `beside` are the names around it.

    >>> part_of_address("traits.state", ["city", "postcode", "state"]).why
    'stands beside city and postcode'
    >>> part_of_address("properties.state", ["state", "order_id"]) is None
    True
    """
    if names.words(place.split(".")[-1]) not in PARTS:
        return None
    found = sorted({term for name in beside if (term := names.term_of_name(name)) in _BESIDE})
    if len(found) < 2:
        return None
    why = f"stands beside {found[0]} and {found[1]}"
    return Found(kind="address", class_="yellow", by="name", why=why)


def _by_value(values: Sequence[str], around: Surroundings) -> list[Found]:
    found = []
    for each in detectors(around.region):
        matched = sum(map(each.matches, values))
        if matched and each.finds(matched, len(values)):
            found.append(_found(each.kind, each.class_, f"are {each.many}", matched / len(values)))
    return found


def _by_spread(values: Sequence[str], around: Surroundings) -> list[Found]:
    share = looks_born(values, around.today)
    return [_found("birth_date", "yellow", "are days spread over the ages of people", share)] if share else []


def _by_people(place: str, values: Sequence[str], around: Surroundings) -> list[Found]:
    from cdp_core.privacy.detectors import accident

    if not around.people or not values or names.term_of_place(place) == "city":
        return []
    matched = sum(is_person(text, around.people) for text in values)
    share = matched / len(values)
    if share < _NAME_LEAST or not accident(matched, len(values), _NAME_CHANCE):
        return []
    return [_found("name", "yellow", "are names that other fields know", share)]


def is_person(text: str, people: frozenset[str]) -> bool:
    """Whether a text is made of one to four words with a capital, most of them known names.

    >>> is_person("Ann Lee", frozenset({"ann", "lee"})), is_person("Rock", frozenset({"ann"}))
    (True, False)
    """
    parts = text.replace(",", " ").split()
    if not 1 <= len(parts) <= 4 or not all(part[:1].isupper() for part in parts):
        return False
    return 2 * sum(part.lower() in people for part in parts) > len(parts) - (len(parts) > 1)


def _by_text(values: Sequence[str], around: Surroundings, known: set[str]) -> list[Found]:
    found = []
    for each in mentions(values, around.region):
        if each.kind not in known:
            share = each.texts / len(values)
            why = f"{percent(share)} of the texts mention {each.many}"
            found.append(Found(kind=f"text:{each.kind}", class_=each.class_, by="text", why=why, share=share))
    return found


def _by_name(place: str, values: Sequence[str], found: Sequence[Found]) -> list[Found]:
    term = names.term_of_place(place)
    if term is None or (values and all(text.lower() in _FLAGS for text in values)):
        return []
    kind = _KIND_OF_TERM.get(term, term)
    if any(each.kind == kind for each in found):
        return []
    class_: Class = "red" if term in names.RED else "yellow"
    return [Found(kind=kind, class_=class_, by="name", why=f"its name says {term.replace('_', ' ')}")]


def _found(kind: str, class_: Class, are: str, share: float) -> Found:
    return Found(kind=kind, class_=class_, by="value", why=f"{percent(share)} of the values {are}", share=share)


def percent(share: float) -> str:
    """
    >>> percent(0.9996), percent(1.0), percent(0.004)
    ('99.9 %', '100 %', '0.4 %')
    """
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(max(100 * share, 0.1), 99.9):.3g} %" if share > 0.99 or share < 0.1 else f"{100 * share:.0f} %"
