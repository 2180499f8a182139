"""The audit log as a file and as a table: data/privacy/audit.jsonl counts, the lake has what it was at the last run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.errors import SpecError
from cdp_core.privacy.audit import PATH, Event, record
from cdp_core.privacy.key import PATH as KEY
from cdp_core.privacy.key import VARIABLE, workspace_key
from cdp_core.privacy.suppression import tombstone
from cdp_core.runs import suppressing

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.engine import Engine
    from cdp_core.privacy.roles import Actor


def known_key(root: Path) -> bytes:
    """The key that the log is written with; made with the first entry. Raises SpecError when it is gone."""
    if workspace_key(root) is None and (root / PATH).exists():
        hint = f"bring the file back, or set {VARIABLE}; nothing that has to be recorded is done until then"
        raise SpecError("the key is gone, and with it the proof of the audit log", where=str(KEY), hint=hint)
    return suppressing.known_key(root)


def hmacs(root: Path, identifiers: Iterable[tuple[str, str]]) -> list[str]:
    """Identifiers as the log has them."""
    named = set(identifiers)
    if not named:
        return []
    key = known_key(root)
    return sorted(tombstone(one, key)[0] for one in named)


def write_down(
    root: Path, actor: Actor, action: str, outcome: str, about: Iterable[str], details: Mapping[str, Any]
) -> None:
    """Add an entry, at this moment."""
    event = Event(
        actor=actor.name, role=actor.role, action=action, outcome=outcome, subject_hmac=tuple(about), details=details
    )
    record(root, known_key(root), event, at=datetime.now(UTC).replace(tzinfo=None))


def read_entries(root: Path) -> pl.DataFrame:
    """Entries in the order of the file; lines that are none are left out."""
    import polars as pl

    texts = dict.fromkeys(
        ("at", "actor", "role", "action", "outcome", "details", "previous_hash", "hash", "mac"), pl.String
    )
    schema: dict[str, Any] = {"seq": pl.Int64, "at": pl.String, **texts, "subject_hmac": pl.List(pl.String)}
    order = list(tables.AUDIT_LOG.columns)
    path = root / PATH
    if not path.is_file() or not path.stat().st_size:
        rows = pl.DataFrame(schema=schema)
    else:
        rows = pl.read_ndjson(path, schema=schema, ignore_errors=True).filter(pl.col("seq").is_not_null())
    at = pl.col("at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    return rows.with_columns(at).select(order)


def publish(engine: Engine, root: Path) -> None:
    """Add to the lake's table what has been written since, in a transaction of its own or in the one that is open."""
    import polars as pl

    known = published(engine)
    new = read_entries(root).filter(pl.col("seq") > (known[0] if known else 0))
    if new.is_empty():
        return
    engine.append("audit_log", engine.frame(new.with_columns(_json(new["subject_hmac"]).alias("subject_hmac"))))


def _json(lists: pl.Series) -> pl.Series:
    """Lists of hex digits as JSON text."""
    import polars as pl

    inner = lists.list.eval(pl.format('"{}"', pl.element())).list.join(", ")
    return pl.select(pl.format("[{}]", inner.fill_null(""))).to_series()


def published(engine: Engine) -> tuple[int, str] | None:
    """Number and hash of the newest entry that the lake has."""
    log = engine.table("audit_log")
    found = engine.polars(log.order_by(log.seq.desc()).limit(1).select("seq", "hash"))
    return (int(found["seq"][0]), str(found["hash"][0])) if found.height else None
