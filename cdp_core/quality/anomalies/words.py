"""An anomaly in a sentence, without any customer's value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any


def sentence(row: Mapping[str, Any]) -> str:
    """What a day was and what it usually is; `row` is one of `judged_days`.

    >>> volume = {"kind": "volume", "field": None, "count": 412.0, "total": None, "low": 779.4, "high": 910.6}
    >>> sentence({**volume, "source": "web", "event": "Product Viewed", "day": date(2026, 11, 17), "unfinished": False})
    'web · Product Viewed: 412 events on Tue 17 Nov 2026, usually 780–910'
    """
    return f"{place(row)}: {observed(row)} on {day(row['day'])}, {usually(row)}"


def place(row: Mapping[str, Any]) -> str:
    """Source and event."""
    return f"{row['source']} · {row['event']}" if row["event"] else str(row["source"])


def observed(row: Mapping[str, Any]) -> str:
    """What was seen that day."""
    count, total = round(row["count"]), row["total"]
    if row["kind"] == "volume":
        return _events(count) + (" so far" if row["unfinished"] else "")
    if row["kind"] == "missing":
        return f"{row['field']} is missing in {share(row['value'])} of {_events(round(total))}"
    if row["kind"] == "violations":
        return f"{share(row['value'])} of {round(total):,} rows are held or break the tracking plan"
    return f"{row['field']} has values never seen before in {count:,} of {_events(round(total))}"


def usually(row: Mapping[str, Any]) -> str:
    """What would have been no anomaly."""
    if row["high"] is None:
        return "there is not enough history to compare it with"
    if row["kind"] == "volume":
        # A hair's breadth keeps 780.0000001 from becoming 781.
        low, high = math.ceil(row["low"] - 1e-6), math.floor(row["high"] + 1e-6)
        return f"usually {low:,}–{high:,}" if low else f"usually at most {high:,}"
    if row["kind"] == "new_values":
        return f"usually at most {math.floor(row['high']):,}" if row["high"] >= 1 else "usually none"
    return f"usually at most {share(row['high'])}"


def day(value: date) -> str:
    """
    >>> day(date(1998, 6, 1))
    'Mon 1 Jun 1998'
    """
    return f"{value:%a} {value.day} {value:%b %Y}"


def share(value: float) -> str:
    """
    >>> share(0.4), share(0.0123), share(0.0004), share(1.0)
    ('40%', '1.2%', '0.04%', '100%')
    """
    percent = value * 100
    digits = 0 if percent >= 10 or percent == 0 else 1 if percent >= 1 else 2
    return f"{percent:.{digits}f}%"


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"
