"""Identity: the shape of the graph, what the rules held back, and the rules."""

from __future__ import annotations

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import charts, links, parts, session
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.pages import changes, decisions, rules, suspects
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import identity as view

PAGE = 25
_PARTS = ("Overview", "Why", "Review", "Suspects", "Decisions", "Try rules", "Changes")


def page(ws: cdp.Workspace) -> None:
    ws = session.by_identifier(ws)
    found = cached(view.summary, ws)
    with st.grid(5, min_column_width=150, gap="small"):
        st.metric("Profiles", f.number(found.profiles), border=True)
        st.metric(
            "Identifiers", f.number(found.identifiers), help="Normalised, each belongs to one profile", border=True
        )
        st.metric(
            "Links",
            f.number(found.links),
            help="Two identifiers seen together: the evidence for a profile",
            border=True,
        )
        share = found.joined / found.profiles if found.profiles else None
        st.metric(
            "Joined", f.percent(share), help=f"{f.number(found.joined)} profiles have several identifiers", border=True
        )
        st.metric("Conflicts", f.number(found.conflicts), help="What the rules held back or demoted", border=True)
    chosen = st.segmented_control(
        "Part",
        _PARTS,
        key="part",
        default=_PARTS[0],
        required=True,
        label_visibility="collapsed",
        bind="query-params",
    )
    others = (decisions.why, decisions.review, suspects.draw, decisions.decided, rules.draw, changes.between_runs)
    draw = dict(zip(_PARTS[1:], others, strict=True)).get(chosen)
    if draw is None:
        _overview(ws, found.conflicts)
        return
    with st.container(border=True):
        draw(ws)


def _overview(ws: cdp.Workspace, conflicts: int) -> None:
    left, right = parts.halves()
    with left:
        _sizes(ws)
    with right:
        _largest(ws)
    with st.container(border=True):
        _rules(ws)
    with st.container(border=True):
        _conflicts(ws, conflicts)
    with st.container(border=True):
        _evidence(ws)


def _sizes(ws: cdp.Workspace) -> None:
    st.subheader(
        "Identifiers in a profile",
        anchor=False,
        help="How many profiles have how many identifiers; the scale is compressed.",
    )
    frame = cached(view.sizes, ws)
    if frame.is_empty():
        st.caption("No identifiers yet.")
        return
    chart = charts.columns(frame, name="identifiers", value="profiles", unit="Profiles", height=260, log=True)
    st.altair_chart(chart, alt="Profiles by their number of identifiers", key="cluster_sizes")


def _largest(ws: cdp.Workspace) -> None:
    st.subheader("Largest profiles", anchor=False, help="Shared identifiers and robots show here first.")
    frame = cached(view.largest, ws)
    shown = frame.select("profile_id", "identifiers", "events", seen=frame["last_seen"])
    column = st.column_config
    picked = st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        key="largest",
        height=260,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Profiles with the most identifiers",
        column_config={
            "profile_id": column.TextColumn("Profile", width="medium"),
            "identifiers": column.NumberColumn("Identifiers", format="localized"),
            "events": column.NumberColumn("Events", format="localized"),
            "seen": column.DatetimeColumn("Last seen (UTC)", format="D MMM YYYY"),
        },
    )
    row = parts.clicked(picked)
    if row is not None:
        links.go("customers", profile=frame["profile_id"][row])


def _rules(ws: cdp.Workspace) -> None:
    st.subheader("Rules", anchor=False, help="Edited in cdp.yaml, under `identity:`")
    column = st.column_config
    st.dataframe(
        cached(view.kinds, ws).select("priority", "type", "limit", "most", "values", "profiles", "derived"),
        hide_index=True,
        placeholder="–",
        key="identity_rules",
        alt="Identifier types in order of priority, with their limit and how often they occur",
        column_config={
            "priority": column.NumberColumn("Priority", help="The lowest one is given up first"),
            "type": column.TextColumn("Identifier"),
            "limit": column.NumberColumn("Limit", help="How many values one profile may ever have"),
            "most": column.NumberColumn("Most in one profile"),
            "values": column.NumberColumn("Values", format="localized"),
            "profiles": column.NumberColumn("Profiles with one", format="localized"),
            "derived": column.TextColumn("Derived"),
        },
    )
    blocked = ws.config.identity.blocked
    if blocked:
        st.caption("Never used to join, whatever the type: " + ", ".join(f.code(pattern) for pattern in blocked))


def _conflicts(ws: cdp.Workspace, total: int) -> None:
    st.subheader("Conflicts", anchor=False, help="Where following every identifier would have broken a rule")
    if not total:
        st.caption("None: no rule had to hold anything back.")
        return
    counts = cached(view.conflict_counts, ws)
    by_rule = counts.group_by("rule", maintain_order=True).agg(n=pl.col("conflicts").sum())
    totals = dict(zip(by_rule["rule"].to_list(), by_rule["n"].to_list(), strict=True))
    rule = st.pills(
        "Rule",
        list(totals),
        key="conflict_rule",
        label_visibility="collapsed",
        format_func=lambda name: f"{_rule(name)} · {totals[name]:,}",
    )
    count = totals[rule] if rule else total
    slot = st.container()
    pages = -(-count // PAGE)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{f.plural(count, 'conflict')}, the latest first", width="content")
        number = st.pagination(min(pages, 10_000), key=f"conflict_page_{rule}") if pages > 1 else 1
    frame = cached(view.conflicts, ws, rule, number, PAGE, session.revealed())
    column = st.column_config
    with slot:
        picked = st.dataframe(
            frame,
            hide_index=True,
            placeholder="–",
            key="conflicts",
            on_select="rerun",
            selection_mode="single-cell",
            alt="Identity conflicts with the rule that settled them",
            column_config={
                "at": column.DatetimeColumn("At (UTC)", format="D MMM YYYY"),
                "type": column.TextColumn("Identifier"),
                "value": column.TextColumn("Value"),
                "rule": column.TextColumn("Rule"),
                "action": column.TextColumn("What was done"),
                "source": column.TextColumn("Source"),
                "profile_id": column.TextColumn("Profile"),
                "detail": column.TextColumn("Detail", width="large"),
            },
        )
    row = parts.clicked(picked)
    if row is not None and frame["profile_id"][row]:
        links.go("customers", profile=frame["profile_id"][row])


def _rule(name: str) -> str:
    kind, colon, limited = name.partition(":")
    return f"{f.label(limited)} {kind}" if colon else f.label(name)


def _evidence(ws: cdp.Workspace) -> None:
    st.subheader("Evidence", anchor=False, help="Which source saw which identifiers together")
    column = st.column_config
    st.dataframe(
        cached(view.evidence, ws),
        hide_index=True,
        placeholder="–",
        key="evidence",
        alt="Links between identifier types by source",
        column_config={
            "source": column.TextColumn("Source"),
            "pair": column.TextColumn("Identifiers"),
            "links": column.NumberColumn("Links", format="localized"),
            "events": column.NumberColumn("Events that say so", format="localized"),
        },
    )
