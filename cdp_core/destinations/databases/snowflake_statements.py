"""Statements through Snowflake's SQL API: one effect per request id, and waiting for the end of one that takes long.

A statement that was left without an answer is submitted again under the same id with `retry=true`, and Snowflake does
not execute it again when it has been executed. Rule: Snowflake SQL API v2, "Submitting a request" and "Handling
responses".
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.base import BatchRefused, Unavailable
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    from cdp_core.destinations.http import Answer, Http

PATH = "/api/v2/statements"
SLOWEST_POLL = 10.0
MISSED_POLLS = 5
_JUDGED_HERE = (400, 401, 403, 404, 408, 422)
_CODE = re.compile(r"\d{6}")
_HANDLE = re.compile(r"[\w-]{1,100}")
_KINDS = {
    "100035": "not a value of the column's type",
    "100037": "not a value of the column's type",
    "100038": "not a value of the column's type",
    "100039": "out of range",
    "100040": "not a value of the column's type",
    "100046": "out of range",
    "100069": "not a value of the column's type",
    "100071": "not a value of the column's type",
    "100072": "null is not allowed",
    "100078": "too long",
    "100090": "the key is there twice",
    "100132": "out of range",
}
_LATER = ("000604", "000607", "000608", "000625", "000630", "000639", "300002", "300005")
_LATER_STATES = ("08", "40", "53", "57014")
_OF_ROWS = ("22", "23")
_NOT_OF_ROWS = {"002003": None, "002023": "map fields of the columns' types"}
_HINTS = {
    "000606": "name a warehouse that the role may use",
    "002003": "look at the database, the schema and the role's rights",
    "002043": "look at the database, the schema and the role's rights",
    "003001": "the role needs USAGE on the schema and CREATE TABLE or, on the table, SELECT, INSERT, UPDATE, DELETE",
    "390100": "look at the account, the user and the token",
    "390144": "look at account, user and key: DESC USER shows the fingerprint of the public key; and at the clock",
    "390201": "look at the warehouse, the database and the role",
}


@dataclass
class Asked:
    """A statement on its way: its request id, whether it went out before, and its handle once it is known."""

    id: str
    sent: bool = False
    handle: str = ""


class Statements:
    """One account, thread by thread. `context` is what goes with each statement: warehouse, role and so on."""

    def __init__(self, http: Http, context: Mapping[str, str], *, timeout: int, poll: float) -> None:
        self.http, self.context, self.timeout, self.poll = http, dict(context), timeout, poll
        self._asked: dict[str, Asked] = {}

    def run(self, statement: str, values: Sequence[str] = (), *, mark: str = "") -> list[list[Any]]:
        """Rows of the result, values as text. Called again with the same `mark` after Unavailable, it goes on.

        Raises Unavailable, BatchRefused or DestinationError, by the error's code.
        """
        asked = self._asked.setdefault(mark, Asked(str(uuid.uuid4()))) if mark else Asked(str(uuid.uuid4()))
        told = self._ended(asked, statement, values)
        self._asked.pop(mark, None)
        return self._rows(told)

    def _ended(self, asked: Asked, statement: str, values: Sequence[str]) -> dict[str, Any]:
        answer = self._looked(asked.handle) if asked.handle else self._submitted(asked, statement, values)
        told = self._judged(asked, answer)
        if answer.status == 202:
            told = self._waited(asked)
        return told

    def _submitted(self, asked: Asked, statement: str, values: Sequence[str]) -> Answer:
        params = {"requestId": asked.id, **({"retry": "true"} if asked.sent else {})}
        body: dict[str, Any] = {"statement": statement, "timeout": self.timeout, **self.context}
        if values:
            body["bindings"] = {str(n): {"type": "TEXT", "value": value} for n, value in enumerate(values, 1)}
        asked.sent = True
        return self.http.call("POST", PATH, json=body, params=params, headers=_JSON, accept=_JUDGED_HERE)

    def _looked(self, handle: str, partition: int | None = None) -> Answer:
        params = None if partition is None else {"partition": partition}
        return self.http.call("GET", f"{PATH}/{handle}", params=params, headers=_JSON, accept=_JUDGED_HERE)

    def _waited(self, asked: Asked) -> dict[str, Any]:
        pause, missed, until = self.poll, 0, time.monotonic() + self.timeout
        while True:
            time.sleep(pause)
            try:
                answer = self._looked(asked.handle)
                missed = 0
            except Unavailable:
                missed += 1
                if missed >= MISSED_POLLS:
                    raise
                continue
            told = self._judged(asked, answer)
            if answer.status != 202:
                return told
            if time.monotonic() > until:
                raise Unavailable("the statement does not end", where=self.http.where, hint="raise statement_timeout")
            pause = min(pause * 1.5, SLOWEST_POLL)

    def _judged(self, asked: Asked, answer: Answer) -> dict[str, Any]:
        """What the answer says. After an error the id is not used again: nothing was executed under it."""
        told = answer.json()
        if answer.status in _JUDGED_HERE:
            asked.id, asked.sent, asked.handle = str(uuid.uuid4()), False, ""
            raise self._refused(answer.status, told if isinstance(told, dict) else {})
        handle = told.get("statementHandle") if isinstance(told, dict) else None
        if not isinstance(handle, str) or not _HANDLE.fullmatch(handle):
            raise Unavailable("the answer holds no statement", where=self.http.where)
        asked.handle = handle
        assert isinstance(told, dict)
        return told

    def _rows(self, told: Mapping[str, Any]) -> list[list[Any]]:
        rows = list(told.get("data") or ())
        parts = (told.get("resultSetMetaData") or {}).get("partitionInfo") or ()
        for number in range(1, len(parts)):
            more = self._looked(str(told["statementHandle"]), number).json()
            if not isinstance(more, dict) or "data" not in more:
                raise Unavailable("a part of the result is missing", where=self.http.where)
            rows += more["data"]
        return rows

    def _refused(self, status: int, told: Mapping[str, Any]) -> DestinationError:
        """By the code. The message quotes values, so it is not told."""
        code, state = str(told.get("code") or ""), str(told.get("sqlState") or "")
        word = f"error {code}" if _CODE.fullmatch(code) else f"answered {status}"
        if status == 408 or code in _LATER or state.startswith(_LATER_STATES):
            return Unavailable(f"Snowflake: {word}", where=self.http.where)
        if code not in _NOT_OF_ROWS and (code in _KINDS or state.startswith(_OF_ROWS)):
            return BatchRefused(f"{_KINDS.get(code, 'the data were refused')} ({word})", where=self.http.where)
        hint = _NOT_OF_ROWS.get(code) or _HINTS.get(code) or _BY_STATUS.get(status)
        return DestinationError(f"Snowflake refused: {word}", where=self.http.where, hint=hint)


_JSON = {"Accept": "application/json"}
_BY_STATUS = {401: _HINTS["390144"], 403: "look at the network policy and the role", 404: "look at the account"}
