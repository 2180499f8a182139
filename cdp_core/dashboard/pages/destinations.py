"""Destinations: what is sent where. A plan before every run, the ledger after it."""

from __future__ import annotations

import polars as pl
import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import jobs, links, parts, session
from cdp_core.dashboard.pages import forms
from cdp_core.dashboard.session import cached
from cdp_core.dashboard.views import destinations as view

PAGE = 25
_PLANS = "sync_plans"
_COLOURS = {"add": "green", "change": "orange", "remove": "red", "invalid": "gray", "withheld": "violet"}
_WORDS = {
    "add": "Add",
    "change": "Change",
    "remove": "Remove",
    "unchanged": "Unchanged",
    "invalid": "Invalid",
    "withheld": "Withheld",
}
_HELP = {
    "add": "New at the destination",
    "change": "There already, with other values",
    "remove": "Not in the model any more",
    "unchanged": "Nothing to send",
    "invalid": "Cannot be sent: no key, or the same key twice",
    "withheld": "Held back by a rule",
}


def page(ws: cdp.Workspace) -> None:
    if forms.drawn(ws):
        return
    name = links.opened("sync")
    if name is None:
        _list(ws)
        return
    parts.back("Destinations", "sync")
    if name in ws.config.syncs:
        _one(ws, name)
    else:
        st.warning(f"There is no sync called {f.escape(name)}.", icon=":material/search_off:")


def _list(ws: cdp.Workspace) -> None:
    forms.ways_in(ws)
    frame = cached(view.listing, ws)
    if frame.is_empty():
        parts.empty("No sync is defined yet", "Add a destination, then a sync that says what goes there.")
        return
    st.selectbox(
        "Go to a sync",
        frame["sync"].to_list(),
        index=None,
        format_func=f.label,
        key="go_sync",
        width=360,
        placeholder="Type a part of its name",
        on_change=_open_picked,
    )
    sent = [f.ago(then, ws.now) for then in frame["last_sent_at"].to_list()]
    shown = frame.with_columns(
        pl.col("sync").map_elements(f.label, return_dtype=pl.String),
        pl.col("model").map_elements(parts.model_in_words, return_dtype=pl.String),
        pl.col("schedule").fill_null("by hand"),
        sent=pl.Series(sent, dtype=pl.String),
    )
    column = st.column_config
    picked = st.dataframe(
        shown.select("sync", "model", "destination", "type", "schedule", "delivered", "failed", "pending", "sent"),
        hide_index=True,
        placeholder="–",
        key="sync_list",
        on_select="rerun",
        selection_mode="single-cell",
        alt="Syncs with their destination and what was delivered",
        column_config={
            "sync": column.TextColumn("Sync", width="medium"),
            "model": column.TextColumn("What", width="medium"),
            "destination": column.TextColumn("Destination"),
            "type": column.TextColumn("Type", width="small"),
            "schedule": column.TextColumn("Schedule", help="Cron fields, UTC"),
            "delivered": column.NumberColumn("Delivered", format="localized", help="Rows the destination holds"),
            "failed": column.NumberColumn("Failed", format="localized"),
            "pending": column.NumberColumn("Pending", format="localized"),
            "sent": column.TextColumn("Last sent", help="Counted from the workspace's clock"),
        },
    )
    row = parts.clicked(picked)
    if row is not None:
        st.query_params["sync"] = frame["sync"][row]
        st.rerun()


def _open_picked() -> None:
    links.open_thing("sync", st.session_state["go_sync"])


