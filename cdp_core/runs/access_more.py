"""What is held about a person beside the tables that name their profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.runs.naming import naming

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.privacy.tombstones import Identifier

SOMEBODY_ELSE = "(another person)"


def waiting(engine: Engine, config: Config, root: Path, identifiers: Sequence[Identifier]) -> pl.DataFrame:
    """Received events that are not in the lake yet and name them: source, received_at (UTC), payload."""
    import polars as pl

    from cdp_core.inbox import files, reader
    from cdp_core.inbox.packed import unpack
    from cdp_core.runs.load import loaded_requests

    kinds: dict[str, Any] = {"source": pl.String, "received_at": pl.Datetime("us"), "payload": pl.String}
    done, found = loaded_requests(engine), []
    for path in files.inbox_files(root):
        for source in reader.waiting(root, done):
            for rows in reader.read(path, source, done.get((source, path.name), 0)):
                texts = [[event.decode(errors="replace") for event in unpack(row.body)] for row in rows]
                envelopes = pl.DataFrame({"at": [row.received_at for row in rows], "payload": texts})
                frame = envelopes.explode("payload").select(
                    source=pl.lit(source), received_at=pl.from_epoch("at", time_unit="us"), payload="payload"
                )
                found.append(engine.polars(naming(engine, config, engine.frame(frame), "payload", identifiers)))
    return pl.concat([pl.DataFrame(schema=kinds), *found]).sort("received_at")


def corrected(engine: Engine, profile_id: str | None) -> ir.Table:
    from cdp_core.runs.rectify import corrections

    return corrections(engine, profile_id or "").select("key", "value", "at", "reason", "actor").order_by("at", "key")


def consent_history(
    engine: Engine, config: Config, root: Path, profile_id: str | None, identifiers: Sequence[Identifier]
) -> pl.DataFrame:
    """As `ws.consent.history` gives it."""
    from cdp_core.runs.consenting import history

    return history(engine, root, list(config.sources), profile_id, identifiers)


def suppressions(root: Path, identifiers: Sequence[Identifier]) -> pl.DataFrame:
    """Every decision about them: suppression_id, action, reason, at (UTC)."""
    import polars as pl

    from cdp_core.privacy.store import known_key, read_suppressions
    from cdp_core.privacy.suppression import of_person

    made = read_suppressions(root)
    theirs = of_person(made, identifiers, known_key(root)) if made else []
    rows = [(each.suppression_id, each.action, each.reason, each.at) for each in theirs]
    texts = dict.fromkeys(("suppression_id", "action", "reason"), pl.String)
    return pl.DataFrame(rows, schema={**texts, "at": pl.Datetime("us")}, orient="row")


def decisions(root: Path, identifiers: Sequence[Identifier]) -> pl.DataFrame:
    """Decisions about identity that name one of their identifiers: action, left, right, reason, at (UTC)."""
    import polars as pl

    from cdp_core.runs.decisions import read_decisions

    own = set(identifiers)
    rows = [
        (each.action, *(":".join(side) if side in own else SOMEBODY_ELSE for side in (each.left, each.right)),
         each.reason, each.at)
        for each in read_decisions(root)
        if each.left in own or each.right in own
    ]  # fmt: skip
    texts = dict.fromkeys(("action", "left", "right", "reason"), pl.String)
    return pl.DataFrame(rows, schema={**texts, "at": pl.Datetime("us")}, orient="row")


def conflicts(engine: Engine, profile_id: str | None, known: ir.Table) -> ir.Table:
    """Theirs alone: a value that turned out not to be theirs, and other candidates, are left out."""
    rows = engine.table("identity_conflicts")
    own = rows.semi_join(known, ["type", "value"]).select("type", "value", "rule", "action", "source", "at", "events")
    rest = rows.filter(rows.profile_id == (profile_id or "")).anti_join(known, ["type", "value"])
    rest = rest.select("type", "rule", "action", "source", "at", "events", value=_nothing())
    return own.union(rest.select(*own.columns)).order_by("at", "type")


def alike(engine: Engine, known: ir.Table) -> ir.Table:
    """Pairs of which one side is theirs: probability, evidence, at. Whose the other is, is not said."""
    rows = engine.table("identity_matches")
    sides = [
        rows.semi_join(
            known.rename({f"{side}_type": "type", f"{side}_value": "value"}), [f"{side}_type", f"{side}_value"]
        )
        for side in ("left", "right")
    ]
    told = [side.select("probability", "match_weight", "evidence", "at") for side in sides]
    return told[0].union(told[1]).order_by("at")


def _nothing() -> Any:
    import ibis

    return ibis.null("string")
