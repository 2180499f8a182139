"""Keys, and tokens signed with them, as stand-ins give them out and look at them."""

from __future__ import annotations

import base64
import functools
import json
import time
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

ACCOUNT = "cdp@shop-1.iam.example"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@functools.cache
def rsa_key() -> RSAPrivateKey:
    """One for the process: making one takes a tenth of a second."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: RSAPrivateKey, password: bytes | None = None) -> str:
    hidden: Any = serialization.NoEncryption()
    if password:
        hidden = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden).decode()


def claims_of(token: str, key: RSAPrivateKey) -> dict[str, Any] | None:
    """The claims of a token that this key has signed with RS256; None of any other."""

    def decoded(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    try:
        head, body, signature = token.split(".")
        key.public_key().verify(decoded(signature), f"{head}.{body}".encode(), PKCS1v15(), SHA256())
        header = json.loads(decoded(head))
        claims = json.loads(decoded(body))
    except (ValueError, InvalidSignature):
        return None
    return claims if header.get("alg") == "RS256" and isinstance(claims, dict) else None


def service_account(token_url: str) -> str:
    """The JSON key of a service account of Google's, whose tokens `granted` takes."""
    key = {"type": "service_account", "client_email": ACCOUNT, "private_key_id": "k1", "private_key": pem(rsa_key())}
    return json.dumps({**key, "token_uri": token_url})


def granted(body: bytes, token_url: str, scopes: Collection[str]) -> bool:
    """Whether a form asks for a token with an assertion that this service account has signed, now and for here."""
    form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
    claims = claims_of(form.get("assertion", ""), rsa_key())
    now = time.time()
    return (
        form.get("grant_type") == JWT_BEARER
        and claims is not None
        and claims.get("iss") == ACCOUNT
        and claims.get("aud") == token_url
        and claims.get("scope") in scopes
        and now - 300 < claims["iat"] <= now + 5
        and now < claims["exp"] <= claims["iat"] + 3600
    )
