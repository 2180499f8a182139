"""JSON Web Tokens signed with an RSA key (RFC 7515 and 7519, algorithm RS256)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

LONGEST_FILE = 100_000


def text_or_file(given: str, root: Path, *, starts: str, where: str, what: str) -> str:
    """`given` itself when it starts so, else the text of the file of that name, relative to `root`.

    >>> text_or_file('{"type": "service_account"}', Path(), starts="{", where="d", what="key")
    '{"type": "service_account"}'
    """
    if given.lstrip().startswith(starts):
        return given
    try:
        path = Path(root, given.strip()).expanduser()
        if path.stat().st_size <= LONGEST_FILE and (text := path.read_text()).lstrip().startswith(starts):
            return text
    except (OSError, ValueError):
        raise DestinationError(
            f"the file of the {what} cannot be read", where=where, hint=f"give the {what} itself, or the path of it"
        ) from None
    raise DestinationError(f"the file of the {what} holds no {what}", where=where, hint=f"it starts with {starts}")


def private_key(pem: str, *, where: str, password: str | None = None) -> RSAPrivateKey:
    """An RSA key in PEM; `\\n` may be written for the ends of lines. Raises DestinationError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password.encode() if password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        hint = "an RSA key in PEM is wanted, and its passphrase when it has one"
        raise DestinationError("the private key cannot be read", where=where, hint=hint)
    return key


def signed(claims: Mapping[str, Any], key: RSAPrivateKey, header: Mapping[str, str] | None = None) -> str:
    """The claims as a token: header, claims and signature, each in base64url."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    head = {"alg": "RS256", "typ": "JWT", **(header or {})}
    body = b".".join(_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    return (body + b"." + _base64url(key.sign(body, PKCS1v15(), SHA256()))).decode()


def fingerprint(key: RSAPrivateKey) -> str:
    """`SHA256:` and the base64 of the hash of the public key (DER, SubjectPublicKeyInfo)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
