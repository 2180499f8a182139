"""What destinations over HTTP share: one kind of call, whose answer or error says what it means for the rows.

    http = Http("https://api.example.org", where="destination crm", headers={"Authorization": f"Bearer {token}"})
    answer = http.call("POST", "/people", content=b"[" + b",".join(...) + b"]")
    answer.json()

| what happens | what it becomes |
|---|---|
| no connection, no answer before the deadline, 408, 425, 429, 5xx | `Unavailable`, with the time that was asked for |
| 400, 409, 413, 422 | `BatchRefused`: the batch is halved until the refused rows are found |
| 401, 403, 404, 3xx, other 4xx | `DestinationError`: no later call will mend it |
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cdp_core.destinations.base import BatchRefused, Unavailable
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import httpx

ANSWER_BYTES = 32_000_000
LONGEST_WAIT = 3600.0
_LATER = (408, 425, 429)
_REFUSED = (400, 409, 413, 422)
_HINTS = {
    401: "the token or the password is wrong or has expired",
    403: "the token may not do this: look at its rights",
    404: "look at the address and the id in the options",
}


class HttpOptions(BaseModel):
    """Options that every destination over HTTP has. A subclass gives `base_url` its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(description="Where the service answers, https://…")
    timeout: float = Field(60, gt=0, le=600, description="Seconds that one call may take in all")
    private_network: bool = Field(False, description="Let it reach this machine and private networks")

    @field_validator("base_url")
    @classmethod
    def _address(cls, url: str) -> str:
        return checked_url(url)


def checked_url(url: str) -> str:
    """An address of http or https with a host and without a password, without the slash at its end.

    >>> checked_url("https://api.example.org/v1/")
    'https://api.example.org/v1'
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known or any(c.isspace() or ord(c) < 32 for c in url):
        raise ValueError("an address that starts with https:// (or http://) is wanted")
    if parts.username or parts.password:
        raise ValueError("a password does not belong into an address: it would stand in logs")
    return url.rstrip("/")


@dataclass(frozen=True)
class Answer:
    """What came back. `headers` are read without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def told(self) -> dict[str, Any]:
        """The body as an object of JSON; empty when it is none. What stands between may answer in any shape."""
        return _object(self.json())

    def error(self) -> dict[str, Any]:
        """The object under `error`, in which many services say what was wrong; empty when there is none."""
        return _object(self.told().get("error"))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


Refusal = Callable[[Answer], str | None]
"""From an answer to what the ledger says of the row; None for the status alone. No customer's value may be in it."""


class Http:
    """Calls to one service; thread-safe, connections are kept. `where` stands in errors and holds no secret.

    `auth` is httpx's: a (user, password) pair or an `httpx.Auth` that renews its token. `retry_headers` are read, in
    this order, for the time to wait: seconds, or a date (RFC 9110, 10.2.3); values above a million are taken for the
    epoch's seconds.
    """

    def __init__(
        self,
        base_url: str,
        *,
        where: str,
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
        timeout: float = 60,
        private: bool = False,
        retry_headers: tuple[str, ...] = ("retry-after", "x-ratelimit-retry-after", "x-ratelimit-reset"),
    ) -> None:
        import httpx

        from cdp_core.network import Transport

        self.where, self.timeout, self.retry_headers = where, timeout, retry_headers
        self._base = checked_url(base_url)
        self._client = httpx.Client(
            transport=Transport(private=private),
            headers={"User-Agent": "cdp-workbench", **(headers or {})},
            auth=auth,
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
        )

    def close(self) -> None:
        self._client.close()

    def same_host(self, url: str) -> bool:
        """Whether a whole address is on the host of `base_url`: what a call carries may go there."""
        from urllib.parse import urlsplit

        one, other = urlsplit(self._base), urlsplit(url)
        return (one.scheme, one.netloc) == (other.scheme, other.netloc)

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        refusal: Refusal | None = None,
        accept: tuple[int, ...] = (),
    ) -> Answer:
        """One call. `path` follows `base_url`, or is a whole address; `content` is sent as JSON unless `headers` say
        else. Statuses in `accept` come back as answers, as all of 2xx do.

        Raises Unavailable, BatchRefused (its reason from `refusal`) or DestinationError, as the module says.
        """
        sent = {"Content-Type": "application/json", **(headers or {})} if content is not None else headers
        url = path if path.startswith(("http://", "https://")) else self._base + path
        answer = self._sent(method, url, json=json, content=content, headers=sent, params=params)
        if answer.status in accept or 200 <= answer.status < 300:
            return answer
        raise self._error(answer, refusal)

    def _sent(self, method: str, url: str, **more: Any) -> Answer:
        import httpx

        from cdp_core.network import deadline

        try:
            with deadline(self.timeout), self._client.stream(method, url, **more) as response:
                body = self._read(response)
                return Answer(response.status_code, response.headers, body)
        except httpx.TimeoutException:
            raise Unavailable(f"no answer within {self.timeout:g} s", where=self.where) from None
        except httpx.HTTPError as error:
            raise self._lost(error) from None

    def _read(self, response: httpx.Response) -> bytes:
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > ANSWER_BYTES:
                raise Unavailable(f"the answer is longer than {ANSWER_BYTES:,} bytes", where=self.where)
        return b"".join(parts)

    def _lost(self, error: Exception) -> DestinationError:
        from cdp_core.network import PRIVATE

        text = str(error)
        if text == PRIVATE:
            return DestinationError(
                "the address is on a private network or this machine",
                where=self.where,
                hint="set private_network: true if that is meant",
            )
        if "CERTIFICATE" in text.upper():
            return DestinationError("its certificate cannot be trusted", where=self.where, hint="look at the address")
        if "name is unknown" in text:
            return Unavailable("the host's name is unknown", where=self.where, hint="look at the address")
        return Unavailable(f"the connection failed or was lost ({type(error).__name__})", where=self.where)

    def _error(self, answer: Answer, refusal: Refusal | None) -> DestinationError:
        status = answer.status
        if status in _LATER or (status >= 500 and status not in (501, 505)):
            wait = wanted_wait(answer.headers, self.retry_headers, time.time())
            return Unavailable(f"answered {status}", where=self.where, retry_after=wait)
        if status in _REFUSED:
            told = refusal(answer) if refusal is not None else None
            return BatchRefused(told or f"answered {status}", where=self.where)
        if 300 <= status < 400:
            return DestinationError(
                f"answered {status}, which sends the call elsewhere", where=self.where, hint="give the final address"
            )
        return DestinationError(f"answered {status}", where=self.where, hint=_HINTS.get(status))


def wanted_wait(headers: Mapping[str, str], names: tuple[str, ...], now: float) -> float | None:
    """Seconds that the other side asks to wait, at most an hour; None when it names none.

    >>> wanted_wait({"retry-after": "7"}, ("retry-after",), 0.0)
    7.0
    >>> wanted_wait({"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}, ("retry-after",), 100.0)
    20.0
    """
    for name in names:
        text = headers.get(name)
        if not text:
            continue
        try:
            seconds = float(text)
            seconds = seconds - now if seconds > 1_000_000 else seconds
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(text).timestamp() - now
            except (ValueError, TypeError):
                continue
        if seconds == seconds:
            return min(max(seconds, 0.0), LONGEST_WAIT)
    return None