def _one(ws: cdp.Workspace, name: str) -> None:
    sync = cached(view.one, ws, name)
    row = st.container(horizontal=True, vertical_alignment="center")
    with row.container():
        st.subheader(f.escape(f.label(name)), anchor=False)
        model, place = f.escape(parts.model_in_words(sync.model)), f.escape(f"{sync.destination} ({sync.type})")
        st.caption(f"{model} :material/arrow_forward: {place}")
    with row:
        forms.edit_button("sync", name)
        _download(sync)
    with st.grid(4, min_column_width=150, gap="small"):
        st.metric("Delivered", f.number(sync.counts["delivered"]), help="Rows the destination holds", border=True)
        st.metric(
            "Failed",
            f.number(sync.counts["failed"] + sync.counts["dead"]),
            help="Tried again by the next run",
            border=True,
        )
        st.metric("Last sent", f.ago(sync.last_sent_at, ws.now), help=f.exact(sync.last_sent_at), border=True)
        st.metric("Schedule", sync.schedule or "By hand", help=f"{sync.mode.capitalize()}; key {sync.key}", border=True)
    planned, ledger, mapping = st.tabs(["Plan and run", "Ledger", "Mapping"], key="sync_tab", on_change="rerun")
    if planned.open:
        with planned:
            _plan_and_run(name)
    if ledger.open:
        with ledger:
            _ledger(ws, sync)
    if mapping.open:
        with mapping:
            _mapping(sync)


def _download(sync: view.Sync) -> None:
    if sync.file is None:
        return
    path = sync.file
    st.download_button(
        "Download",
        data=path.read_bytes,
        file_name=path.name,
        key="download_sync",
        icon=":material/download:",
        on_click="ignore",
        help=f"{path.name}, {path.stat().st_size / 1024:,.0f} kB, as delivered: nothing in it is masked",
    )


@st.fragment
def _plan_and_run(name: str) -> None:
    job = jobs.current(session.root(), f"sync:{name}")
    if job is not None and job.running:
        _watch(name)
        return
    if job is not None:
        _outcome(job)
    plans = st.session_state.setdefault(_PLANS, {})
    plan = plans.get(name)
    if st.button(
        "Show the plan" if plan is None else "Plan again",
        key="plan_sync",
        icon=":material/difference:",
        type="primary" if plan is None else "secondary",
    ):
        ws = session.workspace()
        try:
            with st.spinner("Comparing with what was delivered before…"):
                plan = plans[name] = view.plan(ws, name, session.revealed())
        except cdp.CDPError as error:
            st.error(str(error), icon=":material/error:")
            return
    if plan is None:
        st.caption("A plan says what a run would add, change and remove. Nothing is sent by looking.")
        return
    _show(plan)
    _run(name, plan)


def _show(plan: view.Plan) -> None:
    with st.grid(6, min_column_width=110, gap="small"):
        for what, count in plan.counts.items():
            st.metric(_WORDS[what], f.number(count), help=_HELP[what], border=True)
    if plan.note:
        st.info(f.escape(plan.note), icon=":material/info:")
    if plan.samples.is_empty():
        return
    column = st.column_config
    config = {n: column.TextColumn(f.label(n)) for n in plan.samples.columns if n != "what"}
    config["what"] = column.MultiselectColumn(
        "What", options=list(_COLOURS), color=list(_COLOURS.values()), format_func=_WORDS.__getitem__, width="small"
    )
    st.markdown("**Some of the rows**")
    st.dataframe(
        plan.samples,
        hide_index=True,
        placeholder="–",
        key="plan_rows",
        column_config=config,
        alt="A few rows of every kind the plan holds, changes as old and new value",
    )


def _run(name: str, plan: view.Plan) -> None:
    confirmed = True
    if plan.brake:
        st.warning(f"**The brake holds:** {f.escape(plan.brake)}.", icon=":material/front_hand:")
        confirmed = st.checkbox("I have looked: remove them", key="confirm_removal")
    if not plan.due:
        st.success("Nothing to send: the destination is up to date.", icon=":material/check_circle:")
        return
    parts_ = [f"{_WORDS[w].lower()} {plan.counts[w]:,}" for w in ("add", "change", "remove") if plan.counts[w]]
    if st.button(
        f"Run: {', '.join(parts_)}", key="run_sync", type="primary", icon=":material/send:", disabled=not confirmed
    ):
        args = ["sync", "run", name, "--plan", plan.plan_id]
        jobs.start(session.root(), f"sync:{name}", f.label(name), *args, *(["--confirm"] if plan.brake else []))
        st.session_state[_PLANS].pop(name, None)
        st.rerun()


