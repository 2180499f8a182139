"""Personal data is masked until someone reveals it. Plain functions over values, JSON text and frames.

What counts as personal is read from the name of a trait, property or identifier, and e-mail addresses and phone
numbers are found inside any other text. What is masked stays as it is when it is masked again. `masker.py` knows what a
workspace says of its own fields besides.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

DOT = "•"
_EMAIL = re.compile(r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(?<![\w.\-])\+?\(?\d[\d\s().\-]{7,}\d(?![\w\-])")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MASKED_DATE = re.compile(rf"\d{{4}}-{DOT}{DOT}-{DOT}{DOT}")
_PLAIN = (
    r"_at$|_on$|sha256|hash|(^|_)(id|ids|sku|code|number)$"
    r"|^(event|page|utm|campaign|product|brand|file|screen|user_agent|list|plan|tag)_?name$"
)
_KINDS = (
    ("plain", _PLAIN),
    ("email", r"e_?mail"),
    ("phone", r"phone|mobile|^tel$|^fax$"),
    (
        "name",
        r"^name$|first_?name|last_?name|full_?name|middle_?name|surname|given_?name|family_?name|_name$|^username$",
    ),
    ("birth_date", r"birth|^dob$"),
    ("address", r"street|address|^line_?[12]$"),
    ("postcode", r"post_?code|postal|^zip"),
    ("text", r"^ip$|ip_address|ssn|passport|iban|card_?number"),
)
_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)


def kind_of(name: str) -> str | None:
    """What sort of personal data a trait, property or identifier type holds, or None.

    >>> kind_of("firstName"), kind_of("requester_email"), kind_of("created_at"), kind_of("product_name")
    ('name', 'email', None, None)
    """
    kind = kind_or_plain(name)
    return None if kind == "plain" else kind


def kind_or_plain(name: str) -> str | None:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return next((kind for kind, pattern in _PATTERNS if pattern.search(snake)), None)


def mask_email(text: str) -> str:
    """
    >>> mask_email("ann@example.org")
    'a••@e••••••.org'
    """
    local, at, domain = text.partition("@")
    if not at:
        return hidden(text)
    host, dot, top = domain.rpartition(".")
    return f"{_initial(local)}@{_initial(host)}{dot}{top}"


def mask_phone(text: str) -> str:
    """The first two and the last two digits stay.

    >>> mask_phone("+441632960123")
    '+44••••••••23'
    """
    if DOT in text and sum(map(str.isdigit, text)) <= 4:
        return text
    places = [i for i, sign in enumerate(text) if sign.isdigit()]
    covered = set(places[2:-2]) if len(places) > 5 else set(places)
    return "".join(DOT if i in covered else sign for i, sign in enumerate(text))


def mask_name(text: str) -> str:
    """
    >>> mask_name("Ann Example")
    'A•• E••••••'
    """
    return " ".join(_initial(word) for word in text.split())


def mask_birth_date(text: str) -> str:
    """
    >>> mask_birth_date("1961-04-09")
    '1961-••-••'
    """
    return f"{text[:4]}-{DOT * 2}-{DOT * 2}" if _DATE.match(text) or _MASKED_DATE.fullmatch(text) else hidden(text)


def mask_postcode(text: str) -> str:
    """
    >>> mask_postcode("LS1 4AB")
    'LS•••••'
    """
    return text[:2] + DOT * max(len(text) - 2, 0)


def mask_text(text: str) -> str:
    """E-mail addresses and phone numbers inside a text.

    >>> mask_text("call 0163 2960 123 or write to ann@example.org")
    'call 01•• •••• •23 or write to a••@e••••••.org'
    """
    text = mask_emails(text)
    return _PHONE.sub(lambda found: found.group() if _DATE.match(found.group()) else mask_phone(found.group()), text)


def mask_emails(text: str) -> str:
    """E-mail addresses inside a text; numbers stay, as in order numbers and ids."""
    return _EMAIL.sub(lambda found: mask_email(found.group()), text)


MASKS = {
    "email": mask_email,
    "phone": mask_phone,
    "name": mask_name,
    "birth_date": mask_birth_date,
    "postcode": mask_postcode,
}


def mask(value: object, name: str) -> str | None:
    """A value as text, masked by what its name says it is; JSON by the names inside it.

    >>> mask("4155550123", "order_id"), mask("0163 2960 123", "note"), mask("ann@example.org", "user_id")
    ('4155550123', '01•• •••• •23', 'a••@e••••••.org')
    >>> mask('{"first_name": "Ann"}', "everything")
    '{"first_name": "A••"}'
    """
    if value is None:
        return None
    kind = kind_or_plain(name)
    if kind == "plain":
        return mask_emails(str(value))
    if kind is None:
        text = str(value)
        return mask_json(text) if text.startswith(("{", "[")) else mask_text(text)
    return MASKS.get(kind, hidden)(str(value))


def mask_json(text: str | None) -> str | None:
    """JSON text with its personal values masked, however deep they lie; other text through `mask_text`.

    >>> mask_json('{"traits": {"first_name": "Ann", "plan": "pro"}}')
    '{"traits": {"first_name": "A••", "plan": "pro"}}'
    """
    if text is None:
        return None
    try:
        return json.dumps(mask_value(json.loads(text), ""), ensure_ascii=False)
    except (ValueError, RecursionError):
        return mask_text(text)


def mask_column(frame: pl.DataFrame, column: str, name: str | None = None) -> pl.DataFrame:
    """A frame with one column masked; `name` says what it holds (default: the column's name)."""
    import polars as pl

    if column not in frame.columns:
        return frame
    kind = name or column
    masked = pl.col(column).cast(pl.String).map_elements(lambda value: mask(value, kind), return_dtype=pl.String)
    return frame.with_columns(masked)


def mask_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with every column masked whose name says that it is personal."""
    for column in frame.columns:
        if kind_of(column):
            frame = mask_column(frame, column)
    return frame


def mask_pairs(frame: pl.DataFrame, name: str, value: str) -> pl.DataFrame:
    """A frame whose column `name` says what the text in column `value` is (identifiers, traits)."""
    import polars as pl

    if frame.is_empty():
        return frame
    pair = pl.struct(pl.col(name), pl.col(value).cast(pl.String))
    masked = pair.map_elements(lambda row: mask(row[value], row[name] or ""), return_dtype=pl.String)
    return frame.with_columns(masked.alias(value))


def mask_json_column(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """A frame with columns of JSON text masked."""
    import polars as pl

    present = [column for column in columns if column in frame.columns]
    return frame.with_columns(pl.col(column).map_elements(mask_json, return_dtype=pl.String) for column in present)


def mask_value(value: Any, name: str) -> Any:
    """A value as JSON has it, of the same shape, with what is personal masked.

    >>> mask_value({"first_name": "Ann", "visits": 3}, "person"), mask_value(["a@b.org"], "emails")
    ({'first_name': 'A••', 'visits': 3}, ['a••@b••.org'])
    """
    if isinstance(value, dict):
        return {key: mask_value(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [mask_value(item, name) for item in value]
    if isinstance(value, str) or (kind_of(name) and isinstance(value, int | float) and not isinstance(value, bool)):
        return mask(value, name)
    return value


def _initial(word: str) -> str:
    return word[:1] + DOT * max(len(word) - 1, 2) if word else ""


def hidden(text: str) -> str:
    return DOT * min(max(len(text), 3), 8)
