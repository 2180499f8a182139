"""What stand-ins of warehouses share: statements in the warehouse's own SQL, really parsed and really run.

sqlglot reads a statement in its dialect and writes it for DuckDB, which runs it. That a statement is read here does not
prove that the warehouse reads it: sqlglot takes more than any one of them, and types and messages are DuckDB's.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import duckdb
import sqlglot
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key


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
    import base64
    import json

    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

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


class Tables:
    """A DuckDB in memory that takes statements of another dialect. `effects` counts how often each key was changed."""

    def __init__(self, dialect: str, effects: Counter[str]) -> None:
        self.dialect, self.effects = dialect, effects
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.statements: list[str] = []

    def run(self, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        """What the statement finds. Raises sqlglot's or DuckDB's error."""
        self.statements.append(statement)
        (tree,) = sqlglot.parse(statement, read=self.dialect)
        assert tree is not None
        target = tree.this if isinstance(tree, sqlglot.exp.Merge | sqlglot.exp.Delete) else None
        text = self.written(tree)
        before = self._rows(target)
        found = self.connection.execute(text, values).fetchall()
        if isinstance(tree, sqlglot.exp.Merge):
            after = self._rows(target)
            self.effects.update(key for key, row in after.items() if before.get(key) != row)
        return found

    def written(self, tree: sqlglot.exp.Expression) -> str:
        return tree.sql(dialect="duckdb")

    def _rows(self, target: sqlglot.exp.Expression | None) -> dict[str, Any]:
        """By the first column, which is the key."""
        if target is None:
            return {}
        named = target.copy()
        named.set("alias", None)
        return {str(r[0]): r for r in self.connection.execute(f"FROM {named.sql(dialect='duckdb')}").fetchall()}
