"""Which profiles new events can change: those that they connect, and all that hangs together with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from cdp_core.identity.batch import ID, Batch
from cdp_core.identity.components import components_in_memory
from cdp_core.identity.links import PAIR
from cdp_core.identity.overrides import ALWAYS, Override
from cdp_core.identity.spec import IdentitySpec

_PROFILE = "\x1e"
"""Stands before a profile's id where it is a node beside identifiers."""


@dataclass(frozen=True)
class Affected:
    """`profiles`: ids whose events have to be looked at again. `settled`: tuple, profile_id of the new events that
    belong to another profile and change nothing about it but counts and times.
    """

    profiles: pl.Series
    settled: pl.DataFrame


def affected(batch: Batch, first: pl.DataFrame, spec: IdentitySpec, overrides: Iterable[Override]) -> Affected:
    """`first`: tuple, at (when new events say it first).

    A profile in which no rule can be broken is one component, so that events whose identifiers it has all, in pairs
    that were seen before, do not change it. Profiles that rules keep apart hang together by what was held back.
    """
    told = _told(batch)
    held_back, decided = _held_back(batch), _decided(overrides)
    holders = batch.held.select(left=_name(), right=_PROFILE + pl.col("profile_id"))
    edges = pl.concat([held_back, decided, holders])
    by_people = holders.filter(pl.col("left").is_in(pl.concat([decided["left"], decided["right"]]).implode()))
    cut = pl.concat([held_back["left"], held_back["right"], by_people["right"], _PROFILE + batch.large])
    flagged = _flagged(told, first, cut.str.strip_prefix(_PROFILE), spec)
    moving = told.join(flagged, on="tuple", how="semi")
    star = moving.select("tuple", left="name").join(
        moving.group_by("tuple").agg(right=pl.col("name").first()), on="tuple"
    )
    seeds = pl.concat([moving["name"], _new_pairs(batch), _PROFILE + batch.losing])
    profiles = _reached(pl.concat([edges, star.select("left", "right")]), seeds)
    settled = told.join(flagged, on="tuple", how="anti").group_by("tuple").agg(pl.col("profile_id").first())
    return Affected(profiles, settled.filter(~pl.col("profile_id").is_in(profiles.implode())))


def _name(type_: str = "type", value: str = "value") -> pl.Expr:
    return pl.concat_str(type_, value, separator="\x1f")


def _told(batch: Batch) -> pl.DataFrame:
    """tuple, node, name, type, profile_id (null: held by nobody), first_seen (as published)."""
    frame = batch.joining.frame.select("node", *ID, name=_name())
    held = batch.held.select(*ID, "profile_id", "first_seen")
    return batch.members.join(frame, on="node").join(held, on=ID, how="left")


def _flagged(told: pl.DataFrame, first: pl.DataFrame, unsettled: pl.Series, spec: IdentitySpec) -> pl.DataFrame:
    """Tuples that are not simply one profile's: new identifiers, several profiles, or one where order matters."""
    profile = pl.col("profile_id")
    told = told.with_columns(
        cut=profile.is_in(unsettled.implode()), user=pl.col("type") == "user_id", early=pl.lit(False)
    )
    windows = [t for t in told["type"].unique() if spec.window(t) != "ever"]
    if windows:
        # An event without a time counts as the first of all.
        before = pl.col("at").is_null() | (pl.col("at") < pl.col("first_seen"))
        told = told.join(first, on="tuple", how="left").with_columns(early=before & pl.col("type").is_in(windows))
    several = profile.null_count() > 0, profile.min() != profile.max(), pl.col("user").sum() > 1
    flag = pl.any_horizontal(*several, pl.col("cut").any(), pl.col("early").any())
    return told.group_by("tuple").agg(flag=flag).filter("flag").select("tuple")


def _new_pairs(batch: Batch) -> pl.Series:
    """Ends of pairs with a user_id that were never seen together: they may make an identifier one that too many use."""
    pairs = batch.links.filter(pl.col("left_type") == "user_id").select(PAIR).unique()
    aside = batch.aside.rename({"type": "right_type", "value": "right_value"})
    pairs = pairs.join(batch.known_links, on=PAIR, how="anti").join(aside, on=aside.columns, how="anti")
    return pl.concat([pairs.select(_name(f"{side}_type", f"{side}_value")).to_series() for side in ("left", "right")])


def _held_back(batch: Batch) -> pl.DataFrame:
    """Edges between an identifier that did not join, the profile it missed, and those that would have become one."""
    rows = batch.conflicts.filter(pl.col("profile_id").is_not_null())
    profile = _PROFILE + pl.col("profile_id")
    missed = rows.select(left=_name(), right=profile)
    listed = rows.select(left=profile, right=pl.col("candidates").str.json_decode(pl.List(pl.String))).explode("right")
    holders = batch.held.join(rows, on=ID, how="semi").select(left=_name(), right=profile)
    return pl.concat([missed, listed.drop_nulls("right").with_columns(right=_PROFILE + pl.col("right")), holders])


def _decided(overrides: Iterable[Override]) -> pl.DataFrame:
    rows = [(*o.left, *o.right) for o in overrides if o.action == ALWAYS]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(PAIR, pl.String), orient="row")
    return frame.select(left=_name("left_type", "left_value"), right=_name("right_type", "right_value"))


def _reached(edges: pl.DataFrame, seeds: pl.Series) -> pl.Series:
    """Profiles that hang together with `seeds`."""
    names = pl.concat([edges["left"], edges["right"], seeds]).unique().to_frame("name").with_row_index("node")
    names = names.with_columns(pl.col("node").cast(pl.Int64))
    ends = [
        edges.select(name=side).join(names, on="name", how="left", maintain_order="left")["node"].alias(side)
        for side in ("left", "right")
    ]
    found = components_in_memory(names["node"], pl.DataFrame(ends)).join(names, on="node")
    hit = found.filter(pl.col("name").is_in(seeds.implode())).select("component").unique()
    profiles = found.join(hit, on="component", how="semi")["name"]
    return profiles.filter(profiles.str.starts_with(_PROFILE)).str.strip_prefix(_PROFILE).unique().alias("profile_id")
