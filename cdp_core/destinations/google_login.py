"""How destinations of Google log in: a service account, a refresh token, or a token that somebody else renews.

Rule: "Using OAuth 2.0 for Server to Server Applications" (the grant jwt-bearer, RFC 7523) and "for Web Server
Applications" (refresh_token).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from cdp_core.destinations.http import Http, checked_url
from cdp_core.destinations.jwt import private_key, signed, text_or_file
from cdp_core.destinations.oauth import Form, OAuth
from cdp_core.errors import DestinationError

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LASTS = 3600


class GoogleLogin(BaseModel):
    """One of `credentials`, `refresh_token` (with `client_id` and `client_secret`) and `access_token`."""

    credentials: SecretStr | None = Field(None, description="Key of a service account: its JSON, or its file's path")
    access_token: SecretStr | None = Field(None, description="A token that is valid for about an hour")
    refresh_token: SecretStr | None = Field(None, description="Fetches access tokens, of a user who has consented")
    client_id: str | None = Field(None, description="Of the OAuth client")
    client_secret: SecretStr | None = Field(None, description="Of the OAuth client")
    token_url: str = Field("https://oauth2.googleapis.com/token", description="Where tokens are fetched")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        renewed = self.refresh_token and self.client_id and self.client_secret
        if not (self.credentials or self.access_token or renewed):
            raise ValueError("credentials, access_token, or refresh_token with client_id and client_secret, is wanted")
        return self


def logged_in(options: Any, root: Path, scope: str, *, where: str) -> dict[str, Any]:
    """Arguments of `Http` that put a valid token on each call: `headers` or `auth`.

    Raises DestinationError when the key of the service account cannot be read.
    """
    if options.credentials is not None:
        return {"auth": _service_account(options, root, scope, where)}
    if options.refresh_token is not None and options.client_secret is not None:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": options.refresh_token.get_secret_value(),
            "client_id": options.client_id or "",
            "client_secret": options.client_secret.get_secret_value(),
        }
        return {"auth": _fetching(options, options.token_url, form, where)}
    return {"headers": {"Authorization": f"Bearer {options.access_token.get_secret_value()}"}}


def _service_account(options: Any, root: Path, scope: str, where: str) -> OAuth:
    given = options.credentials.get_secret_value()
    text = text_or_file(given, root, starts="{", where=where, what="key of the service account")
    try:
        told = json.loads(text)
        account, pem = str(told["client_email"]), str(told["private_key"])
        url = checked_url(str(told.get("token_uri") or options.token_url))
    except (ValueError, KeyError, RecursionError):
        hint = "download a JSON key of the service account anew"
        raise DestinationError("the key of the service account cannot be read", where=where, hint=hint) from None
    key = private_key(pem, where=where)
    header = {"kid": str(told["private_key_id"])} if told.get("private_key_id") else None

    def form() -> dict[str, str]:
        now = int(time.time())
        claims = {"iss": account, "scope": scope, "aud": url, "iat": now, "exp": now + LASTS}
        return {"grant_type": JWT_BEARER, "assertion": signed(claims, key, header)}

    return _fetching(options, url, form, where)


def _fetching(options: Any, url: str, form: Form, where: str) -> OAuth:
    return OAuth(Http(url, where=where, timeout=options.timeout, private=options.private_network), "", form)
