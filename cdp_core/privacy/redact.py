"""Text that is no JSON at the door: what looks like a value of a controlled name is covered, and so are numbers that
look like those of cards and social security numbers.

No places can be told in such text, so names count wherever they stand, and whatever their control is, they are covered.
A value without a name that is of no such shape is not recognised.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine import Staging
    from cdp_core.privacy.door import Door

COVERED = "•••"
_NAME = r"""([A-Za-z_][A-Za-z0-9_ .\-]{0,60})\\?["']?[ \t\r\n]{0,9}[:=]"""
_VALUE = r"""(\\?"(?:[^"\\]|\\.)*"?|'[^']*'?|[\[{](?s:.*)|[^,;&}\]\r\n]+)"""
_CARD = r"\b[3-6][0-9]{3}(?:[ \-]?[0-9]){10,15}\b"
_SOCIAL = r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b"
_NUMBERS = f"{_CARD}|{_SOCIAL}"


def redacted(text: str, door: Door) -> str:
    """One text.

    >>> from cdp_core.privacy.door import Door; from cdp_core.privacy.spec import PrivacySpec
    >>> redacted('{"plan": "pro", "password": "x y", oops 4111-1111-1111-1111', Door(PrivacySpec(), "web"))
    '{"plan": "pro", "password":•••, oops •••'
    """
    names = sorted({name for name in re.findall(_NAME, text) if _wanted(name, door)})
    if names:
        text = re.sub(_pairs(names), lambda found: found[1] + COVERED, text)
    return re.sub(_NUMBERS, COVERED, text)


def redacted_all(texts: pl.Series, door: Door) -> pl.Series:
    """A column of texts; null stays null."""
    import polars as pl

    if texts.dtype != pl.String or texts.null_count() == texts.len():
        return texts
    told = texts.str.extract_all(f"{_NAME}").list.explode(keep_nulls=False, empty_as_null=False).unique()
    known = {found[1] for name in told if (found := re.match(_NAME, name))}
    names = sorted(name for name in known if _wanted(name, door))
    if names:
        texts = texts.str.replace_all(_pairs(names), "${1}" + COVERED)
    return texts.str.replace_all(_NUMBERS, COVERED)


def withheld(texts: pl.Series, key: bytes, staging: Staging) -> pl.Series:
    """What is said in the place of lines that cannot be told apart: their length, and a keyed hash by which equal ones
    are recognised.
    """
    import polars as pl

    from cdp_core.engine import json_lines
    from cdp_core.privacy.controls import HASHED

    made = texts.rename("t").to_frame().with_columns(h=json_lines.keyed(staging, texts, key).str.head(16))
    said = pl.format("(withheld: {} bytes, " + HASHED + "{})", pl.col("t").str.len_bytes(), "h")
    stays = pl.col("t").str.starts_with("(withheld: ")
    return made.select(pl.when(stays).then("t").otherwise(said).alias("t"))["t"]


def _wanted(name: str, door: Door) -> bool:
    """A name may follow on words without a mark between: its last words count as well."""
    parts = name.split(" ")
    return any(door.suspicious(" ".join(parts[n:])) for n in range(len(parts)))


def _pairs(names: list[str]) -> str:
    told = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return rf"""((?:{told})\\?["']?[ \t\r\n]*[:=])[ \t\r\n]*{_VALUE}"""