@st.fragment(run_every=1.0)
def _watch(name: str) -> None:
    job = jobs.current(session.root(), f"sync:{name}")
    if job is None or not job.running:
        st.rerun()
        return
    done = job.share()
    st.progress(done if done is not None else 0.05, text=f"{job.message() or 'Starting…'} · {f.duration(job.seconds)}")
    st.button("Cancel", key="cancel_sync", icon=":material/stop_circle:", on_click=job.cancel)


def _outcome(job: jobs.Job) -> None:
    if job.succeeded:
        st.success(f"{job.name} ran in {f.duration(job.seconds)}.", icon=":material/check_circle:")
    else:
        st.error(f"{job.name} did not finish: {f.escape(job.message())}", icon=":material/error:")


def _ledger(ws: cdp.Workspace, sync: view.Sync) -> None:
    total = sum(sync.counts.values())
    if not total:
        parts.empty("Nothing has been sent yet", "Every row that is sent gets a line here, with its outcome.")
        return
    present = [status for status in view.STATUSES if sync.counts[status]]
    status = st.segmented_control(
        "Outcome",
        present,
        key="ledger_status",
        format_func=lambda s: f"{s.capitalize()} · {sync.counts[s]:,}",
        label_visibility="collapsed",
    )
    failed = cached(view.reasons, ws, sync.name)
    if failed.height:
        st.dataframe(
            failed,
            hide_index=True,
            placeholder="–",
            key="reasons",
            alt="Failed rows by reason",
            column_config={
                "reason": st.column_config.TextColumn("Why rows failed", width="large"),
                "rows": st.column_config.NumberColumn("Rows", format="localized"),
            },
        )
    count = sync.counts[status] if status else total
    pages = -(-count // PAGE)
    slot = st.container()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{f.plural(count, 'row')}, the latest first", width="content")
        number = st.pagination(min(pages, 10_000), key=f"ledger_page_{status}") if pages > 1 else 1
    frame = cached(view.ledger, ws, sync.name, status, number, PAGE, session.revealed())
    column = st.column_config
    slot.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key="ledger",
        alt="Ledger of this sync, one line per row sent",
        column_config={
            "key": column.TextColumn(f.label(sync.key)),
            "profile_id": None if sync.key == "profile_id" else column.TextColumn("Profile"),
            "status": column.TextColumn("Outcome"),
            "operation": column.TextColumn("What"),
            "attempts": column.NumberColumn("Attempts"),
            "sent_at": column.DatetimeColumn("Sent (UTC)", format="D MMM YYYY, HH:mm"),
            "error": column.TextColumn("Reason"),
            "payload": column.JsonColumn("Content", width="large"),
        },
    )


def _mapping(sync: view.Sync) -> None:
    frame = pl.DataFrame({"field": list(sync.fields), "source": list(sync.fields.values())})
    frame = frame.with_columns(key=pl.col("field") == sync.key)
    st.dataframe(
        frame,
        hide_index=True,
        placeholder="–",
        key="mapping",
        width=560,
        alt="Fields of the destination and the columns they come from",
        column_config={
            "field": "Field at the destination",
            "source": "From",
            "key": st.column_config.CheckboxColumn("Key"),
        },
    )
    if sync.steps:
        st.markdown("**Changed before it is sent**")
        st.markdown("\n".join(f"{number}. {f.escape(step)}" for number, step in enumerate(sync.steps, 1)))
        st.caption("Steps of the destination; the stored events stay as they are.")
    st.caption("Edit changes the mapping, here or in cdp.yaml under `syncs:`.")
