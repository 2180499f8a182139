"""Which pairs are compared at all: the blocking rules that a set of records can afford."""

from __future__ import annotations

import polars as pl

PAIRS_PER_RECORD = 20
SMALL = 500_000
"""A rule may make so many pairs a record; below SMALL pairs it may in any case."""
_RULES: tuple[tuple[str, ...], ...] = (
    ("national_id",),
    ("email",),
    ("phone",),
    ("first_name", "last_name"),
    ("birth_date",),
    ("email_user",),
    ("street", "house_number"),
    ("postcode", "house_number"),
    ("last_name", "postcode"),
    ("first_name", "postcode"),
    ("last_name", "birth_year"),
    ("first_name", "birth_month"),
    ("first_3", "last_3"),
    ("last_name", "city"),
    ("first_3", "birth_year"),
    ("last_3", "birth_month"),
    ("birth_month", "city"),
    ("last_name",),
    ("first_name",),
    ("birth_month",),
)
_SWAPPED = ("l.first_name = r.last_name AND l.last_name = r.first_name",)
_HALF_SWAPPED = ("l.first_name = r.last_name", "l.last_name = r.first_name")


def blocking_rules(records: pl.DataFrame) -> list[str]:
    """SQL over l and r, those first that are sharpest; a rule without pairs, or with too many, is left out.

    >>> blocking_rules(pl.DataFrame({name: ["x", "x"] for name in ("email", "phone")}))
    ['l.email = r.email', 'l.phone = r.phone']
    """
    most = max(SMALL, PAIRS_PER_RECORD * records.height)
    columns = set(records.columns)
    found = [sql(rule) for rule in _RULES if set(rule) <= columns and 0 < pairs(records, rule) <= most]
    if not {"first_name", "last_name"} <= columns:
        return found
    return [*found, *_SWAPPED, *(_HALF_SWAPPED if _crossed(records) <= most else ())]


def sql(rule: tuple[str, ...]) -> str:
    """The rule that two records agree on all these columns."""
    return " AND ".join(f"l.{column} = r.{column}" for column in rule)


def pairs(records: pl.DataFrame, rule: tuple[str, ...]) -> int:
    """How many pairs a rule makes."""
    sizes = records.select(rule).drop_nulls().group_by(rule).len()["len"].cast(pl.Int64)
    return int((sizes * (sizes - 1) // 2).sum())


def _crossed(records: pl.DataFrame) -> int:
    """How many pairs have the first name of one as the last name of the other."""
    first, last = (records.group_by(name=pl.col(c)).len().drop_nulls("name") for c in ("first_name", "last_name"))
    both = first.join(last, on="name", how="inner")
    return int((both["len"].cast(pl.Int64) * both["len_right"].cast(pl.Int64)).sum())
