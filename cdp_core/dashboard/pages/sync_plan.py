"""Plan and run: what a run of a sync would send, the button, and how far it is."""

from __future__ import annotations

import re

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import jobs, session
from cdp_core.dashboard.views import sync_history as runs
from cdp_core.dashboard.views import sync_plan as view

CANCELLED = 130
_PLANS = "sync_plans"
_COLOURS = {"add": "green", "change": "orange", "remove": "red", "withheld": "gray", "invalid": "violet"}
_WORDS = {
    "add": "Add",
    "change": "Change",
    "remove": "Remove",
    "unchanged": "Unchanged",
    "withheld": "Withheld",
    "invalid": "Invalid",
}
_HELP = {
    "add": "New at the destination",
    "change": "There already, with other values",
    "remove": "Not in the model any more, or consent was withdrawn",
    "unchanged": "Nothing to send",
    "withheld": "Held back: no consent, or dismissed",
    "invalid": "Cannot be sent: no key, or the same key twice",
}


@st.fragment
def draw(name: str) -> None:
    """Look at what a run would do, and do it; while one is under way, see how far it is."""
    job = jobs.current(session.root(), f"sync:{name}")
    if job is not None and job.running:
        _watch(name)
        return
    if runs.running(session.workspace(), name) is not None:
        _elsewhere(name)
        return
    if job is not None:
        _outcome(job)
    _newcomers(name)
    plans = _seen()
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
            st.error(f.escape(str(error)), icon=":material/error:")
            return
    if plan is None:
        st.caption("A plan says what a run would add, change and remove. Nothing is sent by looking.")
        return
    _show(plan)
    _run(name, plan)


def _seen() -> dict[str, view.Plan]:
    """Plans of this session, apart while personal data are shown."""
    plans: dict[str, view.Plan] = st.session_state.setdefault(f"{_PLANS}_{session.revealed()}", {})
    return plans


def _show(plan: view.Plan) -> None:
    with st.grid(6, min_column_width=135, gap="small"):
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
        words = f"I have looked: remove {f.plural(plan.counts['remove'], 'row')} from the destination"
        confirmed = st.checkbox(words, key="confirm_removal")
    if not plan.due:
        st.success("Nothing to send: the destination is up to date.", icon=":material/check_circle:")
        return
    if st.button(
        f"Send: {plan.in_words}", key="run_sync", type="primary", icon=":material/send:", disabled=not confirmed
    ):
        args = ["sync", "run", name, "--plan", plan.plan_id]
        jobs.start(session.root(), f"sync:{name}", f.label(name), *args, *(["--confirm"] if plan.brake else []))
        _seen().pop(name, None)
        st.rerun()


@st.fragment(run_every=1.0)
def _watch(name: str) -> None:
    job = jobs.current(session.root(), f"sync:{name}")
    if job is None or not job.running:
        st.rerun()
        return
    said = job.message()
    st.progress(job.share() or 0.0, text=f"{said or 'Starting…'} · {f.duration(job.seconds)}{_pace(job)}")
    st.button(
        "Cancel",
        key="cancel_sync",
        icon=":material/stop_circle:",
        on_click=job.cancel,
        help="What has been sent stays sent; the rest is left for the next run",
    )


def _pace(job: jobs.Job) -> str:
    done = re.search(r"([\d,]+) of [\d,]+ rows", job.message())
    if done is None or job.seconds < 1:
        return ""
    return f" · {int(done[1].replace(',', '')) / job.seconds:,.0f} rows a second"


@st.fragment(run_every=2.0)
def _elsewhere(name: str) -> None:
    """A run that this server has not started."""
    ws = session.workspace()
    found = runs.running(ws, name)
    if found is None:
        st.rerun()
        return
    st.info(
        f"A run is under way in another process, since {f.exact(found.started_at)}. It shows here when it is done.",
        icon=":material/sync:",
    )


@st.fragment(run_every=5.0)
def _newcomers(name: str) -> None:
    """Draws the tab anew when a run has begun somewhere else."""
    if runs.running(session.workspace(), name) is not None:
        st.rerun()


def _outcome(job: jobs.Job) -> None:
    if job.succeeded:
        st.success(f"{job.name} ran in {f.duration(job.seconds)}.", icon=":material/check_circle:")
    elif job.process.returncode == CANCELLED:
        st.warning("Cancelled. What was sent is in the ledger; the next run sends the rest.", icon=":material/cancel:")
    else:
        st.error(f"{job.name} did not finish: {f.escape(job.message())}", icon=":material/error:")
