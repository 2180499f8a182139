"""Dates of birth, told from other dates by how they are spread: over the ages of people, and not over the years of a
business."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

FEWEST = 15
"""Different dates, below which nothing is said by their spread."""
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|\+00:?00)?)?")
_COMMON = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})")
_OLDEST, _SPREAD, _GROWN = 120, 15, 0.5


def looks_born(values: Sequence[str], today: date) -> float:
    """The share of values that are dates of a living person's birth, if their spread says ages; else 0.

    Nearly all must be plain days (no time of day) of the last 120 years, the middle half of them spread over 15 years
    or more, and half of them at least ten years ago: orders, sign-ups and releases lie closer together or nearer.

    >>> looks_born([f"{year}-03-0{year % 9 + 1}" for year in range(1930, 1990)], date(1998, 7, 1))
    1.0
    >>> looks_born([f"1997-0{month}-{day}" for month in range(1, 8) for day in range(10, 20)], date(1998, 7, 1))
    0.0
    """
    found = [born for text in values if (born := day_of(text)) is not None]
    ages = sorted((today - born).days / 365.25 for born in found)
    sound = [age for age in ages if 0 <= age <= _OLDEST]
    if len(sound) < FEWEST or len(sound) < 0.8 * len(values):
        return 0.0
    quarter = len(sound) // 4
    spread = sound[-quarter - 1] - sound[quarter]
    whole_years = len({(born.month, born.day) for born in found}) < 3
    grown = sum(age >= 10 for age in sound) >= _GROWN * len(sound)
    return len(sound) / len(values) if spread >= _SPREAD and grown and not whole_years else 0.0


def day_of(text: str) -> date | None:
    """
    >>> day_of("1970-07-10"), day_of("10.07.1970"), day_of("1970-07-10T08:15:00Z"), day_of("1970-02-30")
    (datetime.date(1970, 7, 10), datetime.date(1970, 7, 10), None, None)
    """
    if found := _ISO.fullmatch(text):
        return _day(int(found[1]), int(found[2]), int(found[3]))
    if found := _COMMON.fullmatch(text):
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        return _day(year, second, first) or _day(year, first, second)
    return None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
