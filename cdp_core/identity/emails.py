"""E-mail addresses in one spelling."""

from __future__ import annotations

import polars as pl

_ATOM = r"[a-zA-Z0-9_!#$%&'*+\-/=?^`{|}~]+"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_LAST = r"(?:[a-zA-Z0-9][a-zA-Z0-9-]{0,61})?[a-zA-Z]"
_PLAIN = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LAST}$"
_RESERVED = r"\.(?:arpa|invalid|local|localhost|onion|test)$"


def normalise_emails(texts: pl.Series) -> pl.Series:
    """Lower-case addresses, in the order of `texts` (trimmed already); null where it is no address.

    The rule is email-validator's, without asking the network. Plain ASCII addresses, nearly all there are, are checked
    in one pass by a narrower pattern; everything that the pattern does not accept is left to the validator.

    >>> normalise_emails(pl.Series(["Ann@Example.ORG", "ann@example", None])).to_list()
    ['ann@example.org', None, None]
    """
    lower = texts.str.to_lowercase()
    plain = (
        texts.str.contains(_PLAIN)
        & (texts.str.len_bytes() <= 254)
        & (texts.str.split("@").list.first().str.len_bytes() <= 64)
        & ~lower.str.contains(_RESERVED)
        & ~texts.str.split("@").list.last().str.contains("--", literal=True)
    ).fill_null(False)
    hard = texts.filter(~plain & texts.str.contains("@", literal=True).fill_null(False)).unique()
    checked = dict(zip(hard, map(_validated, hard), strict=True))
    others = texts.replace_strict(checked, default=None, return_dtype=pl.String)
    return lower.zip_with(plain, others)


def _validated(text: str) -> str | None:
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(text, check_deliverability=False).normalized.lower()
    except (EmailNotValidError, UnicodeError):
        return None
