"""Every function of a mapping over one table of awkward values, on every engine, against plain Python."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from cdp_core.destinations.functions.spec import FUNCTIONS
from cdp_core.destinations.mapping import mapped
from cdp_core.destinations.spec import SyncSpec
from cdp_core.engine import Engine

Row = dict[str, Any]
TEXTS: list[str | None] = [
    None, "", "  ", " Ann ", "ann@Example.org", "a,b,,c", "Straße ﬁn", "ΟΔΟΣ İ", "👩‍👧 ok 🎉", "שלום עולם", "مرحبا",
    'say "no" \\ $1 {x}', "line\nbreak\r\n", "+49 (30) 123-45", "10115", "DE", "3.5", "-0", "1e3", "NaN", "1998-07-01",
    "1998-07-01T10:00:00+02:00", "yes", "2.5", "null", '["x", null, "y"]', "%Y", "a.b|c*d",
]  # fmt: skip
NUMBERS: list[float | None] = [
    None, 0.0, -0.0, 2.5, -2.5, 2.675, -2.675, 0.125, 19.99, 1e-7, 12345678.9, 1234567890.1, 0.1 + 0.2, float("nan"),
    float("inf"), -1.005, 99999.995, 1.5, 1e16, 3.0, -7.25, 1e30, 0.07, 100.0,
]  # fmt: skip
WHOLE: list[int | None] = [None, 0, 7, -3, 2**53 + 1, -(2**62), 42]
TIMES: list[datetime | None] = [
    None, datetime(1998, 7, 1), datetime(2024, 3, 31, 0, 59, 59), datetime(2024, 3, 31, 1, 0),
    datetime(2024, 10, 27, 0, 30), datetime(2024, 10, 27, 1, 30), datetime(2024, 12, 31, 23, 59, 59, 999000),
    datetime(1969, 12, 31, 23, 59, 59, 500000), datetime(2000, 2, 29, 12, 5, 9), datetime(987, 1, 2, 3, 4, 5),
]  # fmt: skip
DAYS: list[date | None] = [None, date(1998, 7, 1), date(2024, 2, 29), date(1970, 1, 1)]
LISTS: list[list[str | None] | None] = [None, [], ["a"], ["a", None, "b"], ["", "🎉", "x, y"]]
ROWS = 28
WIDE = Context(prec=80)


def rows() -> list[Row]:
    def at(values: Sequence[Any], n: int) -> Any:
        return values[n % len(values)]

    return [
        {"id": f"p{n:02}", "t": TEXTS[n], "u": at(TEXTS, n * 5 + 3), "n": at(NUMBERS, n), "i": at(WHOLE, n),
         "b": at([True, False, None], n), "at": at(TIMES, n), "day": at(DAYS, n), "tags": at(LISTS, n)}
        for n in range(ROWS)
    ]  # fmt: skip


SCHEMA = {
    "n": pl.Float64, "i": pl.Int64, "b": pl.Boolean, "at": pl.Datetime("us"), "day": pl.Date, "tags": pl.List(pl.String)
}  # fmt: skip


def table(engine: Engine) -> Any:
    return engine.frame(pl.DataFrame(rows(), schema_overrides=SCHEMA))


def blank(value: str | None) -> bool:
    return value is None or not value.strip(" \t\r\n")


def nonblank(value: str | None) -> str | None:
    return None if blank(value) else str(value).strip(" \t\r\n")


def both(function: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else function(value)


def half_up(value: float | int | None, digits: int) -> Decimal | None:
    if value is None or value != value or abs(value) >= 10 ** (38 - digits):
        return None
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, context=WIDE)


def number_text(value: float | None) -> str | None:
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    if value == 1e30:
        return "1e30"
    text = format(Decimal(repr(value)), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def calculated(value: float | None) -> float | None:
    exact = half_up(value, 9)
    return None if exact is None else float(exact)


def number_of(text: str | None) -> float | None:
    found = re.fullmatch(r" *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})? *", text or "")
    return float(str(text)) if found else None


def whole_of(text: str | None) -> int | None:
    found = re.fullmatch(r" *([+-]?[0-9]{1,18})([.]0*)? *", text or "")
    return int(found[1]) if found else None


def local(at: datetime, zone: str) -> datetime:
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))


def sha(value: str | None, how: str = "sha256") -> str | None:
    return hashlib.new(how, value.encode()).hexdigest() if value else None


def first(*found: Any) -> Any:
    return next((value for value in found if value is not None), None)


def lower(text: str) -> str:
    return text.replace("Σ", "σ").lower()


def time_text(at: datetime | None) -> str | None:
    if at is None:
        return None
    seconds = f"{at.year:04}-{at:%m-%dT%H:%M:%S}"
    return seconds + (f".{at.microsecond:06}".rstrip("0") if at.microsecond else "") + "Z"


def tier(row: Row) -> str:
    n = row["n"]
    if n is not None and (n >= 100 or n != n) and not (row["t"] or "").startswith("D"):
        return "gold"
    return "none" if row["t"] is None or row["i"] == 7 else "standard"


CASES: dict[str, tuple[Any, Callable[[Row], Any]]] = {
    "template": (
        {"template": "Hi {t|you there}, {{{u}}}: {i|none}"},
        lambda r: None if r["u"] is None else f"Hi {'you there' if blank(r['t']) else r['t']}, {{{r['u']}}}: "
        f"{'none' if r['i'] is None else r['i']}",
    ),
    "template of times": ({"template": "{at}"}, lambda r: time_text(r["at"])),
    "template of numbers": ({"template": "{n}"}, lambda r: number_text(r["n"])),
    "concat": (
        {"concat": ["t", "u", "i"], "separator": " · "},
        lambda r: " · ".join(x for x in (r["t"], r["u"], both(str, r["i"])) if x) or None,
    ),
    "lower": ({"lower": "t"}, lambda r: both(lower, r["t"])),
    "upper": ({"upper": "t"}, lambda r: both(str.upper, r["t"])),
    "trim": ({"trim": "t"}, lambda r: both(lambda t: t.strip(" \t\r\n"), r["t"])),
    "nonblank": ({"nonblank": "t"}, lambda r: nonblank(r["t"])),
    "replace": ({"replace": "t", "find": "a", "with": "\\$1"}, lambda r: both(lambda t: t.replace("a", "\\$1"), r["t"])),
    "replace sign": ({"replace": "t", "find": ".", "with": ""}, lambda r: both(lambda t: t.replace(".", ""), r["t"])),
    "replace pattern": (
        {"replace": "t", "pattern": r"[^\d+]+", "with": "-"},
        lambda r: both(lambda t: re.sub("[^0-9+]+", "-", t), r["t"]),
    ),
    "replace any": ({"replace": "t", "pattern": "(?:a|b).", "with": "·"},
                    lambda r: both(lambda t: re.sub("(?:a|b).", "·", t), r["t"])),
    "extract": (
        {"extract": "t", "pattern": "@(.+)$"},
        lambda r: both(lambda m: m[1], re.search(r"@(.+)\Z", r["t"] or "")),
    ),
    "extract all": ({"extract": "t", "pattern": r"\w+\.?$"},
                    lambda r: both(lambda m: m[0], re.search(r"(?a:\w+\.?)\Z", r["t"] or ""))),
    "substring": ({"substring": "t", "start": 2, "length": 3}, lambda r: both(lambda t: t[1:4], r["t"])),
    "substring rest": ({"substring": "t", "start": 3}, lambda r: both(lambda t: t[2:], r["t"])),
    "hash": ({"hash": {"lower": {"trim": "t"}}}, lambda r: sha(both(lambda t: lower(t.strip(" \t\r\n")), r["t"]))),
    "hash md5": ({"hash": "u", "with": "md5"}, lambda r: sha(r["u"], "md5")),
    "hash number": ({"hash": "i"}, lambda r: sha(both(str, r["i"]))),
    "coalesce": ({"coalesce": [{"nonblank": "t"}, "u", {"value": "x"}]}, lambda r: first(nonblank(r["t"]), r["u"], "x")),
    "coalesce numbers": ({"coalesce": ["i", "n", 0.5]}, lambda r: first(both(float, r["i"]), r["n"], 0.5)),
    "case": (
        {"case": [
            {"when": {"and": [{"trait": "n", "at_least": 100}, {"not": {"trait": "t", "starts_with": "D"}}]},
             "then": {"value": "gold"}},
            {"when": {"or": [{"trait": "t", "exists": False}, {"column": "i", "equals": 7}]}, "then": {"value": "none"}},
        ], "else": {"value": "standard"}},
        tier,
    ),
    "case of function": (
        {"case": [{"when": {"trait": {"lower": "t"}, "contains": "ann"}, "then": "day"}]},
        lambda r: r["day"] if "ann" in lower(r["t"] or "") else None,
    ),
    "map": ({"map": "t", "values": {"DE": "Germany", 10115: "Berlin"}, "else": "u"},
            lambda r: {"DE": "Germany", "10115": "Berlin"}.get(r["t"], r["u"])),
    "map of truth": ({"map": "b", "values": {True: 1, False: 0}}, lambda r: both(int, r["b"])),
    "round": ({"round": "n"}, lambda r: both(lambda d: int(d) if abs(d) < 2**63 else None, half_up(r["n"], 0))),
    "round digits": ({"round": "n", "digits": 2}, lambda r: both(float, half_up(r["n"], 2))),
    "round text": ({"round": "t", "digits": 1}, lambda r: both(float, half_up(number_of(r["t"]), 1))),
    "add": ({"add": ["n", "i", 0.1]},
            lambda r: None if None in (r["n"], r["i"]) else calculated(r["n"] + float(r["i"]) + 0.1)),
    "multiply": ({"multiply": ["n", 100]}, lambda r: both(lambda n: calculated(n * 100.0), r["n"])),
    "cents": ({"multiply": ["n", 100], "type": "integer"},
              lambda r: both(lambda d: int(d) if abs(d) < 2**63 else None,
                             both(lambda n: half_up(n, 0), both(lambda n: calculated(n * 100.0), r["n"])))),
    "format_number": ({"format_number": "n", "digits": 2}, lambda r: both(lambda d: f"{d if d else abs(d)}", half_up(r["n"], 2))),
    "format_number 0": ({"format_number": "i", "digits": 0}, lambda r: both(str, r["i"])),
    "format_date": (
        {"format_date": "at", "as": "%Y-%m-%d %H:%M:%S %j %y %I %p %z 100%%", "zone": "Europe/Berlin"},
        lambda r: both(lambda t: f"{local(t, 'Europe/Berlin').year:04}-{local(t, 'Europe/Berlin'):%m-%d %H:%M:%S %j %y %I %p} "
                       f"{offset(local(t, 'Europe/Berlin'))} 100%", r["at"]),
    ),
    "format_date words": (
        {"format_date": "at", "as": "%A %a, %-d. %B %b %-H", "zone": "America/New_York"},
        lambda r: both(lambda t: f"{local(t, 'America/New_York'):%A %a, %-d. %B %b %-H}", r["at"]),
    ),
    "format_date half": ({"format_date": "at", "as": "%p"}, lambda r: both(lambda t: f"{t:%p}", r["at"])),
    "format_date of a day": ({"format_date": "day", "as": "%d/%m", "zone": "America/New_York"},
                             lambda r: both(lambda d: f"{d:%d/%m}", r["day"])),
    "format_date of text": ({"format_date": "t", "as": "%d.%m.%Y %H"}, lambda r: {
        "1998-07-01": "01.07.1998 00", "1998-07-01T10:00:00+02:00": "01.07.1998 08"}.get(r["t"])),
    "unix_time": ({"unix_time": "at"}, lambda r: both(lambda t: int(t.replace(tzinfo=UTC).timestamp() // 1), r["at"])),
    "unix_time ms": ({"unix_time": "at", "unit": "milliseconds"},
                     lambda r: both(lambda t: round(t.replace(tzinfo=UTC).timestamp() * 1000), r["at"])),
    "split": ({"split": "t", "separator": ","}, lambda r: both(lambda t: t.split(","), r["t"])),
    "split sign": ({"split": "t", "separator": "|"}, lambda r: both(lambda t: t.split("|"), r["t"])),
    "join": ({"join": "tags", "separator": ", "}, lambda r: both(lambda x: ", ".join(i for i in x if i is not None), r["tags"])),
    "item": ({"item": "tags", "at": 2}, lambda r: r["tags"][1] if r["tags"] and len(r["tags"]) > 1 else None),
    "item last": ({"item": {"split": "t", "separator": ","}, "at": -1}, lambda r: both(lambda t: t.split(",")[-1], r["t"])),
    "parse_list": ({"parse_list": "t"}, lambda r: ["x", None, "y"] if (r["t"] or "").startswith("[") else None),
    "type integer": ({"column": "n", "type": "integer"},
                     lambda r: both(lambda d: int(d) if abs(d) < 2**63 else None, half_up(r["n"], 0))),
    "type integer of text": ({"column": "t", "type": "integer"}, lambda r: whole_of(r["t"])),
    "type string": ({"column": "n", "type": "string"}, lambda r: number_text(r["n"])),
    "type number of truth": ({"column": "b", "type": "number"}, lambda r: both(float, r["b"])),
    "type boolean": ({"column": "t", "type": "boolean"}, lambda r: True if r["t"] == "yes" else None),
}  # fmt: skip


def offset(at: datetime) -> str:
    minutes = int((at.utcoffset() or UTC.utcoffset(None)).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


def test_every_function_gives_what_python_gives(engine: Engine) -> None:
    assert {name for function, _ in CASES.values() for name in function if name in FUNCTIONS} == set(FUNCTIONS)
    mapping = {"id": "id", **{name: function for name, (function, _) in CASES.items()}}
    sync = SyncSpec.model_validate({"model": "profiles", "destination": "d", "key": "id", "mapping": mapping})
    # Without the payload, which would compute everything a second time.
    found = engine.polars(mapped(engine, "s", sync, table(engine)).drop("payload")).sort("key")
    assert found["key"].to_list() == [row["id"] for row in rows()]
    wrong = []
    for place, (name, (_, expected)) in enumerate(CASES.items(), start=1):
        for row, value in zip(rows(), found[f"v{place}"].to_list(), strict=True):
            wanted = expected(row)
            same = value == wanted or (value != value and wanted != wanted)
            if not same:
                wrong.append((name, {k: row[k] for k in ("t", "u", "n", "i", "at")}, value, wanted))
    assert not wrong, "\n".join(map(str, wrong[:40]))
