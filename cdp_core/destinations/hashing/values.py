"""A column in, what is to be sent out: each distinct value once."""

from __future__ import annotations

import hashlib
from typing import Literal

import polars as pl

from cdp_core.destinations.hashing import phones
from cdp_core.destinations.hashing.fields import Field, field_of
from cdp_core.destinations.hashing.places import country as country_code
from cdp_core.destinations.hashing.text import lowered, tidied
from cdp_core.errors import DestinationError

REASONS = {
    "missing": "there is no value",
    "not_an_email": "it is no e-mail address",
    "not_a_phone": "it is no phone number of its country",
    "no_country_code": "the number has no country code, and neither the row nor the options name a country",
    "not_a_date": "it is no date, or no such year, month or day",
    "ambiguous_date": "day and month cannot be told apart: say date_order",
    "two_digit_year": "the year has two digits: its century is not told",
    "no_letters": "it has no letters",
    "unknown_gender": "it means neither f nor m",
    "unknown_country": "no country is called so",
    "not_a_post_code": "it is no post code of its country",
    "not_a_mobile_id": "it is no id of a device, or all zeros",
}
COLUMNS = ("normalised", "value", "reason")


def normalised(
    values: pl.Series,
    platform: str,
    field: str,
    *,
    region: str | None = None,
    country: pl.Series | None = None,
    date_order: Literal["mdy", "dmy"] | None = None,
) -> pl.DataFrame:
    """Of each value `normalised` (text before hashing), `value` (what is sent) and `reason` (a key of REASONS).

    Where `reason` is set the other two are null: nothing is hashed that is not there. A value that is a hash already
    (64 hex digits; 32 for md5) passes in lower case. `country` says where each row is from, in any spelling; `region`
    (ISO 3166-1 alpha-2) does where a row does not. `date_order` is for dates like 2/3/1997.

    Raises DestinationError for an unknown platform, field or region.

    >>> normalised(pl.Series(["Jane.Doe+x@Gmail.com ", ""]), "google", "email").rows()[1]
    (None, None, 'missing')
    >>> normalised(pl.Series(["Jane.Doe+x@Gmail.com "]), "google", "email")["normalised"].item()
    'janedoe@gmail.com'
    """
    rule = field_of(platform, field)
    frame = pl.DataFrame({"raw": _text(values), "region": _regions(values.len(), region, country)})
    keys = ["raw"] if country is None else ["raw", "region"]
    distinct = frame.unique(keys, maintain_order=True)
    told = _told(distinct, rule, date_order)
    if distinct.height == frame.height:
        return told.select(*COLUMNS)
    return frame.select(keys).join(told, on=keys, how="left", nulls_equal=True, maintain_order="left").select(*COLUMNS)


def _told(distinct: pl.DataFrame, rule: Field, order: str | None) -> pl.DataFrame:
    plain = tidied(distinct["raw"])
    text = plain if rule.cased else lowered(plain)
    known = distinct.with_columns(text=text, hashed=_is_hash(text, rule))
    told = _applied(known, rule, order)
    # What a rule takes out may have stood between a letter and its accent, or hidden a space at an end.
    told = told.with_columns(tidied(told["normalised"])).with_columns(
        normalised=pl.when("hashed").then("text").when(pl.col("normalised") != "").then("normalised")
    )
    none, empty = pl.col("normalised").is_null(), pl.col("text").fill_null("") == ""
    told = told.with_columns(reason=pl.when(empty).then(pl.lit("missing")).when(none).then("reason"))
    return told.with_columns(value=_digested(told, rule))


def _is_hash(text: pl.Series, rule: Field) -> pl.Series:
    if rule.digest == "none":
        return pl.repeat(False, text.len(), eager=True)
    digits = 64 if rule.digest == "sha256" else 32
    return ((text.str.len_bytes() == digits) & text.str.contains("^[0-9a-f]+$")).fill_null(False)


def _text(values: pl.Series) -> pl.Series:
    """Any scalar as text: dates as ISO 8601, a whole number without a fraction."""
    if values.dtype.is_float():
        whole = values.is_finite() & (values == values.floor()) & (values.abs() < 2**63)
        exact = values.to_frame("v").select(
            pl.when(whole.fill_null(False))
            .then(pl.col("v").cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(pl.col("v").cast(pl.String))
        )
        return exact.to_series()
    return values.cast(pl.String, strict=False)


def _regions(length: int, region: str | None, country: pl.Series | None) -> pl.Series:
    """Two letters for each row, null where nothing is told."""
    default = None
    if region is not None:
        default = _codes(pl.Series([region])).item() or None
        if not default:
            raise DestinationError("no such region", where="hashing", hint="two letters of ISO 3166-1, such as US")
    if country is None:
        return pl.repeat(default, length, dtype=pl.String, eager=True)
    name = _text(country).alias("name").to_frame()
    codes = name.unique().with_columns(pl.col("name").map_batches(_codes).alias("code"))
    known = name.join(codes, on="name", how="left", nulls_equal=True, maintain_order="left")["code"]
    return known.to_frame("c").select(pl.when(pl.col("c") != "").then("c").otherwise(pl.lit(default)))["c"]


def _codes(names: pl.Series) -> pl.Series:
    return lowered(tidied(names)).to_frame("n").select(country_code(pl.col("n"))).to_series()


def _applied(known: pl.DataFrame, rule: Field, order: str | None) -> pl.DataFrame:
    """`normalised` before hashing (empty for nothing fit) and `reason` in that case."""
    raw, blank = pl.col("text"), pl.lit(rule.blank)
    if rule.kind == "phone":
        return _phones(known, rule)
    assert rule.rule is not None
    if rule.kind == "region":
        return known.with_columns(normalised=rule.rule(raw, pl.col("region")), reason=blank)
    if rule.kind == "date":
        part, reason = rule.rule(raw, order)
        return known.with_columns(normalised=part, reason=reason)
    return known.with_columns(normalised=rule.rule(raw), reason=blank)


def _phones(known: pl.DataFrame, rule: Field) -> pl.DataFrame:
    asked = known["text"].fill_null("")
    numbers, reasons = phones.e164_all(asked.to_list(), known["region"].to_list())
    written = pl.Series("normalised", numbers, dtype=pl.String)
    if not rule.plus:
        written = written.str.strip_prefix("+")
    return known.with_columns(written, pl.Series("reason", reasons, dtype=pl.String))


def _digested(told: pl.DataFrame, rule: Field) -> pl.Series:
    if rule.digest == "none":
        return told["normalised"].alias("value")
    digest = hashlib.sha256 if rule.digest == "sha256" else _md5
    texts, hashed = told["normalised"].to_list(), told["hashed"].to_list()
    found = [
        text if text is None or done else digest(text.encode()).hexdigest()
        for text, done in zip(texts, hashed, strict=True)
    ]
    return pl.Series("value", found, dtype=pl.String)


def _md5(data: bytes) -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)
