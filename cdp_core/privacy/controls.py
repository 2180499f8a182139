"""What a control makes of a value: the same of one value and of a column of them.

Text is taken without white space around it. Every control leaves what it has made before as it is, since values pass
the door more than once.

| Control | What it makes |
|---|---|
| mask | the first character and ••• |
| truncate | an IP address without its last part (/24, /48); a date without its day, a time without its clock; |
| | a number with its first digit alone; of other text three characters and … (of shorter text one) |
| generalise | an IP address as /16 (/32); a date as its year, a time as its month; an e-mail address as its domain; |
| | an age as its decade; latitude and longitude with one decimal place; a postcode as its first three |
| | characters; a number with its first digit alone; anything else is masked |
| hash | hmac: and the HMAC-SHA-256 under the workspace's key, in hexadecimal; e-mail addresses in lower case |

Dates stay dates (1961-04-09 becomes 1961-01-01), so that declared types keep. true and false, objects and lists become
null, except under hash and drop.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cdp_core.privacy.names import words

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine import Staging
    from cdp_core.privacy.spec import Control

HASHED = "hmac:"
BLANKS = " \t\r\n"
_MADE = r"hmac:[0-9a-f]{64}"
_EMAIL = r"[!-?A-~]+@[!-?A-~]+"
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
_HEX = "[0-9a-fA-F]{1,4}"
_TIME = "[T ][0-9]{2}:.*"
_DAY = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_OTHER_DAY = r"[0-9]{1,2}([./-])[0-9]{1,2}[./-]([0-9]{4})"
_ONE_DIGIT = (
    (r"(-?[1-9])([0-9]*)(?:\.[0-9]*)?", "{1}{0*2}"),
    (r"-?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?", "0"),
)
_MASK = (("", ""), ("(?s:•.*|.)", "•••"), ("(?s:(.).*)", "{1}•••"))
Shape = tuple[str, str]
"""A pattern of a whole text, read alike by Python and Polars, and what is made of it: {1} is its first group, {0*2} as
many zeros as its second one has characters."""
_SHAPES: dict[str, tuple[Shape, ...]] = {
    "mask": _MASK,
    "truncate": (
        (r"([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})\.[0-9]{1,3}", "{1}.0"),
        (rf"({_HEX}:{_HEX}:{_HEX}):[0-9a-fA-F:.]*", "{1}::"),
        (rf"({_HEX}:{_HEX}|{_HEX}|)::[0-9a-fA-F:.]*", "{1}::"),
        (_DAY + _TIME, "{1}-{2}-{3}T00:00:00Z"),
        (_DAY, "{1}-{2}-01"),
        (_OTHER_DAY, "{2}-01-01"),
        *_ONE_DIGIT,
        ("", ""),
        ("(?s:(.{3}).+)", "{1}…"),
        ("(?s:(.).*)", "{1}…"),
    ),
    "generalise": (
        (r"([0-9]{1,3}\.[0-9]{1,3})\.[0-9]{1,3}\.[0-9]{1,3}", "{1}.0.0"),
        (rf"({_HEX}:{_HEX}):[0-9a-fA-F:.]*", "{1}::"),
        (rf"({_HEX}|)::[0-9a-fA-F:.]*", "{1}::"),
        (_DAY + _TIME, "{1}-{2}-01T00:00:00Z"),
        (_DAY, "{1}-01-01"),
        (_OTHER_DAY, "{2}-01-01"),
        ("[^@ ]*@([^@ ]+)", "@{1}"),
        *_ONE_DIGIT,
        *_MASK,
    ),
}
_NAMED: tuple[tuple[frozenset[str], tuple[Shape, ...]], ...] = (
    (frozenset({"age"}), ((r"([0-9]{0,2})[0-9](?:\.[0-9]*)?", "{1}0"),)),
    (
        frozenset({"lat", "latitude", "lon", "lng", "long", "longitude"}),
        ((r"(-?[0-9]{1,3}\.[0-9])[0-9]*", "{1}"), ("-?[0-9]{1,3}", "{0}")),
    ),
    (
        frozenset({"zip", "zip_code", "zipcode", "post_code", "postcode", "postal_code"}),
        (("(?s:(.{1,3}).*)", "{1}"),),
    ),
)
_PART = re.compile(r"\{(0\*)?([0-9])\}")


@lru_cache(maxsize=10_000)
def shapes(control: str, name: str) -> tuple[Shape, ...]:
    """Shapes that a text of a field of this name may have under a control; the first that fits counts."""
    told = words(name)
    named = [more for names, more in _NAMED if told in names] if control == "generalise" else []
    return (*(named[0] if named else ()), *_SHAPES[control])


def changed(control: Control, name: str, text: str, key: bytes) -> str | None:
    """One text under a control other than allow and drop.

    >>> [changed(c, "born", "1961-04-09", bytes(32)) for c in ("mask", "truncate", "generalise")]
    ['1•••', '1961-04-01', '1961-01-01']
    >>> changed("generalise", "age", "34", bytes(32)), changed("truncate", "ip", "203.0.113.7", bytes(32))
    ('30', '203.0.113.0')
    """
    text = text.strip(BLANKS)
    if control == "hash":
        return _hashed(text, key)
    if text in ("true", "false"):
        return None
    for pattern, made in _compiled(control, name):
        if found := pattern.fullmatch(text):
            return _PART.sub(lambda part: _filled(found[int(part[2])] or "", zeros=bool(part[1])), made)
    return None


def _hashed(text: str, key: bytes) -> str:
    if not text or re.fullmatch(_MADE, text):
        return text
    same = text.lower() if re.fullmatch(_EMAIL, text) else text
    return HASHED + hmac.new(key, same.encode(), hashlib.sha256).hexdigest()


def _filled(group: str, *, zeros: bool) -> str:
    return "0" * len(group) if zeros else group


@lru_cache(maxsize=10_000)
def _compiled(control: str, name: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), made) for pattern, made in shapes(control, name))


def changed_json(control: Control, name: str, raw: str, key: bytes) -> str:
    """One value as JSON text under a control other than allow and drop, as JSON text.

    >>> changed_json("generalise", "salary", "52300", bytes(32)), changed_json("mask", "note", '"Ann"', bytes(32))
    ('50000', '"A•••"')
    """
    raw = raw.strip(BLANKS)
    if raw == "null" or (raw[:1] in ("{", "[") and control != "hash"):
        return "null"
    made = changed(control, name, _text(raw), key)
    if made is None:
        return "null"
    if not raw.startswith('"') and re.fullmatch(_NUMBER, made):
        return made
    return json.dumps(made, ensure_ascii=False)


def _text(raw: str) -> str:
    """What a JSON string says; anything else, and what is no sound string, is its own text."""
    if not raw.startswith('"'):
        return raw
    try:
        told = str(json.loads(raw, strict=False))
        told.encode()
    except (ValueError, UnicodeEncodeError):
        return raw.strip('"')
    return told


def changed_column(control: Control, name: str, texts: pl.Series, key: bytes, staging: Staging) -> pl.Series:
    """`changed` of a column of texts; null stays null."""
    import polars as pl

    texts = texts.str.strip_chars(BLANKS).rename("t")
    if control == "hash":
        return _hashed_column(texts, key, staging)
    frame, text = texts.to_frame(), pl.col("t")
    found: Any = pl.when(text.is_in(["true", "false"])).then(pl.lit(None, pl.String))
    for pattern, made in shapes(control, name):
        found = found.when(text.str.contains(f"^(?:{pattern})$")).then(_template(text, pattern, made))
    column: pl.Series = frame.select(found.otherwise(pl.lit(None, pl.String)).alias("t"))["t"]
    return column


def _template(text: pl.Expr, pattern: str, made: str) -> pl.Expr:
    import polars as pl

    parts: list[pl.Expr] = []
    end = 0
    for part in _PART.finditer(made):
        group = text.str.extract(f"^(?:{pattern})$", int(part[2])).fill_null("")
        parts += [pl.lit(made[end : part.start()]), group.str.replace_all(".", "0") if part[1] else group]
        end = part.end()
    return pl.concat_str([*parts, pl.lit(made[end:])])


def _hashed_column(texts: pl.Series, key: bytes, staging: Staging) -> pl.Series:
    import polars as pl

    from cdp_core.engine import json_lines

    text = pl.col("t")
    stays = (text == "") | text.str.contains(f"^{_MADE}$")
    same = pl.when(text.str.contains(f"^(?:{_EMAIL})$")).then(text.str.to_lowercase()).otherwise(text)
    frame = texts.to_frame().with_columns(same=pl.when(~stays).then(same))
    fresh = frame.select("same").drop_nulls().unique()
    made = fresh.with_columns(made=HASHED + json_lines.keyed(staging, fresh["same"], key))
    joined = frame.join(made, on="same", how="left", maintain_order="left")
    return joined.select(pl.when(stays).then("t").otherwise("made").alias("t"))["t"]


def changed_json_column(control: Control, name: str, raw: pl.Series, key: bytes, staging: Staging) -> pl.Series:
    """`changed_json` of a column of JSON texts without nulls."""
    import polars as pl

    from cdp_core.engine import json_lines

    raw = raw.str.strip_chars(BLANKS).rename("r")
    texts = json_lines.told(staging, raw)
    made = changed_column(control, name, texts, key, staging).rename("made")
    r, m = pl.col("r"), pl.col("made")
    whole = (r == "null") | (pl.lit(control != "hash") & r.str.contains(r"^[\[{]")) | m.is_null()
    bare = ~r.str.starts_with('"') & m.str.contains(f"^(?:{_NUMBER})$")
    quoted = pl.struct(m.alias("v")).struct.json_encode().str.slice(5).str.head(-1)
    found = pl.when(whole).then(pl.lit("null")).when(bare).then(m).otherwise(quoted)
    return pl.DataFrame([raw, made]).select(found.alias("r"))["r"]
