"""Regular expressions that mean the same on every engine (RE2, Java).

Escapes and signs that mean different things there are written out; what one of them has not is refused.
"""

from __future__ import annotations

import re
import warnings

LONGEST = 500
_TOKEN = re.compile(
    r"""(?P<escape>\\.) | (?P<class>\[\^?(?:\\.|[^\]\\])(?:\\.|[^\]\\])*\]) | (?P<group>\((?:\?(?::|.))?)
    | (?P<repeat>\{[0-9]+(?:,[0-9]*)?\}|[*+?]) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = "\t\n\f\r "
_ESCAPES = {"d": "0-9", "w": "A-Za-z0-9_", "s": _SPACE, "t": "\t", "n": "\n", "r": "\r"}
_MOST = 1000


def portable(pattern: str) -> str:
    """The pattern as both engines read it alike. Raises ValueError when it is none, or not the same everywhere.

    `.` is any character but a line feed, `$` the very end, \\d \\w \\s are ASCII; letters match as they are written.

    >>> portable(r"^(\\d+).$")
    '^([0-9]+)[^\\n]\\\\z'
    """
    if len(pattern) > LONGEST:
        raise ValueError(f"a pattern has at most {LONGEST} characters")
    try:
        with warnings.catch_warnings(action="ignore"):
            known = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if known.match("") and known.fullmatch(""):
        raise ValueError(f"{pattern!r} matches the empty text, and so everywhere; use + instead of *")
    made, before = [], ""
    for found in _TOKEN.finditer(pattern):
        kind = str(found.lastgroup)
        if kind == "repeat" and before == "repeat" and found[0] == "+":
            raise ValueError(f"{pattern!r}: possessive repetition is not known to every engine")
        made.append(_one(kind, found[0], pattern))
        before = kind
    return "".join(made)


def _one(kind: str, found: str, pattern: str) -> str:
    if kind == "escape":
        return _escaped(found[1], pattern, inside=False)
    if kind == "class":
        return _class(found, pattern)
    if kind == "group" and found not in ("(", "(?:"):
        raise ValueError(f"{pattern!r}: of groups with (? only (?: is known to every engine")
    if kind == "repeat" and max([0, *map(int, re.findall("[0-9]+", found))]) > _MOST:
        raise ValueError(f"{pattern!r}: at most {_MOST} repetitions")
    if found == "[":
        raise ValueError(f"{pattern!r}: write [ and ] inside brackets as \\[ and \\]")
    if found == "{":
        raise ValueError(f"{pattern!r}: write {{ as \\{{ where it is no repetition")
    return {".": "[^\n]", "$": r"\z"}.get(found, found)


def _escaped(sign: str, pattern: str, *, inside: bool) -> str:
    if sign.lower() in _ESCAPES and not (inside and sign.isupper()):
        held = _ESCAPES[sign.lower()]
        return held if inside else f"[{'^' if sign.isupper() else ''}{held}]"
    if sign.isalnum() or ord(sign) > 126:
        raise ValueError(f"{pattern!r}: \\{sign} does not mean the same on every engine")
    return f"\\{sign}"


def _class(token: str, pattern: str) -> str:
    start = 2 if token.startswith("[^") else 1
    made = re.sub(r"\\(.)", lambda found: _escaped(found[1], pattern, inside=True), token[start:-1], flags=re.DOTALL)
    plain = re.sub(r"\\.", "", token[start:-1])
    if "[" in plain or plain.startswith("]") or re.search(r"&&|--|~~|\|\|", plain):
        raise ValueError(f"{pattern!r}: write [ and ] inside brackets as \\[ and \\], and no && or --")
    return token[:start] + made + "]"
