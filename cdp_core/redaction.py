"""The net under everything that is said: no secret of the configuration passes it.

Code that knows a secret is not to put it into words; but drivers, services and plug-ins word their errors themselves,
and a service may give back what it was sent. So every error (`errors.py`), every reason of a refused row and every
trace goes through `redacted`. Rule: ASVS 5.0, 16.2.5; OWASP Logging Cheat Sheet, "Data to exclude".
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import threading
import weakref
from collections.abc import Iterable, Iterator
from functools import cached_property
from urllib.parse import quote, quote_plus

HIDDEN = "…"
_IN_ADDRESS = re.compile(r"(://[^:/@\s]*):[^@\s]*@")
_SHORTEST_ENCODED = 8
_lock = threading.Lock()
_live: weakref.WeakSet[Secrets] = weakref.WeakSet()


class Secrets:
    """Values that `redacted` hides for as long as somebody holds this object.

    >>> held = Secrets(["hunter2-hunter2"])
    >>> redacted("answered 401: Basic dTpodW50ZXIyLWh1bnRlcjI="), redacted("no such user: hunter2-hunter2")
    ('answered 401: Basic dTpo…cjI=', 'no such user: …')
    >>> del held
    >>> redacted("hunter2-hunter2")
    'hunter2-hunter2'
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._values = frozenset(value for value in values if value)
        if self._values:
            with _lock:
                _live.add(self)

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)})"

    def hidden_in(self, text: str) -> str:
        return self._pattern.sub(HIDDEN, text) if self._values else text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        found = {form for value in self._values for form in _forms(value)}
        return re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))))


def redacted(text: str) -> str:
    """The text with … in place of every secret that somebody holds, however it is written (plain, in an address, in
    JSON or HTML, in base64), and of passwords within addresses.

    >>> redacted("cannot reach postgresql://cdp:letmein@db/shop")
    'cannot reach postgresql://cdp:…@db/shop'
    """
    with _lock:
        held = list(_live)
    for secrets in held:
        text = secrets.hidden_in(text)
    return _IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text) if "://" in text else text


def redacting(record: logging.LogRecord) -> bool:
    """A filter for loggers of libraries that log addresses or headers."""
    said = record.getMessage()
    if (clean := redacted(said)) != said:
        record.msg, record.args = clean, ()
    return True


def _forms(value: str) -> Iterator[str]:
    """Ways in which a text is written down. Errors are one line, so a text of several is looked for as one too."""
    yield from {value, " ".join(value.split())}
    yield from (quote(value), quote(value, safe=""), quote_plus(value))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], html.escape(value))
    yield from (value.replace("\\", "\\\\").replace("'", "\\'"), repr(value)[1:-1])
    raw = value.encode(errors="surrogatepass")
    for start in range(3):
        # In base64 a text looks different by its place; the characters at its ends also tell of its neighbours.
        encoded = base64.b64encode(b"\0" * start + raw)
        middle = encoded[4 if start else 0 : len(encoded) // 4 * 4 - (4 if (start + len(raw)) % 3 else 0)].decode()
        if len(middle) >= _SHORTEST_ENCODED:
            yield from {middle, middle.translate(str.maketrans("+/", "-_"))}
