"""Countries, states and post codes. Names come from ISO 3166 (pycountry) and a few that people write."""

from __future__ import annotations

from functools import cache

import polars as pl

from cdp_core.destinations.hashing.text import lowered, place, squeezed, tidied

_WRITTEN = {
    "uk": "GB",
    "greatbritain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northernireland": "GB",
    "usa": "US",
    "unitedstatesofamerica": "US",
    "america": "US",
    "southkorea": "KR",
    "northkorea": "KP",
    "russia": "RU",
    "holland": "NL",
    "czechrepublic": "CZ",
    "turkey": "TR",
    "ivorycoast": "CI",
    "uae": "AE",
    "deutschland": "DE",
    "österreich": "AT",
    "schweiz": "CH",
    "españa": "ES",
    "italia": "IT",
    "brasil": "BR",
    "méxico": "MX",
}
_STATE_WORDS = {"districtofcolumbia": "dc", "washingtondc": "dc"}


@cache
def countries() -> dict[str, str]:
    """From a country's code or name (lower-case, no white space, no punctuation) to its two letters."""
    import pycountry

    known: dict[str, str] = {}
    for country in pycountry.countries:
        names = (getattr(country, n, None) for n in ("name", "common_name", "official_name", "alpha_2", "alpha_3"))
        written = [n for n in names if n]
        plain = lowered(tidied(pl.Series("n", written))).to_frame().select(place(pl.col("n")))["n"]
        known |= dict.fromkeys(plain, country.alpha_2)
    return known | _WRITTEN


@cache
def states() -> dict[str, str]:
    """From a US state's or territory's name or code to its two letters, lower-case."""
    import pycountry

    known = dict(_STATE_WORDS)
    for state in pycountry.subdivisions.get(country_code="US"):
        code = state.code.removeprefix("US-").lower()
        known |= {code: code, "".join(c for c in state.name.lower() if c.isalpha()): code}
    return known


def country(value: pl.Expr) -> pl.Expr:
    """ISO 3166-1 alpha-2 in capitals; empty for what no country is called."""
    return place(value).replace_strict(countries(), default="", return_dtype=pl.String)


def country_lower(value: pl.Expr) -> pl.Expr:
    return country(value).str.to_lowercase()


def state(value: pl.Expr, region: pl.Expr) -> pl.Expr:
    """In the US two letters, elsewhere the name without white space and punctuation.

    With no country told, a word that is a US state's full name is that state; two letters stay as they are.
    """
    plain = place(value)
    code = plain.replace_strict(states(), default=plain, return_dtype=pl.String)
    return pl.when(region.is_null() | (region == "US")).then(code).otherwise(plain)


def zip_meta(value: pl.Expr, region: pl.Expr) -> pl.Expr:
    """Lower-case, no white space, no dash; of a US code its first five digits, with the zeros a number has lost."""
    plain = squeezed(value)
    us = (region == "US") | (region.is_null() & value.str.contains(r"^[0-9]{5} ?- ?[0-9]{4}$"))
    return pl.when(us.fill_null(False)).then(_five(value)).otherwise(plain)


def postal_code_google(value: pl.Expr, region: pl.Expr) -> pl.Expr:
    """As written; of a US code five digits or five and four with a dash. Rule: "Format user data", postal_code."""
    extension = value.str.extract(r"^[0-9]{3,5} ?-? ?([0-9]{4})$", 1)
    nine = value.str.contains(r"^(?:[0-9]{9}|[0-9]{3,5} ?- ?[0-9]{4})$")
    five = _five(value)
    us = pl.when(nine & (five != "")).then(five + "-" + extension).otherwise(five)
    return pl.when((region == "US").fill_null(False)).then(us).otherwise(value)


def _five(plain: pl.Expr) -> pl.Expr:
    """The first five digits of a US code; empty for what is none. 501 is 00501 (Holtsville, New York)."""
    head = plain.str.replace(r" ?- ?[0-9]{4}$", "")
    head = pl.when(head.str.contains(r"^[0-9]{9}$")).then(head.str.slice(0, 5)).otherwise(head)
    return pl.when(head.str.contains(r"^[0-9]{3,5}$")).then(head.str.zfill(5)).otherwise(pl.lit(""))
