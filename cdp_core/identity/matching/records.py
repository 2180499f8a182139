"""From golden records to what comparisons compare: one spelling for each role, None where there is nothing."""

from __future__ import annotations

import polars as pl

from cdp_core.errors import UsageError
from cdp_core.identity.matching.spec import ROLES, MatchingSpec, Role

ID = "profile_id"
_DATE_SHAPES = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y")
_NAMES: tuple[Role, ...] = ("first_name", "last_name", "city", "street", "state")
_CODES: tuple[Role, ...] = ("postcode", "house_number", "national_id")
_LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ð": "d", "þ": "th", "ł": "l", "đ": "d", "ı": "i"}


def normalise(records: pl.DataFrame, spec: MatchingSpec) -> pl.DataFrame:
    """One row per profile, sorted by profile_id; a role that no trait fills is a column of None.

    Columns: profile_id, the roles (text; birth_date as YYYYMMDD), birth_month (months since year 0), birth_day,
    birth_year, email_user, email_domain, first_3 and last_3 (beginnings of the names).
    Raises UsageError without profile_id, or when one is there twice.

    >>> normalise(pl.DataFrame({"profile_id": ["p1"], "Surname": [" Müller-Lüd "]}), MatchingSpec())["last_name"][0]
    'muller lud'
    """
    if ID not in records.columns:
        raise UsageError("records to match need a column profile_id", choices=records.columns)
    if records[ID].is_duplicated().any() or records[ID].null_count():
        raise UsageError("records to match need each profile_id once", hint="pass golden records, one a profile")
    roles = spec.roles([name for name in records.columns if name != ID])
    text = {role: _text(records[roles[role]]) if role in roles else pl.lit(None, pl.String) for role in ROLES}
    plain = records.select(pl.col(ID).cast(pl.String), **text)
    clean = plain.with_columns(
        **{role: _words(role) for role in _NAMES},
        **{role: _code(role) for role in _CODES},
        phone=_phone(),
        email=_folded("email").str.replace_all(r"\s", ""),
        birth_date=_date(),
    )
    return _with_keys(_with_house_number(clean)).sort(ID)


def _text(values: pl.Series) -> pl.Series:
    if values.dtype in (pl.Date, pl.Datetime):
        return values.dt.strftime("%Y-%m-%d")
    return values.cast(pl.String, strict=False)


def _folded(column: str) -> pl.Expr:
    """Lower case without accents; ü becomes u."""
    lower = pl.col(column).str.to_lowercase().str.normalize("NFKD").str.replace_all(r"\p{M}", "")
    return lower.str.replace_many(list(_LETTERS), list(_LETTERS.values()))


def _none_if_empty(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def _words(column: str) -> pl.Expr:
    """Letters and digits of any script, single spaces between words; an apostrophe vanishes."""
    text = _folded(column).str.replace_all(r"['’`]", "").str.replace_all(r"[^\p{L}\p{N}]+", " ")
    return _none_if_empty(text.str.strip_chars())


def _code(column: str) -> pl.Expr:
    return _none_if_empty(_folded(column).str.replace_all(r"[^\p{L}\p{N}]+", ""))


def _phone() -> pl.Expr:
    """The last nine digits: numbers with and without a country's code are alike; fewer than five are no number."""
    digits = pl.col("phone").str.replace_all(r"\D", "").str.tail(9)
    return pl.when(digits.str.len_chars() >= 5).then(digits)


def _date() -> pl.Expr:
    text = pl.col("birth_date").str.strip_chars()
    read = [text.str.to_date(shape, strict=False) for shape in _DATE_SHAPES]
    date = pl.coalesce(*read, text.str.head(10).str.to_date("%Y-%m-%d", strict=False))
    return pl.when(date.dt.year().is_between(1850, 2150)).then(date.dt.strftime("%Y%m%d"))


def _with_house_number(clean: pl.DataFrame) -> pl.DataFrame:
    """A number before or after the name of a street is its house number when there is no other."""
    before, after = r"^(\d+[a-z]?) ", r"\p{L} (\d+ ?[a-z]?)$"
    number = pl.coalesce(pl.col("street").str.extract(before), pl.col("street").str.extract(after))
    bare = pl.col("street").str.replace(before, "").str.replace(r"(\p{L}) \d+ ?[a-z]?$", "${1}")
    taken = pl.col("house_number").is_null() & number.is_not_null()
    return clean.with_columns(
        house_number=pl.coalesce("house_number", number.str.replace(" ", "")),
        street=pl.when(taken).then(bare).otherwise("street"),
    )


def _with_keys(clean: pl.DataFrame) -> pl.DataFrame:
    date = pl.col("birth_date")
    year, month, day = (date.str.slice(at, n).cast(pl.Int32, strict=False) for at, n in ((0, 4), (4, 2), (6, 2)))
    at = pl.col("email").str.contains("@", literal=True)
    parts = pl.col("email").str.split_exact("@", 1)
    return clean.with_columns(
        birth_month=year * 12 + month,
        birth_day=day,
        birth_year=year,
        email=pl.when(at).then("email"),
        email_user=pl.when(at).then(_none_if_empty(parts.struct.field("field_0"))),
        email_domain=pl.when(at).then(_none_if_empty(parts.struct.field("field_1"))),
        first_3=pl.col("first_name").str.head(3),
        last_3=pl.col("last_name").str.head(3),
    )
