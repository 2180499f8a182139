"""People of whom nothing is taken in: their rows leave a staged batch before anything is made of them or kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.privacy.store import barred, known_key
from cdp_core.runs.dedupe import KEY
from cdp_core.runs.erasure.find import TELLING
from cdp_core.sources.spec import EVENT_IDENTIFIERS

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine, Staging
    from cdp_core.privacy.suppression import Suppression
    from cdp_core.sources.spec import MapSpec

_WORD = r"[^\s\"'<>,;|{}\[\]()=\\]+"
_WIRE = {"user_id": "userId", "anonymous_id": "anonymousId", "group_id": "groupId", "previous_id": "previousId"}
_OBJECTS = ("traits", "properties", "context")


def drop_barred(
    engine: Engine, staging: Staging, config: Config, sources: Sequence[str], *, root: Path
) -> pl.DataFrame:
    """Take rows of barred people out of staged `events`, `rejects` and `rows_<source>`; gives their source and
    message_id.

    Whose a row is, is read as identity reads it. Of rows that could not be read as events, it is read as far as their
    content is JSON; in other text, words that name somebody wherever they stand are looked at.
    """
    import polars as pl

    active = barred(root)
    found = pl.DataFrame(schema=dict.fromkeys(KEY, pl.String))
    if not active:
        return found
    rejects = staging.has("rejects")
    key = known_key(root)
    with engine.attach(staging) as staged:
        looked = [staged("events")]
        if rejects:
            looked += [_read(engine, staged("rejects"), config, name) for name in sources]
        parts = [found, *(_theirs(engine, rows, config, active, key) for rows in looked)]
        if rejects:
            parts.append(_named(engine, staged("rejects"), config, active, key))
        found = pl.concat(parts).unique()
    if found.height:
        _take_out(staging, found, sources)
    return found


def counted(found: pl.DataFrame) -> pl.DataFrame:
    """source and suppressed: rows per source."""
    import polars as pl

    return found.group_by("source").agg(suppressed=pl.len().cast(pl.Int64))


def _theirs(
    engine: Engine, events: ir.Table, config: Config, active: Sequence[Suppression], key: bytes
) -> pl.DataFrame:
    from cdp_core.identity.identifiers import know, see
    from cdp_core.privacy.suppression import matching

    seen = see(engine, events, config.identity, all_count=True)
    known = know(engine, seen, config.identity)
    named = known.members.select("tuple", "node").join(known.nodes.select("node", "type", "value"), "node")
    marked = matching(engine, active, key, engine.keep(named.select("tuple", "type", "value")))
    return engine.polars(seen.events.semi_join(marked, "tuple").select(*KEY).distinct())


def _named(
    engine: Engine, rejects: ir.Table, config: Config, active: Sequence[Suppression], key: bytes
) -> pl.DataFrame:
    """Rejected rows that are no JSON and have a barred identifier among their words."""
    import polars as pl

    from cdp_core.identity.normalise import kind_of, normalise
    from cdp_core.privacy.suppression import matching

    sound = (engine.json_valid(rejects.payload) & rejects.payload.startswith("{")).fill_null(False)
    rows = engine.polars(rejects.filter(~sound & rejects.payload.notnull()).select(*KEY, "payload"))
    words = rows.select(*KEY, word=pl.col("payload").str.extract_all(_WORD)).explode("word").drop_nulls().unique()
    if words.is_empty():
        return words.select(KEY)
    spec = config.identity
    distinct = words["word"].unique()
    meant = pl.concat(
        pl.DataFrame({"word": distinct, "type": name, "value": normalise(distinct, kind_of(name, spec), spec.region)})
        for name in spec.identifiers
        if name not in spec.derived()
    ).drop_nulls()
    telling = pl.col("type").str.ends_with("email") | (pl.col("value").str.len_chars() >= TELLING)
    meant = meant.filter(telling).with_row_index("tuple")
    marked = matching(engine, active, key, engine.frame(meant.select("tuple", "type", "value")))
    hits = meant.join(engine.polars(marked.select("tuple").distinct()), on="tuple", how="semi")
    return words.join(hits, on="word", how="semi").select(KEY).unique()


def _read(engine: Engine, rejects: ir.Table, config: Config, source: str) -> ir.Table:
    """Rejected rows of a source in the shape of events, with the identifiers that their content names."""
    import ibis

    rows = rejects.filter(rejects.source == source)
    sound = engine.json_valid(rows.payload) & rows.payload.startswith("{")
    rows = rows.mutate(payload=sound.fill_null(False).ifelse(rows.payload, ibis.null("string")))
    columns = dict(_columns(engine, rows.payload, config.sources[source].map))
    return rows.select(*KEY, "received_at", timestamp=rows.received_at.cast("timestamp(6)"), **columns)


def _columns(engine: Engine, payload: Any, mapping: MapSpec | None) -> Iterator[tuple[str, Any]]:
    import ibis

    if mapping is None:
        yield "type", engine.json_text(payload, "type")
        yield from ((name, engine.json_text(payload, key)) for name, key in _WIRE.items())
        yield from ((name, engine.json_text(payload, name)) for name in _OBJECTS)
        return
    yield "type", ibis.literal("identify")
    for name in EVENT_IDENTIFIERS:
        column = mapping.identifiers.get(name)
        yield name, engine.json_text(payload, column) if column else ibis.null("string")
    others = [(name, column) for name, column in mapping.identifiers.items() if name not in EVENT_IDENTIFIERS]
    members = [
        ibis.literal(f'"{name}":') + engine.json_quoted(engine.json_text(payload, column)).cast("string") + ","
        for name, column in others
    ]
    told = ibis.literal("").join([member.fill_null("") for member in members]) if members else ibis.literal("")
    yield "traits", ibis.literal("{") + told + '"_":0}'
    yield from ((name, ibis.null("string")) for name in ("properties", "context"))


def _take_out(staging: Staging, found: pl.DataFrame, sources: Sequence[str]) -> None:
    staging.drop("barred_rows")
    staging.append("barred_rows", found)
    theirs = staging.table("barred_rows")
    for name in ("events", "rejects"):
        if staging.has(name):
            staging.replace(name, staging.table(name).anti_join(theirs, KEY))
    for source in sources:
        if staging.has(f"rows_{source}"):
            ids = theirs.filter(theirs.source == source).select("message_id")
            staging.replace(f"rows_{source}", staging.table(f"rows_{source}").anti_join(ids, "message_id"))
