"""Facets of a value inside JSON, as DuckDB expressions: what is certainly broken, and what has to be asked elsewhere.

DuckDB answers for types, choices, plain patterns and numbers that a double holds exactly. Everything else (other
patterns, formats, giant numbers) is left open, and somebody with the exact semantics is asked once per distinct text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

EXACT = 2**53
"""From here on a double skips whole numbers."""
_KINDS = {
    "string": ("VARCHAR",),
    "boolean": ("BOOLEAN",),
    "null": ("NULL",),
    "array": ("ARRAY",),
    "object": ("OBJECT",),
    "number": ("BIGINT", "UBIGINT", "DOUBLE"),
    "integer": ("BIGINT", "UBIGINT"),
}
_PLAIN = re.compile(
    r"""(?: [A-Za-z0-9 _.,:;@\#%&=<>!'"~`/^$|*+?-]
    | \\[dDwW^$\\.*+?()\[\]{}|/-]                       # escapes that mean the same everywhere
    | \((?!\?) | \)
    | \{\d{1,3}(?:,\d{0,3})?\}
    | \[\^?(?: [A-Za-z0-9 _.,:;@\#%=!'"`/$*+?(){}|] | \\[dw\\.\]\[/^-] | (?<=[A-Za-z0-9])-(?=[A-Za-z0-9]) )+\]
    )*""",
    re.VERBOSE,
)
_LAZY = re.compile(r"[*+?}][*+?{]")
USUAL_TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z$"
)
"""A usual time in UTC, on a day that every month has."""
USUAL_EMAIL = r"^[a-z0-9]+([._-][a-z0-9]+)*@[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*\.[a-z]+$"


class Facets:
    """Expressions about one value: `kind` and `text` are SQL for its JSON type and its text without quotes."""

    def __init__(self, facets: Mapping[str, Any], kind: str, text: str) -> None:
        self.kind, self.text = kind, text
        self.number = f"try_cast({text} AS DOUBLE)"
        self.is_text = f"{kind} = 'VARCHAR'"
        self.is_number = f"{kind} IN ('BIGINT', 'UBIGINT', 'DOUBLE')"
        self.bad: dict[str, str] = {}
        self.open: list[str] = []
        for name, value in facets.items():
            getattr(self, f"_{name}")(value)

    def asked(self) -> str:
        """Whether somebody else has to look at the value."""
        return " OR ".join(f"({e})" for e in self.open) or "false"

    def sound(self) -> str:
        """Whether nothing is broken and nothing open."""
        wrong = [f"coalesce({e}, true)" for e in (*self.bad.values(), *self.open)]
        return f"NOT ({' OR '.join(wrong)})" if wrong else "true"

    def _type(self, types: tuple[str, ...]) -> None:
        kinds = sorted({kind for name in types for kind in _KINDS.get(name, ())})
        good = [f"{self.kind} IN ({_list(kinds)})"] if kinds else []
        if "integer" in types and "number" not in types:
            good.append(f"({self.kind} = 'DOUBLE' AND {self.number} = trunc({self.number}))")
            self._huge(f"{self.kind} = 'DOUBLE'")
        if "date-time" in types and "string" not in types:
            usual = f"regexp_matches({self.text}, {literal(USUAL_TIME)})"
            good.append(f"({self.is_text} AND {usual})")
            self.open.append(f"{self.is_text} AND NOT {usual}")
        self.bad["type"] = f"NOT ({' OR '.join(good)})"

    def _enum(self, values: tuple[Any, ...]) -> None:
        texts = [v for v in values if isinstance(v, str)]
        flags = [str(v).lower() for v in values if isinstance(v, bool)]
        numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        good = [f"({self.is_text} AND {self.text} IN ({_list(texts)}))"] if texts else []
        good += [f"({self.kind} = 'BOOLEAN' AND {self.text} IN ({_list(flags)}))"] if flags else []
        good += [f"{self.kind} = 'NULL'"] if None in values else []
        if numbers:
            doubles = ", ".join(_double(v) for v in numbers)
            good.append(f"({self.is_number} AND {self.number} IN ({doubles}))")
            self._exact(numbers)
        self.bad["enum"] = f"NOT ({' OR '.join(good)})"

    def _pattern(self, pattern: str) -> None:
        if is_plain(pattern):
            self.bad["pattern"] = f"{self.is_text} AND NOT regexp_matches({self.text}, {literal(pattern)})"
        else:
            self.open.append(self.is_text)

    def _format(self, name: str) -> None:
        usual = {"date-time": USUAL_TIME, "email": USUAL_EMAIL}.get(name)
        if usual is None:
            self.open.append(self.is_text)
            return
        short = f"length({self.text}) < 60 AND regexp_matches({self.text}, {literal(usual)})"
        self.open.append(f"{self.is_text} AND NOT ({short})")

    def _minimum(self, limit: float) -> None:
        self._exact([limit])
        self.bad["minimum"] = f"{self.is_number} AND {self.number} < {_double(limit)}"

    def _maximum(self, limit: float) -> None:
        self._exact([limit])
        self.bad["maximum"] = f"{self.is_number} AND {self.number} > {_double(limit)}"

    def _min_length(self, limit: int) -> None:
        self.bad["min_length"] = f"{self.is_text} AND length({self.text}) < {limit}"

    def _max_length(self, limit: int) -> None:
        self.bad["max_length"] = f"{self.is_text} AND length({self.text}) > {limit}"

    def _exact(self, numbers: list[Any]) -> None:
        """Numbers are compared as doubles where that is exact, on both sides."""
        if any(abs(number) >= EXACT for number in numbers):
            self.open.append(self.is_number)
        else:
            self._huge(self.is_number)

    def _huge(self, where: str) -> None:
        self.open.append(f"{where} AND coalesce(NOT isfinite({self.number}) OR abs({self.number}) >= {EXACT}, true)")


def is_plain(pattern: str) -> bool:
    r"""Whether every engine of regular expressions reads a pattern alike: ASCII, and nothing out of the way.

    >>> is_plain("^cd-[0-9]{2}$"), is_plain(r"\s"), is_plain("(?=a)a"), is_plain("é")
    (True, False, False, False)
    """
    return bool(_PLAIN.fullmatch(pattern)) and not _LAZY.search(pattern)


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _list(values: list[str]) -> str:
    return ", ".join(literal(v) for v in values)


def _double(value: float) -> str:
    return f"CAST({literal(repr(float(value)) if abs(value) < 1e308 else '1e308')} AS DOUBLE)"
