"""Requests of people: what is open, until when it is due, what each destination said, and the certificate."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import jobs, links, parts, session
from cdp_core.dashboard.views import requests as view

if TYPE_CHECKING:
    import polars as pl

JOB = "privacy"
_NONE = (
    "Open a customer and choose Erase, or run: cdp privacy request erase email:ann@example.org --reason "
    '"she asked for it".'
)
_LEVELS = {"late": "red", "soon": "orange", "fine": "gray", "done": "gray"}


def page(ws: cdp.Workspace) -> None:
    request_id = links.opened("request")
    try:
        one = ws.privacy.requests.get(request_id) if request_id else None
    except cdp.UsageError:
        st.warning("There is no such request.", icon=":material/help:")
        one = None
    _progress()
    if one is None:
        _list(ws)
    else:
        parts.back("All requests", "request")
        _one(ws, one)


def _list(ws: cdp.Workspace) -> None:
    frame = view.rows(ws)
    if frame.is_empty():
        parts.empty("Nobody has asked for anything", _NONE)
        return
    counted = view.counts(frame)
    with st.grid(4, min_column_width=200, gap="small"):
        st.metric("Open", f.number(counted["open"]), border=True, help="Not done yet")
        st.metric("Due within a week", f.number(counted["soon"]), border=True)
        st.metric("Late", f.number(counted["late"]), border=True, help="Past the day on which an answer was due")
        st.metric("Done", f.number(counted["done"]), border=True)
    picked = _table(frame)
    st.caption("Nobody is named here: a request knows people by keyed hashes of their identifiers.")
    if picked is not None and picked < frame.height:
        links.go("requests", request=frame["request_id"][picked])
    if (
        counted["open"]
        and ws.actor.may("privacy")
        and st.button("Go on with open requests", icon=":material/play_arrow:", key="resume")
    ):
        jobs.start(session.root(), JOB, "Open requests", "privacy", "request", "resume")
        st.rerun()


def _table(frame: pl.DataFrame) -> int | None:
    column = st.column_config
    return parts.clicked(
        st.dataframe(
            view.shown(frame),
            hide_index=True,
            placeholder="–",
            key="requests",
            on_select="rerun",
            selection_mode="single-cell",
            alt="What people have asked for, newest first",
            column_config={
                "request_id": column.TextColumn("Request", width=175),
                "kind": column.TextColumn("Kind", width=75),
                "status": column.TextColumn("Status", width=75),
                "received": column.DateColumn("Received", format="D MMM YYYY", width=95),
                "due": column.DateColumn("Due", format="D MMM YYYY", width=95),
                "left": column.NumberColumn("Days left", width=75, help="Until it is due, while it is open"),
                "finished": column.DatetimeColumn("Done (UTC)", format="D MMM YYYY, HH:mm", width=135),
                "reason": column.TextColumn("Reason"),
            },
        )
    )


def _one(ws: cdp.Workspace, request: Any) -> None:
    due = view.due_of(request)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(f"{f.label(request.kind)} request", anchor=False, width="content")
        st.badge(f.label(request.status), color="green" if request.status == "done" else "blue")
        st.badge(due.text, color=_LEVELS[due.level], icon=":material/event:")
    st.caption(f"`{request.request_id}` · {f.escape(request.reason)} · by {f.escape(request.actor)}")
    if request.error:
        st.error(f.escape(request.error), icon=":material/error:")
    if request.outcome:
        with st.container(border=True):
            st.subheader("What was done", anchor=False)
            st.markdown(f":green[:material/check_circle:] {f.escape(request.outcome)}")
    else:
        _erasure(ws, request)
    _actions(ws, request)


def _erasure(ws: cdp.Workspace, request: Any) -> None:
    left, right = parts.halves()
    with left:
        _steps(request)
        _receipts(ws, request)
    with right:
        _taken(request)
    with st.container(border=True):
        _residual(request)


def _steps(request: Any) -> None:
    st.subheader("What was done", anchor=False)
    done, to_do = ":green[:material/check_circle:]", ":gray[:material/radio_button_unchecked:]"
    st.markdown("  \n".join(f"{done if is_done else to_do} {text}" for text, is_done in view.steps_of(request)))


def _taken(request: Any) -> None:
    st.subheader("Rows taken out", anchor=False)
    if not request.taken:
        st.caption("No table held anything about them." if "rows" in request.steps else "Nothing yet.")
        return
    rows = [{"table": name, "rows": number} for name, number in sorted(request.taken.items())]
    column = {"table": "Table", "rows": st.column_config.NumberColumn("Rows", format="localized")}
    st.dataframe(rows, hide_index=True, key="taken", height="content", alt="Rows by table", column_config=column)


def _receipts(ws: cdp.Workspace, request: Any) -> None:
    st.subheader("What destinations said", anchor=False)
    if not request.receipts:
        st.caption("They were sent to none." if "proof" in request.steps else "Asked when everything here is done.")
    for receipt in request.receipts:
        label, colour, icon = view.STATES[receipt.state]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{f.escape(receipt.destination or receipt.sync)}** · {f.label(receipt.sync)}")
            st.badge(label, color=colour, icon=f":material/{icon}:", help=f.exact(receipt.at))
        st.caption(f"{f.plural(receipt.rows, 'row')} · {f.escape(receipt.note) or 'no answer yet'}")
        if request.open and receipt.state in ("failed", "accepted") and ws.actor.may("privacy"):
            confirm = functools.partial(_confirm, ws, request.request_id, receipt.sync)
            parts.decide("Erased there by hand…", f"confirm_{receipt.sync}", confirm)


def _confirm(ws: cdp.Workspace, request_id: str, sync: str, reason: str) -> None:
    ws.privacy.requests.confirm(request_id, sync, reason=reason)


def _residual(request: Any) -> None:
    st.subheader("What remains", anchor=False)
    st.caption("Keyed hashes of their identifiers remain, so that nothing of them is taken in again.")
    if not request.residual:
        if "proof" in request.steps:
            st.markdown(":green[:material/check_circle:] Nothing else was found in tables, files and sources.")
        return
    counted = any(r["rows"] for r in request.residual)
    rows = [
        {"place": r["place"], "what": r["note"]} | ({"rows": r["rows"] or None} if counted else {})
        for r in request.residual
    ]
    st.dataframe(
        rows,
        hide_index=True,
        placeholder="–",
        key="residual",
        alt="Where the person is still named",
        column_config={"place": "Place", "what": "What", "rows": st.column_config.NumberColumn("Rows")},
    )


def _actions(ws: cdp.Workspace, request: Any) -> None:
    with st.container(horizontal=True):
        if request.open and not ws.actor.may("privacy"):
            return
        if request.open:
            if st.button("Go on", icon=":material/play_arrow:", type="primary", key="go_on"):
                jobs.start(session.root(), JOB, "Request", "privacy", "request", "resume", request.request_id)
                st.rerun()
            if not request.extended:
                parts.decide(
                    "Extend by two months…",
                    "extend",
                    lambda reason: ws.privacy.requests.extend(request.request_id, reason=reason),
                )
            return
        made = json.dumps(ws.privacy.requests.certificate(request.request_id), indent=2)
        name, read = f"certificate-{request.request_id}", ws.privacy.requests.certificate_page(request.request_id)
        st.download_button("Certificate", read, f"{name}.html", "text/html", icon=":material/download:")
        st.download_button("As JSON", made, f"{name}.json", "application/json", icon=":material/data_object:")


@st.fragment(run_every=1.0)
def _progress() -> None:
    job = jobs.current(session.root(), JOB)
    if job is None:
        return
    if job.running:
        said = view.STEPS.get(job.message().rpartition(" ")[2], "Working")
        st.progress(job.share() or 0.0, text=f"{said} · {f.duration(job.seconds)}")
        st.session_state["privacy_job"] = True
    elif st.session_state.pop("privacy_job", False):
        st.rerun()
    elif not job.succeeded:
        st.error(f.escape(job.message()), icon=":material/error:")
