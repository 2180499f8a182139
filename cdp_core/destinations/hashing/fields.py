"""Which rule each field of each platform follows, and whether it is hashed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from cdp_core.destinations.hashing import dates, places, text
from cdp_core.errors import DestinationError

Rule = Callable[..., Any]
Kind = Literal["plain", "region", "date", "phone"]
Digest = Literal["sha256", "md5", "none"]


@dataclass(frozen=True)
class Field:
    """`rule` makes an expression of the value (kind plain), of it and the row's country (region), of it and the order
    of day and month (date); phones are no expression. `blank` is the reason when nothing is left. `cased` fields keep
    their capitals.
    """

    rule: Rule | None
    blank: str
    digest: Digest = "sha256"
    kind: Kind = "plain"
    plus: bool = True
    cased: bool = False


_META = {
    "EXTERN_ID": Field(text.itself, "missing", "none", cased=True),
    "EMAIL": Field(text.email, "not_an_email"),
    "PHONE": Field(None, "not_a_phone", kind="phone", plus=False),
    "DOBY": Field(dates.year, "not_a_date", kind="date"),
    "DOBM": Field(dates.month, "not_a_date", kind="date"),
    "DOBD": Field(dates.day, "not_a_date", kind="date"),
    "LN": Field(text.name, "no_letters"),
    "FN": Field(text.name, "no_letters"),
    "FI": Field(text.initial, "no_letters"),
    "GEN": Field(text.gender, "unknown_gender"),
    "CT": Field(text.place, "no_letters"),
    "ST": Field(places.state, "no_letters", kind="region"),
    "ZIP": Field(places.zip_meta, "not_a_post_code", kind="region"),
    "COUNTRY": Field(places.country_lower, "unknown_country"),
    "MADID": Field(text.mobile_id, "not_a_mobile_id", "none"),
}
_GOOGLE = {
    "email": Field(text.email_google, "not_an_email"),
    "phone": Field(None, "not_a_phone", kind="phone"),
    "given_name": Field(text.given_name, "no_letters"),
    "family_name": Field(text.family_name, "no_letters"),
    "region_code": Field(places.country, "unknown_country", "none"),
    "postal_code": Field(places.postal_code_google, "not_a_post_code", "none", kind="region", cased=True),
    "mobile_id": Field(text.mobile_id, "not_a_mobile_id", "none", cased=True),
}
_PLAIN = {"sha256": Field(text.itself, "missing"), "md5": Field(text.itself, "missing", "md5")}

FIELDS: dict[str, dict[str, Field]] = {"meta": _META, "google": _GOOGLE, "plain": _PLAIN}


def field_of(platform: str, field: str) -> Field:
    """The rule of a field. Raises DestinationError for a platform or a field that is unknown."""
    if platform not in FIELDS:
        raise DestinationError(f"no platform {platform}", where="hashing", choices=sorted(FIELDS))
    if field not in FIELDS[platform]:
        raise DestinationError(f"{platform} has no field {field}", where="hashing", choices=list(FIELDS[platform]))
    return FIELDS[platform][field]
