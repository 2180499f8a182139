"""Tombstones: how a decision about a person names them without holding who they are.

A tombstone is an HMAC-SHA-256 of `type:value` under the workspace's key, and four hex digits of a keyed MD5, so that a
table of identifiers is looked through without hashing each of them expensively.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cdp_core.errors import UsageError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine

TAG = 4
Identifier = tuple[str, str]


def tombstone(identifier: Identifier, key: bytes) -> tuple[str, str]:
    """HMAC and tag of an identifier as tables spell it.

    >>> len(tombstone(("email", "ann@example.org"), bytes(32))[0])
    64
    """
    text = ":".join(identifier)
    found = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return found, hashlib.md5((key.hex() + text).encode(), usedforsecurity=False).hexdigest()[:TAG]


def tombstones(identifiers: Iterable[Identifier], key: bytes) -> dict[str, str]:
    """Every HMAC with its tag, sorted."""
    return dict(sorted(tombstone(one, key) for one in identifiers))


def with_reason(text: str) -> str:
    """The reason in one line. Raises UsageError when there is none."""
    if not text.strip():
        raise UsageError("a reason is missing", hint="say why, for whoever reads the list next year")
    return " ".join(text.split())


def matched(engine: Engine, stones: Mapping[str, str], key: bytes, identifiers: ir.Table) -> ir.Table:
    """Those rows of `identifiers` (type, value and other columns) that a tombstone is of, with it as `stone`."""
    import ibis
    import polars as pl

    kinds = {"stone": pl.String, "tag": pl.String}
    known = engine.frame(pl.DataFrame({"stone": list(stones), "tag": list(stones.values())}, schema=kinds))
    text = identifiers.type + ibis.literal(":") + identifiers.value
    tag = (ibis.literal(key.hex()) + text).hexdigest("md5").substr(0, TAG)
    near = identifiers.mutate(text=text, tag=tag).semi_join(known, "tag")
    found = near.mutate(stone=engine.keyed(near.text, key))
    return found.semi_join(known, "stone").drop("text", "tag")
