"""Column names: unique without regard to case, as the tables of most databases want them."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl


def tidy(names: Iterable[object]) -> list[str]:
    """Names without blanks around them; a repeated one gets a number, one that is missing its position.

    >>> tidy(["id", " Email", "email", "", None])
    ['id', 'Email', 'email_2', 'column_4', 'column_5']
    """
    taken: set[str] = set()
    tidied = []
    for position, raw in enumerate(names, 1):
        name = str(raw).strip() if raw is not None else ""
        base = "line" if name == "_line" else name or f"column_{position}"
        name, number = base, 1
        while name.lower() in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name.lower())
        tidied.append(name)
    return tidied


def respell(frame: pl.DataFrame, known: Iterable[str]) -> pl.DataFrame:
    """Give columns that differ from a known one in case alone the known spelling.

    >>> respell(pl.DataFrame({"EMAIL": [1]}), ["email"]).columns
    ['email']
    """
    spelling = {name.lower(): name for name in known}
    present = set(frame.columns)
    return frame.rename({c: k for c in frame.columns if (k := spelling.get(c.lower(), c)) != c and k not in present})
