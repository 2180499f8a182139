"""How Snowflake is told who calls: a token signed with the user's key, or one that Snowflake has given out.

Rule: "Authenticating to the server" of the SQL API: a JWT of RS256 that is valid for an hour at most, its issuer
ACCOUNT.USER.SHA256:fingerprint of the public key.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from cdp_core.destinations.jwt import fingerprint, private_key, signed, text_or_file
from cdp_core.redaction import Secrets

if TYPE_CHECKING:
    from cdp_core.destinations.databases.snowflake import SnowflakeOptions

LASTS = 3600
RENEWED_AFTER = 3000.0
TOKEN_TYPE = "X-Snowflake-Authorization-Token-Type"  # noqa: S105  (the name of a header)


class SignedToken(httpx.Auth):
    """Puts a token on each call that `made` signs, and a new one when it is about to end or is refused with 401."""

    def __init__(self, made: Callable[[], str]) -> None:
        self._made = made
        self._lock = threading.Lock()
        self._token, self._ends, self._held = "", 0.0, Secrets([])

    def token(self, refused: str = "") -> str:
        with self._lock:
            if not self._token or self._token == refused or time.monotonic() > self._ends:
                self._token, self._ends = self._made(), time.monotonic() + RENEWED_AFTER
                self._held = Secrets([self._token])
            return self._token

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self.token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = f"Bearer {self.token(refused=token)}"
            yield request


def logged_in(options: SnowflakeOptions, root: Path, *, where: str) -> dict[str, Any]:
    """Arguments of `Http`. Raises DestinationError when the key cannot be read."""
    if options.token is not None:
        bearer = {"Authorization": f"Bearer {options.token.get_secret_value()}"}
        return {"headers": {**bearer, TOKEN_TYPE: options.token_type.upper()}}
    assert options.private_key is not None
    given = options.private_key.get_secret_value()
    pem = text_or_file(given, root, starts="-----BEGIN", where=where, what="private key")
    password = options.private_key_passphrase
    key = private_key(pem, where=where, password=password.get_secret_value() if password else None)
    name = f"{account_name(options.account)}.{str(options.user).upper()}"
    issuer = f"{name}.{fingerprint(key)}"

    def made() -> str:
        now = int(time.time())
        return signed({"iss": issuer, "sub": name, "iat": now, "exp": now + LASTS}, key)

    return {"auth": SignedToken(made), "headers": {TOKEN_TYPE: "KEYPAIR_JWT"}}


def account_name(account: str) -> str:
    """The account as tokens name it: without the region behind an account locator.

    >>> account_name("myorg-shop"), account_name("xy12345.eu-central-1")
    ('MYORG-SHOP', 'XY12345')
    """
    return account.partition(".")[0].upper()


def host_name(account: str) -> str:
    """
    >>> host_name("MyOrg-my_shop")
    'myorg-my-shop'
    """
    return account.lower().replace("_", "-")
