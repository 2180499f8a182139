"""Text as expressions: what is invisible goes, white space becomes one space, letters of every script stay.

A rule takes text that is `tidied`, and `lowered` unless its field is cased. It maps null to null, never raises, and
gives the empty text when it finds nothing fit to send.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

# Zero width space and BOM, word joiner, soft hyphen, marks of direction, controls other than white space. The joiners
# U+200C and U+200D are letters' shape in Persian and Indic names: they go at the ends only.
_INVISIBLE = (
    r"[\u{00AD}\u{061C}\u{180E}\u{200B}\u{200E}\u{200F}\u{202A}-\u{202E}\u{2060}-\u{2064}\u{2066}-\u{206F}\u{FEFF}"
    r"\u{FFF9}-\u{FFFB}\x00-\x08\x0E-\x1B\x7F-\x84\x86-\x9F]"
)
_ENDS = r"^[\s\u{200C}\u{200D}\x1C-\x1F]+|[\s\u{200C}\u{200D}\x1C-\x1F]+$"
_CLEAN = r"^(?:[!-~]+(?: [!-~]+)*)?$"
_SPACE = r"[\s\x1C-\x1F]+"
_MARKS = r"[\p{P}\p{S}]"
EMAIL = r"^[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+$"
_PREFIXES = r"^(?:(?:mr|mrs|ms|miss|mx|dr|prof|sir) )+"
_SUFFIXES = r"(?: (?:jr|sr|ii|iii|iv|phd|md|esq))+$"


def tidied(values: pl.Series) -> pl.Series:
    """NFC, nothing invisible, one space for every run of white space, none at the ends.

    >>> tidied(pl.Series([" Vale\u0301ry\u00a0\u200b"])).item()
    'Valéry'
    """
    values = values.str.strip_chars(" ")
    return _where(values, ~values.str.contains(_CLEAN), _tidy)


def lowered(values: pl.Series) -> pl.Series:
    """Lower case in Unicode's sense, in NFC again."""
    values = values.str.to_lowercase()
    return _where(values, values.str.len_bytes() != values.str.len_chars(), lambda v: v.str.normalize("NFC"))


def _where(values: pl.Series, odd: pl.Series, change: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    """`change` where `odd`; what is plain ASCII already, which is most, is left in peace."""
    places = odd.fill_null(False).arg_true()
    if not places.len():
        return values
    changed = values.gather(places).to_frame("v").select(change(pl.col("v"))).to_series()
    return values.scatter(places, changed)


def _tidy(value: pl.Expr) -> pl.Expr:
    value = value.str.replace_all(_INVISIBLE, "").str.replace_all(_ENDS, "")
    return value.str.replace_all(_SPACE, " ").str.normalize("NFC")


def _closed(value: pl.Expr) -> pl.Expr:
    """No gaps where something was taken out."""
    return value.str.replace_all(" {2,}", " ").str.strip_chars(" \u200c\u200d")


def email(value: pl.Expr) -> pl.Expr:
    """Trimmed and lower-case; dots and what follows a plus stay. Meta: "Hashing and Normalizing Data"."""
    return pl.when(value.str.contains(EMAIL)).then(value).otherwise(pl.lit(""))


def email_google(value: pl.Expr) -> pl.Expr:
    """Lower-case without any white space; at gmail.com and googlemail.com without dots and without +suffix.

    Rule: Data Manager API, "Format user data".
    """
    address = value.str.replace_all(r"\s", "")
    name = address.str.replace(r"@[^@]*$", "").str.replace(r"\+.*$", "").str.replace_all(".", "", literal=True)
    domain = address.str.extract(r"(@[^@]*)$", 1)
    folded = pl.when(domain.is_in(["@gmail.com", "@googlemail.com"])).then(name + domain).otherwise(address)
    return pl.when(address.str.contains(EMAIL) & folded.str.contains(EMAIL)).then(folded).otherwise(pl.lit(""))


def name(value: pl.Expr) -> pl.Expr:
    """Lower-case, no punctuation, all scripts; words stay apart. A name without a letter is none."""
    plain = _closed(value.str.replace_all(_MARKS, ""))
    return pl.when(plain.str.contains(r"\p{L}")).then(plain).otherwise(pl.lit(""))


def itself(value: pl.Expr) -> pl.Expr:
    return value


def given_name(value: pl.Expr) -> pl.Expr:
    return name(value).str.replace(_PREFIXES, "")


def family_name(value: pl.Expr) -> pl.Expr:
    return name(value).str.replace(_SUFFIXES, "")


def initial(value: pl.Expr) -> pl.Expr:
    return name(value).str.extract(r"(\p{L}\p{M}*)", 1)


def place(value: pl.Expr) -> pl.Expr:
    """Lower-case, no punctuation, no white space, all scripts."""
    plain = squeezed(value)
    return pl.when(plain.str.contains(r"\p{L}")).then(plain).otherwise(pl.lit(""))


def squeezed(value: pl.Expr) -> pl.Expr:
    return value.str.replace_all(r"[\p{P}\p{S}\p{Cf}\s]", "")


def mobile_id(value: pl.Expr) -> pl.Expr:
    """A UUID that is not all zeros, which is what a device gives whose owner has refused to be followed."""
    known = value.str.contains(r"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
    refused = value.str.contains(r"^[0-]+$")
    return pl.when(known & ~refused).then(value).otherwise(pl.lit(""))


_FEMALE = ["f", "female", "woman", "girl", "w", "weiblich", "frau", "femme", "féminin", "mujer", "femenino", "donna"]
_MALE = ["m", "male", "man", "boy", "männlich", "mann", "homme", "masculin", "hombre", "masculino", "uomo"]


def gender(value: pl.Expr) -> pl.Expr:
    """f or m; nothing for any other word: no platform takes a third, and guessing one would hash a lie."""
    word = value.str.strip_chars(".")
    return (
        pl.when(word.is_in(_FEMALE)).then(pl.lit("f")).when(word.is_in(_MALE)).then(pl.lit("m")).otherwise(pl.lit(""))
    )
