"""Counting on: what new events add to published links, identifiers and conflicts that stay as they are otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from cdp_core.identity.batch import ID, Batch, Published
from cdp_core.identity.conflicts import IGNORED, SET_ASIDE, ignored, in_events, set_aside_rows, set_aside_words
from cdp_core.identity.links import FACT, LINK, PAIR
from cdp_core.identity.spec import IdentitySpec
from cdp_core.tables import IDENTITY_CONFLICTS, USER_IDENTIFIERS

if TYPE_CHECKING:
    from cdp_core.engine import Engine

_KEY = ["type", "value", "rule", "action"]


def identifiers_onwards(batch: Batch, settled: pl.DataFrame, uses: pl.DataFrame) -> pl.DataFrame:
    """Rows of tables.USER_IDENTIFIERS of identifiers in `settled` (tuple, profile_id), with what `uses` adds."""
    said = batch.members.join(settled, on="tuple").join(uses, on="tuple")
    added = said.group_by("node", "profile_id").agg(
        pl.col("first_seen").min(), pl.col("last_seen").max(), pl.col("events").sum()
    )
    named = added.join(batch.known.frame.select("node", *ID), on="node")
    return _summed(named, batch.held, ID).select(list(USER_IDENTIFIERS.columns))


def links_onwards(new: pl.DataFrame, known: pl.DataFrame, lost: pl.DataFrame, again: pl.DataFrame) -> pl.DataFrame:
    """Rows of tables.IDENTITY_LINKS: `new` added to `known`, but those with a key in `lost` as `again` has them."""
    counted = _summed(new, known, FACT).select(LINK).join(lost, on=FACT, how="anti")
    return pl.concat([counted, again.select(LINK).join(lost, on=FACT, how="semi")])


def _summed(new: pl.DataFrame, old: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    joined = new.join(old, on=key, how="left", suffix="_old")
    return joined.with_columns(
        first_seen=pl.min_horizontal("first_seen", "first_seen_old"),
        last_seen=pl.max_horizontal("last_seen", "last_seen_old"),
        events=pl.col("events").cast(pl.Int64) + pl.col("events_old").fill_null(0),
    )


def conflicts_onwards(
    engine: Engine, batch: Batch, shared: pl.DataFrame, spec: IdentitySpec, profiles: pl.Series, again: pl.DataFrame
) -> pl.DataFrame:
    """tables.IDENTITY_CONFLICTS whole: those of `profiles` as `again` has them, the counts of the others carried on.
    `shared`: what new events say of identifiers that are set aside.
    """
    old = batch.conflicts
    stay = old.filter(pl.col("profile_id").is_not_null(), ~pl.col("profile_id").is_in(profiles.implode()))
    fresh = again.filter(pl.col("action") != IGNORED)
    counted = pl.concat([ignored(engine, batch.seen, batch.known), shared])
    lists = old.filter(pl.col("action").is_in([IGNORED, SET_ASIDE]))
    return pl.concat([stay, fresh, _carried(lists, counted, spec)])


def _carried(old: pl.DataFrame, new: pl.DataFrame, spec: IdentitySpec) -> pl.DataFrame:
    """`source` stays where all say the same one; null means several."""
    rows = pl.concat([old, new]).group_by(_KEY, maintain_order=True)
    one = pl.when(pl.col("source").n_unique() == 1).then(pl.col("source").first())
    summed = rows.agg(pl.col("at").min(), pl.col("held").sum(), pl.col("events").sum(), source=one)
    detail = pl.when(pl.col("action") == SET_ASIDE).then(set_aside_words(spec)).otherwise(in_events(pl.col("events")))
    held = pl.when(pl.col("action") == SET_ASIDE).then("held")
    schema = IDENTITY_CONFLICTS.polars_schema()
    named = summed.with_columns(detail=detail, held=held)
    return named.select(
        pl.col(c).cast(k) if c in named.columns else pl.lit(None, k).alias(c) for c, k in schema.items()
    )


def shared_anew(engine: Engine, batch: Batch, published: Published, spec: IdentitySpec) -> pl.DataFrame | None:
    """What new events say of identifiers that are set aside; held: user_ids not seen with them before. None when it is
    not known which these are.
    """
    nodes = batch.known.frame.join(batch.aside, on=ID, how="semi").select("node", *ID)
    if nodes.is_empty():
        return IDENTITY_CONFLICTS.empty()
    members = batch.known.members.filter(~batch.known.members.derived).select("tuple", "node")
    said = engine.polars(members).join(batch.known.frame.select("node", *ID), on="node")
    users = said.filter(pl.col("type") == "user_id").select("tuple", left_type="type", left_value="value")
    others = said.join(nodes, on="node", how="semi").rename({"type": "right_type", "value": "right_value"})
    pairs = others.join(users, on="tuple").select("node", *PAIR).unique().join(batch.known_links, on=PAIR, how="anti")
    if pairs.height and not _told_by_links(engine, published, spec, pairs):
        return None
    met = pairs.group_by("node").agg(user_ids=pl.len().cast(pl.Int64))
    counts = nodes.select("node").join(met, on="node", how="left").with_columns(pl.col("user_ids").fill_null(0))
    return set_aside_rows(engine, batch.seen, batch.known, counts, spec)


def _told_by_links(engine: Engine, published: Published, spec: IdentitySpec, pairs: pl.DataFrame) -> bool:
    """Links tell which user_ids an identifier has met unless events bear several, or it is derived from another one."""
    derived = {*spec.derived(), *(d.from_ for d in spec.derived().values())}
    links = published.identity_links
    several = links.filter(links.left_type == "user_id", links.right_type == "user_id").limit(1)
    return not pairs["right_type"].is_in(list(derived)).any() and engine.polars(several).is_empty()
