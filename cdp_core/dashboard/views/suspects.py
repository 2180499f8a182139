"""Profiles that may be several people, with the link to cut; masked unless revealed."""

from __future__ import annotations

import polars as pl

import cdp_core as cdp
from cdp_core.dashboard.views import evidence
from cdp_core.dashboard.views.decisions import shown


def rows(ws: cdp.Workspace, reveal: bool) -> pl.DataFrame:
    """Columns: profile_id, between and and (the ends of the link to cut, as shown), cut_events, smaller_part,
    identifiers, density, bridges; and cut_left and cut_right, the ends as they are.
    """
    frame = ws.identity.suspects()
    ends = {
        name: pl.Series(name, [shown(text, reveal) for text in frame[column]], dtype=pl.String)
        for name, column in (("between", "cut_left"), ("and", "cut_right"))
    }
    return frame.with_columns(pl.col("density").round(2), **ends)


def graph(ws: cdp.Workspace, profile_id: str, left: str, right: str, reveal: bool) -> evidence.Graph:
    """What ties the profile together; the link to cut alone where there is too much of it to draw."""
    drawn = evidence.graph(ws, profile_id, reveal)
    if place(drawn, left, right) is not None:
        return drawn
    return evidence.path(ws.identity.explain(left, right).to_dict(), reveal)


def place(drawn: evidence.Graph, left: str, right: str) -> int | None:
    """Where the link between two identifiers is among the edges, if it is."""
    wanted = {left, right}
    return next((n for n in range(len(drawn.edges)) if set(drawn.ends(n)) == wanted), None)
