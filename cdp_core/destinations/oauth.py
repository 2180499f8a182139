"""Tokens that are fetched and renewed while calls go on (RFC 6749: refresh_token and client_credentials; RFC 7523)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import httpx

from cdp_core.destinations.base import Unavailable
from cdp_core.errors import DestinationError
from cdp_core.redaction import Secrets

if TYPE_CHECKING:
    from cdp_core.destinations.http import Http

Form = Mapping[str, str] | Callable[[], Mapping[str, str]]
RENEWALS = 2
"""A renewed token may have been revoked by somebody else's renewal before it arrives."""
EARLY = 60.0
"""Seconds before its end that a token is renewed."""


class OAuth(httpx.Auth):
    """Puts a token on each call, fetches it from `token_url` when it is missing, about to end, or refused with 401.

    `form` is what the token's address is sent (grant_type, client_id, client_secret, refresh_token, scope), or makes it
    anew each time (a signed assertion ends too). Calls that find one token refused at once renew it once. Raises
    Unavailable or DestinationError when no token is given.

        http = Http(url, where="crm", auth=OAuth(Http(login_url, where="crm"), "/token", {"grant_type": …}))
    """

    def __init__(self, http: Http, path: str, form: Form, scheme: str = "Bearer") -> None:
        self._http, self._path, self._form, self._scheme = http, path, form, scheme
        self._lock = threading.Lock()
        self._token = ""
        self._ends = 0.0
        self._held = Secrets([])
        self.answer: dict[str, Any] = {}

    def token(self, refused: str = "") -> str:
        """A token that is valid now; `refused` is one that is not. What came with it is in `answer`."""
        with self._lock:
            if not self._token or self._token == refused or time.monotonic() > self._ends:
                self._fetch()
            return self._token

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self.token()
        request.headers["Authorization"] = f"{self._scheme} {token}"
        response = yield request
        for _ in range(RENEWALS):
            if response.status_code != 401:
                return
            token = self.token(refused=token)
            request.headers["Authorization"] = f"{self._scheme} {token}"
            response = yield request

    def _fetch(self) -> None:
        from urllib.parse import urlencode

        body = urlencode(self._form() if callable(self._form) else self._form).encode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = self._http.call("POST", self._path, content=body, headers=form)
        except Unavailable:
            raise
        except DestinationError:
            raise DestinationError(
                "no token was given", where=self._http.where, hint="look at the client id, its secret and the token"
            ) from None
        told = answer.json()
        token = told.get("access_token") if isinstance(told, dict) else None
        if not isinstance(token, str) or not token:
            raise DestinationError(
                "the answer holds no token", where=self._http.where, hint="look at the login address"
            )
        lasts = told.get("expires_in")
        self._token, self.answer, self._held = token, told, Secrets([token, str(told.get("refresh_token") or "")])
        self._ends = time.monotonic() + (float(lasts) if isinstance(lasts, (int, float)) else 3600.0) - EARLY
