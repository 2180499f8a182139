"""Year, month and day of a birth date, from a date, a whole date as text, or the part alone. Nothing is guessed."""

from __future__ import annotations

import polars as pl

_ISO = r"^(?<y>[0-9]{4})[-/.]?(?<m>[0-9]{2})[-/.]?(?<d>[0-9]{2})(?:[t ].*)?$"
_LOOSE = r"^(?<y>[0-9]{4})[-/. ](?<m>[0-9]{1,2})[-/. ](?<d>[0-9]{1,2})(?:[t ].*)?$"
_DAY_OR_MONTH = r"^(?<a>[0-9]{1,2})[-/. ](?<b>[0-9]{1,2})[-/. ](?<y>[0-9]{4}|[0-9]{2})$"
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NAMES = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
MONTHS = {word: f"{i:02}" for words in (_MONTHS, _NAMES) for i, word in enumerate(words, 1)} | {"sept": "09"}

Parts = tuple[pl.Expr, pl.Expr]
"""The part as text (empty when there is none), and the reason word for an empty one."""


def year(text: pl.Expr, order: str | None) -> Parts:
    whole, _, _, _ = _split(text, order)
    alone = text.str.extract(r"^([0-9]{4})$", 1)
    found = pl.coalesce(alone, whole)
    number = found.cast(pl.Int32, strict=False)
    short = text.str.contains(r"^'?[0-9]{2}$") | (whole.str.len_chars() == 2)
    reason = pl.when(short).then(pl.lit("two_digit_year")).otherwise(pl.lit("not_a_date"))
    return pl.when(number.is_between(1900, 2100)).then(found).otherwise(pl.lit("")), reason


def month(text: pl.Expr, order: str | None) -> Parts:
    _, whole, _, unclear = _split(text, order)
    named = text.str.strip_chars(".").replace_strict(MONTHS, default=None, return_dtype=pl.String)
    return _padded(pl.coalesce(text.str.extract(r"^([0-9]{1,2})$", 1), named, whole), 12), _reason(unclear)


def day(text: pl.Expr, order: str | None) -> Parts:
    _, _, whole, unclear = _split(text, order)
    return _padded(pl.coalesce(text.str.extract(r"^([0-9]{1,2})$", 1), whole), 31), _reason(unclear)


def _split(text: pl.Expr, order: str | None) -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    """Year, month, day, and whether the last two cannot be told apart."""
    iso, loose, other = (text.str.extract_groups(pattern) for pattern in (_ISO, _LOOSE, _DAY_OR_MONTH))
    a, b = _part(other, "a"), _part(other, "b")
    first = _month_first(a.cast(pl.Int32, strict=False), b.cast(pl.Int32, strict=False), order)
    year, month, day = (pl.coalesce(_part(iso, part), _part(loose, part)) for part in "ymd")
    month_there = pl.when(first).then(a).when(~first).then(b)
    day_there = pl.when(first).then(b).when(~first).then(a)
    unclear = first.is_null() & a.is_not_null()
    return pl.coalesce(year, _part(other, "y")), pl.coalesce(month, month_there), pl.coalesce(day, day_there), unclear


def _part(groups: pl.Expr, name: str) -> pl.Expr:
    return groups.struct.field(name)


def _month_first(a: pl.Expr, b: pl.Expr, order: str | None) -> pl.Expr:
    """Whether 2/16/1997 starts with the month; null when both orders are possible and none is told."""
    told = pl.lit({"mdy": True, "dmy": False}.get(order or ""), dtype=pl.Boolean)
    return pl.when(a > 12).then(False).when(b > 12).then(True).when(a == b).then(True).otherwise(told)


def _padded(found: pl.Expr, most: int) -> pl.Expr:
    number = found.cast(pl.Int32, strict=False)
    return pl.when(number.is_between(1, most)).then(number.cast(pl.String).str.zfill(2)).otherwise(pl.lit(""))


def _reason(unclear: pl.Expr) -> pl.Expr:
    return pl.when(unclear).then(pl.lit("ambiguous_date")).otherwise(pl.lit("not_a_date"))
