"""Full-history deduplication of a staged batch on (source, message_id)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine, Staging

KEY = ["source", "message_id"]


def drop_known(
    engine: Engine, staging: Staging, sources: Sequence[str], *, held: bool = True, known: bool = True
) -> pl.DataFrame:
    """Leave only rows in staged `events`, `rejects` and `rows_<source>` that the lake has never seen; with `held` off,
    that are no events yet; with `known` off, that are there once, whatever the lake has.

    Of several rows with one id in the batch the first received stays. Gives the duplicates per source, with the columns
    source and duplicates. The rule is the Segment spec's (by message id alone), over the whole history.
    """
    import polars as pl

    before = _counts(staging, sources)
    _copy_known(engine, staging, sources if known else [], held=held)
    if staging.has("events"):
        _first_of_each(staging)
    if staging.has("rejects"):
        _settle_rejects(staging)
    after = _counts(staging, sources)
    gone = before.join(after, on="source", suffix="_after")
    gone = gone.select("source", duplicates=pl.col("rows") - pl.col("rows_after"))
    for source in gone.filter(pl.col("duplicates") > 0)["source"]:
        name = f"rows_{source}"
        if staging.has(name):
            _keep_fresh_rows(staging, name, source)
    return gone


def _copy_known(engine: Engine, staging: Staging, sources: Sequence[str], *, held: bool) -> None:
    events = engine.table("events")
    known = events.filter(events.source.isin(sources)).select(KEY)
    if held:
        kept = engine.table("quarantine")
        known = known.union(kept.filter(kept.source.isin(sources)).select(KEY))
    engine.copy_into(staging, {"known": known})


def _first_of_each(staging: Staging) -> None:
    """Two steps, since a window over the few repeated ids is far cheaper than one over the batch."""
    known = staging.table("known")
    if known.count().execute():
        staging.replace("events", staging.table("events").anti_join(known, KEY))
    events = staging.table("events")
    repeated = events.group_by(KEY).agg(copies=lambda t: t.count()).filter(lambda t: t.copies > 1)
    repeated = staging.replace("repeated_ids", repeated.select(KEY))
    if repeated.count().execute():
        staging.exchange("events", "repeated_ids", KEY, _first(events.semi_join(repeated, KEY), KEY))


def _first(rows: ir.Table, key: list[str]) -> ir.Table:
    """The row first received of each key; equal times are told apart by content, so that order never matters."""
    import ibis

    leading = [c for c in ("received_at", "timestamp") if c in rows.columns]
    order = [rows[c] for c in (*leading, *(c for c in rows.columns if c not in (*leading, *key)))]
    place = ibis.row_number().over(ibis.window(group_by=[rows[k] for k in key], order_by=order))
    return rows.mutate(place=place).filter(lambda t: t.place == 0).drop("place")


def _settle_rejects(staging: Staging) -> None:
    """A rejected row may carry the id of a good one: it then gets an id of its own, so that it is not lost.

    Only rows that something is the matter with are sorted and joined: what is rejected may be very long.
    """
    import ibis

    if staging.has("events"):
        taken = staging.table("rejects").select(KEY).semi_join(staging.table("events"), KEY).distinct()
        if staging.replace("taken_ids", taken).count().execute():
            clash = staging.table("rejects").semi_join(staging.table("taken_ids"), KEY)
            own = clash.message_id + "-" + clash.payload.fill_null("").hexdigest("md5").substr(0, 8)
            staging.exchange("rejects", "taken_ids", KEY, clash.mutate(message_id=own))
    if staging.table("known").count().execute():
        staging.replace("rejects", staging.table("rejects").anti_join(staging.table("known"), KEY))
    rejects = staging.table("rejects")
    repeated = rejects.group_by(KEY).agg(copies=lambda t: t.count()).filter(lambda t: t.copies > 1)
    if staging.replace("repeated_rejects", repeated.select(KEY)).count().execute():
        twins = rejects.semi_join(staging.table("repeated_rejects"), KEY)
        window = ibis.window(group_by=KEY, order_by=[ibis._.payload, ibis._.rule])
        first = twins.mutate(place=ibis.row_number().over(window)).filter(lambda t: t.place == 0).drop("place")
        staging.exchange("rejects", "repeated_rejects", KEY, first)


def _keep_fresh_rows(staging: Staging, name: str, source: str) -> None:
    events = staging.table("events")
    fresh = events.filter(events.source == source).select("message_id")
    rows = staging.table(name)
    if staging.table("known").count().execute():
        rows = staging.replace(name, rows.semi_join(fresh, "message_id"))
    repeated = staging.table("repeated_ids")
    repeated = staging.replace("repeated_rows", repeated.filter(repeated.source == source).select("message_id"))
    twins = rows.semi_join(repeated, "message_id")
    staging.exchange(name, "repeated_rows", ["message_id"], _first(twins, ["message_id"]))


def _counts(staging: Staging, sources: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    total = pl.DataFrame({"source": list(sources)}, schema={"source": pl.String}).with_columns(rows=pl.lit(0))
    for name in ("events", "rejects"):
        if staging.has(name):
            found = staging.polars(staging.table(name).group_by("source").agg(found=lambda t: t.count()))
            total = total.join(found, on="source", how="left")
            total = total.with_columns(rows=pl.col("rows") + pl.col("found").fill_null(0)).drop("found")
    return total
