"""Quality: suites and their results, the rows behind a failing rule, quarantine."""

from __future__ import annotations

import json

import altair as alt
import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import parts, session
from cdp_core.dashboard.pages import anomalies, held, plans, stored, suite_form
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import quality as view

PAGE = 20
_SHOWN_RUNS = 4
VIEWS = ("Suites", "Quarantine", "Tracking plans", "Anomalies", "Stored events")
_WHY = (
    "source", "event", "description", "rows", "field", "severity", "first_seen", "last_seen", "sample", "rule",
)  # fmt: skip
_SEVERITIES = ("stop", "quarantine", "warn")
_OUTCOMES = ("passed", "failed", "not checked")


def page(ws: cdp.Workspace) -> None:
    try:
        found = cached(view.summary, ws)
    except cdp.CDPError as error:
        # A suite that cannot be read stops the runs: here is where it is corrected.
        st.error(f.escape(str(error)), icon=":material/error:")
        suite_form.draw(ws)
        return
    with st.grid(4, min_column_width=160, gap="small"):
        st.metric("Passed", f.number(found.passed), help="Expectations, when they were last checked", border=True)
        st.metric("Failed", f.number(found.failed), help="Expectations, when they were last checked", border=True)
        st.metric("Held rows", f.number(found.held), help="In quarantine, with their original content", border=True)
        st.metric("Last checked", f.ago(found.checked_at, ws.now), help=f.exact(found.checked_at), border=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.segmented_control(
            "View",
            VIEWS,
            default=VIEWS[0],
            required=True,
            key="view",
            bind="query-params",
            label_visibility="collapsed",
        )
        st.space("stretch")
        if found.checked_at is not None:
            st.download_button(
                "Report",
                data=lambda: view.report(session.workspace()),
                file_name="quality.html",
                mime="text/html",
                key="quality_report",
                icon=":material/download:",
                on_click="ignore",
                help="One HTML page that needs no network",
            )
    if chosen == "Quarantine":
        _quarantine(ws)
    elif chosen == VIEWS[2]:
        plans.draw(ws)
    elif chosen == VIEWS[3]:
        anomalies.draw(ws)
    elif chosen == VIEWS[4]:
        stored.draw(ws)
    else:
        _suites(ws)


def _suites(ws: cdp.Workspace) -> None:
    rules = cached(view.rules, ws)
    if rules.is_empty():
        parts.empty(
            "No suite is defined yet", "Suites are JSON files of Great Expectations in the folder expectations."
        )
        suite_form.draw(ws)
        return
    names = rules["suite"].unique(maintain_order=True).to_list()
    left, right = parts.main_and_aside()
    with left.container(border=True, height="stretch"):
        st.subheader("Suites", anchor=False)
        _suite_table(rules)
    with right.container(border=True, height="stretch"):
        st.subheader("Passed over time", anchor=False, help="Share of expectations that passed, per run")
        _over_time(ws)
    with st.container(border=True):
        st.subheader("Expectations", anchor=False)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            suite = st.selectbox(
                "Suite",
                names,
                index=None,
                key="suite",
                bind="query-params",
                format_func=f.label,
                placeholder="All suites",
                width=280,
            )
            only = st.segmented_control("Outcome", _OUTCOMES, key="outcome", format_func=str.capitalize)
        shown = rules.filter(pl.col("suite") == suite) if suite else rules
        shown = shown.filter(pl.col("outcome") == only) if only else shown
        _rules(ws, shown)
    suite_form.draw(ws)


def _suite_table(rules: pl.DataFrame) -> None:
    frame = rules.group_by("suite", maintain_order=True).agg(
        passed=(pl.col("outcome") == "passed").sum(),
        expectations=pl.len(),
        failed=pl.col("failed").fill_null(0).sum(),
        checked=pl.col("checked").max(),
    )
    frame = frame.with_columns(
        pl.col("suite").map_elements(f.label, return_dtype=pl.String),
        share=pl.col("passed") / pl.col("expectations"),
        of=pl.format("{} of {}", "passed", "expectations"),
    )
    column = st.column_config
    st.dataframe(
        frame.select("suite", "share", "of", "checked", "failed"),
        hide_index=True,
        placeholder="–",
        key="suites",
        height="content" if frame.height <= 13 else 480,
        alt="Suites with the share of expectations that passed",
        column_config={
            "suite": column.TextColumn("Suite"),
            "share": column.ProgressColumn("Passed", format="percent", min_value=0, max_value=1),
            "of": column.TextColumn("Expectations"),
            "checked": column.NumberColumn("Rows checked", format="localized"),
            "failed": column.NumberColumn("Rows failing", format="localized", help="Added up over the expectations"),
        },
    )


def _over_time(ws: cdp.Workspace) -> None:
    frame = cached(view.over_time, ws)
    if frame.is_empty():
        st.caption("No run has checked anything yet.")
        return
    frame = frame.with_columns(
        pl.col("suite").map_elements(f.label, return_dtype=pl.String),
        run=pl.col("started_at").dt.strftime("%d %b %H:%M"),
    )
    runs = frame["run"].unique(maintain_order=True).tail(_SHOWN_RUNS).to_list()
    frame = frame.filter(pl.col("run").is_in(runs))
    base = alt.Chart(frame).encode(
        x=alt.X("run:O", title=None, sort=runs, axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("suite:N", title=None, axis=alt.Axis(labelLimit=150)),
        tooltip=[
            alt.Tooltip("suite:N", title="Suite"),
            alt.Tooltip("run:O", title="Run (UTC)"),
            alt.Tooltip("passed:Q", title="Passed"),
            alt.Tooltip("expectations:Q", title="Expectations"),
        ],
    )
    scale = alt.Scale(domain=[0.5, 0.99, 1], range=["#C2417C", "#E2A35C", "#3FA796"])
    cells = base.mark_rect(cornerRadius=3, stroke="white", strokeOpacity=0.25).encode(
        color=alt.Color("share:Q", scale=scale, legend=None)
    )
    text = base.mark_text(color="white", fontSize=11).encode(text=alt.Text("share:Q", format=".0%"))
    chart = (cells + text).properties(width=alt.Step(76), height=alt.Step(24))
    st.altair_chart(
        chart, width="content", key="passed_over_time", alt="Share of expectations that passed, per suite and run"
    )


def _rules(ws: cdp.Workspace, rules: pl.DataFrame) -> None:
    if rules.is_empty():
        st.caption("No expectation is like that.")
        return
    order = pl.col("outcome").replace_strict({"failed": 0, "not checked": 1, "passed": 2}, default=3)
    rules = rules.sort(order, "suite", maintain_order=True)
    shown = rules.select(
        outcome=pl.concat_list("outcome"),
        severity=pl.concat_list("severity"),
        description=pl.coalesce("description", "expectation"),
        field="field",
        suite=pl.col("suite").map_elements(f.label, return_dtype=pl.String),
        share="share",
        failed="failed",
        checked="checked",
    )
    column = st.column_config
    picked = st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        key="expectations",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Expectations with their last result, failing ones first",
        column_config={
            "outcome": column.MultiselectColumn(
                "Outcome", options=list(_OUTCOMES), color=["green", "red", "gray"], format_func=str.capitalize
            ),
            "severity": column.MultiselectColumn(
                "Severity",
                options=list(_SEVERITIES),
                color=["red", "orange", "gray"],
                help="stop ends the run, quarantine holds the rows, warn counts",
            ),
            "description": column.TextColumn("Expectation", width=330),
            "field": column.TextColumn("Column", width=90),
            "suite": column.TextColumn("Suite", width=105),
            "share": column.ProgressColumn("Rows passed", format="percent", min_value=0, max_value=1),
            "failed": column.NumberColumn("Failing", format="localized", width=70),
            "checked": column.NumberColumn("Checked", format="localized", width=75),
        },
    )
    row = parts.clicked(picked)
    if row is None:
        st.caption("Click an expectation to see the rows it holds.")
        return
    _behind(ws, rules.row(row, named=True))


def _behind(ws: cdp.Workspace, rule: dict[str, object]) -> None:
    st.markdown(f"**Rows behind** {f.escape(str(rule['description'] or rule['rule']))}")
    if not rule["failed"]:
        st.caption("None: every row passed when it was last checked.")
        return
    total, rows = cached(view.quarantine, ws, None, str(rule["rule"]), 1, 10, session.revealed())
    if not total:
        rows_failed = f.plural(int(str(rule["failed"])), "row")
        st.caption(f"{rows_failed} failed. Rows of severity {rule['severity']} are counted, not held.")
        return
    _held(rows, total)


def _quarantine(ws: cdp.Workspace) -> None:
    by_source = cached(view.sources, ws)
    if not by_source:
        parts.empty(
            "Nothing is held", "Rows that fail an expectation of severity quarantine wait here with their content."
        )
        return
    with st.container(border=True):
        st.subheader("Why", anchor=False)
        column = st.column_config
        st.dataframe(
            cached(view.held_by, ws),
            hide_index=True,
            placeholder="–",
            key="held_by",
            alt="Rules with the rows that broke them, by source",
            column_order=_WHY,
            column_config={
                "source": column.TextColumn("Source", width=110),
                "event": column.TextColumn("Event", width=110),
                "description": column.TextColumn("What is wrong", width=300),
                "rows": column.NumberColumn("Rows", format="localized", help="In all runs", width=70),
                "field": column.TextColumn("Column", width=90),
                "severity": column.TextColumn("Severity", width=90),
                "first_seen": column.DatetimeColumn("First seen", format="D MMM YYYY", help="UTC", width=95),
                "last_seen": column.DatetimeColumn("Last seen", format="D MMM YYYY", help="UTC", width=95),
                "sample": column.TextColumn("Message IDs", width=180),
                "rule": column.TextColumn("Rule", width=150),
            },
        )
    with st.container(border=True):
        st.subheader("Held rows", anchor=False)
        source = st.pills(
            "Source",
            list(by_source),
            key="held_source",
            label_visibility="collapsed",
            format_func=lambda name: f"{f.label(name)} · {by_source[name]:,}",
        )
        count = by_source[source] if source else sum(by_source.values())
        slot = st.container()
        pages = -(-count // PAGE)
        number = st.pagination(min(pages, 10_000), key=f"held_page_{source}") if pages > 1 else 1
        total, rows = cached(view.quarantine, ws, source, None, number, PAGE, session.revealed())
        with slot:
            held.again(source, total)
            _held(rows, total)


def _held(rows: list[view.Held], total: int) -> None:
    frame = pl.DataFrame(
        {
            "received": [row.received_at for row in rows],
            "source": [row.source for row in rows],
            "reasons": ["; ".join(row.reasons) for row in rows],
            "content": [row.payload for row in rows],
        },
        schema={"received": pl.Datetime("us"), "source": pl.String, "reasons": pl.String, "content": pl.String},
    )
    column = st.column_config
    picked = st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key="held_rows",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Rows held in quarantine with their reasons and original content",
        column_config={
            "received": column.DatetimeColumn("Received (UTC)", format="D MMM YYYY, HH:mm"),
            "source": column.TextColumn("Source"),
            "reasons": column.TextColumn("Why it is held", width="large"),
            "content": column.TextColumn("Original content", width="large"),
        },
    )
    st.caption(f"{f.plural(total, 'row')} held. Click one to see its content in full.")
    row = parts.clicked(picked)
    if row is not None and row < len(rows):
        _content(rows[row])


def _content(row: view.Held) -> None:
    with st.container(border=True):
        st.markdown(f"**{f.escape(f.label(row.source))}** · `{row.message_id}` · received {f.exact(row.received_at)}")
        for reason in row.reasons:
            st.markdown(f":orange[:material/warning:] {f.escape(reason)}")
        try:
            st.code(json.dumps(json.loads(row.payload), indent=2, ensure_ascii=False), language="json")
        except (ValueError, RecursionError):
            st.code(row.payload, language=None)
        held.correct(row)
