"""Which column fits which field of a destination, by what their names mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

_ALIKE = 0.86
_MEANINGS: dict[str, tuple[str, ...]] = {
    "email": ("email", "mail", "emailaddress"),
    "phone": ("phone", "phonenumber", "mobilephone", "mobile", "tel", "telephone", "homephone"),
    "first name": ("fn", "firstname", "givenname", "forename"),
    "last name": ("ln", "lastname", "familyname", "surname"),
    "name": ("name", "fullname", "displayname"),
    "city": ("ct", "city", "town", "mailingcity"),
    "state": ("st", "state", "province", "mailingstate"),
    "post code": ("zip", "zipcode", "postalcode", "postcode", "mailingpostalcode"),
    "country": ("country", "countrycode", "regioncode", "mailingcountry"),
    "birth date": ("birthdate", "birthday", "dateofbirth", "dob"),
    "gender": ("gen", "gender", "sex"),
    "mobile id": ("madid", "mobileid", "advertisingid", "idfa", "gaid"),
    "person": ("externid", "externalid", "profileid", "userid", "id"),
}
_MEANING_OF = {name: meaning for meaning, names in _MEANINGS.items() for name in names}


def matched(fields: Iterable[str], columns: Iterable[str]) -> dict[str, str]:
    """For every field the column that means the same, where there is one; names are compared without case and signs.

    >>> matched(["EMAIL", "FN", "ZIP", "MADID"], ["email", "first_name", "postcode", "orders"])
    {'EMAIL': 'email', 'FN': 'first_name', 'ZIP': 'postcode'}
    """
    plain = {column: _bare(column) for column in columns}
    found = {field: _nearest(_bare(field), plain) for field in fields}
    return {field: column for field, column in found.items() if column is not None}


def _nearest(field: str, columns: Mapping[str, str]) -> str | None:
    same = next((column for column, bare in columns.items() if bare == field), None)
    meaning = _MEANING_OF.get(field)
    if same is None and meaning is not None:
        same = next((column for column, bare in columns.items() if _MEANING_OF.get(bare) == meaning), None)
    if same is not None or meaning is not None or len(field) < 4:
        return same
    alike = {bare: column for column, bare in reversed(list(columns.items()))}
    near = difflib.get_close_matches(field, alike, n=1, cutoff=_ALIKE)
    return alike[near[0]] if near else None


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
