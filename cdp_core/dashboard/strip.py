"""The strip on top of every page: title, clock, health, the reveal toggle and "Run now" with its progress."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard import jobs, session

RUN = "run"
_JOB_SEEN = "cdp_job_seen"
_SEEN = "cdp_snapshot_seen"


def head(title: str) -> Any:
    """The title on the left, at once; gives the place on the right for state and actions."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(title, anchor=False, width="content")
        return st.container()


def draw_state() -> None:
    """State and actions, refreshed by themselves: every second while something runs."""
    # This draws the page anew anyway, and drawing it once more would lose the click that it is for.
    st.session_state.pop(_SEEN, None)
    busy = jobs.any_running(session.root())
    st.fragment(_draw_state, run_every=1.0 if busy else 6.0)()


def _draw_state() -> None:
    try:
        ws = session.workspace()
    except cdp.CDPError:
        return
    status = ws.status()
    job = jobs.current(ws.root, RUN)
    running = bool(status["running"]) or (job is not None and job.running)
    _refresh(ws, running)
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
        _health(ws, status, running)
        _reveal_toggle(ws)
        st.button(
            "Running…" if running else "Run now",
            key="run_now",
            icon=":material/play_arrow:",
            type="primary",
            disabled=running or not ws.actor.may("run"),
            on_click=start_run,
            help="Load what is new, check it, resolve identities, build profiles and refresh audiences.",
        )
    _ask_why()
    if job is not None:
        _progress(job)


def _reveal_toggle(ws: cdp.Workspace) -> None:
    """Off, and asking why when it is switched on; a role that may not is told so."""
    if not ws.actor.may("reveal"):
        st.badge("Masked", icon=":material/visibility_off:", color="gray", help=f"Your role, {f.label(ws.actor.role)}, "
                 "reads personal data masked.")  # fmt: skip
        return
    st.toggle(
        "Show personal data",
        key=session.REVEAL,
        persist_state="session",
        on_change=_switched,
        help="Names, addresses, phone numbers, e-mail addresses and birth dates are masked until you switch this on "
        "and say why. It holds for this browser tab only, and is in the audit log.",
    )


def _switched() -> None:
    session.hide()
    st.rerun()


def _ask_why() -> None:
    """The reason, without which nothing is shown."""
    if not st.session_state.get(session.REVEAL) or session.revealed():
        return
    with st.form("reveal_why", border=True), st.container(horizontal=True, vertical_alignment="bottom"):
        reason = st.text_input("Why do you need to see personal data?", key="reveal_reason", max_chars=200,
                               placeholder="Such as: ticket 4711, she asks what we have")  # fmt: skip
        asked = st.form_submit_button("Show", key="reveal_show", icon=":material/visibility:", type="primary")
    if not asked:
        return
    try:
        session.reveal(reason)
    except cdp.CDPError as error:
        st.error(f.escape(str(error)), icon=":material/error:")
        return
    st.rerun()


def start_run() -> None:
    """Start `cdp run` in its own process."""
    jobs.start(session.root(), RUN, "Run", "run")
    st.rerun()


def _refresh(ws: cdp.Workspace, running: bool) -> None:
    """Draw the page again when a run, here or in another process, has published something."""
    now = (ws.snapshot(), running)
    before = st.session_state.get(_SEEN)
    st.session_state[_SEEN] = now
    if before is not None and before != now and (before[1] != running or not running):
        st.rerun()


def _health(ws: cdp.Workspace, status: dict[str, Any], running: bool) -> None:
    last, good = status["last_run"], status["last_good_run_at"]
    pinned = ws.config.today is not None
    st.badge(
        f"{f.escape(ws.name)} · {f.exact(ws.config.today)}" if pinned else f.escape(ws.name),
        icon=":material/schedule:" if pinned else ":material/folder:",
        color="gray",
        help="The workspace. Its clock is pinned by `today:` in cdp.yaml; every window counts from it."
        if pinned
        else f"The workspace in `{ws.root}`",
    )
    if running:
        st.badge(
            "Running", icon=":material/sync:", color="blue", help="A run is going on; pages show the last good data."
        )
    elif last is None:
        st.badge("Never run", icon=":material/circle:", color="gray", help="Press Run now.")
    elif last["status"] in ("failed", "stopped"):
        st.badge("Last run " + last["status"], icon=":material/error:", color="red", help=f.escape(last["error"] or ""))
    else:
        when = f.ago(good, datetime.now(UTC).replace(tzinfo=None))
        st.badge(
            f"Healthy · run {when}",
            icon=":material/check_circle:",
            color="green",
            help=f"Last good run: {f.exact(good)}",
        )


def _progress(job: jobs.Job) -> None:
    """A bar while the job runs, then how it went, until it is dismissed."""
    if job.running:
        done, text = jobs.progress_of(job.message())
        st.progress(done, text=f"{text} · {f.duration(job.seconds)}")
        return
    if st.session_state.get(_JOB_SEEN) == id(job):
        return
    if job.succeeded:
        st.toast(f"{job.name} finished in {f.duration(job.seconds)}", icon=":material/check_circle:")
        _dismiss(id(job))
        return
    st.error(f.escape(job.message()) or f"{job.name} failed", icon=":material/error:")
    st.button("Dismiss", key="dismiss_run", on_click=_dismiss, args=(id(job),))


def _dismiss(job: int) -> None:
    st.session_state[_JOB_SEEN] = job


def has_run(ws: cdp.Workspace) -> bool:
    """Whether anything has been published yet."""
    events = ws.table("events")
    return bool(ws.polars(events.limit(1).count().name("n").as_table()).item())


def nothing_yet(ws: cdp.Workspace) -> None:
    """The empty workspace: what is defined, and the one thing to do."""
    config = ws.config
    with st.container(border=True):
        st.subheader("Nothing has been loaded yet", anchor=False)
        counts = [
            f.plural(len(config.sources), "source"),
            f.plural(len(config.audiences), "audience"),
            f.plural(len(config.syncs), "sync"),
        ]
        st.markdown(
            f"**{f.escape(ws.name)}** defines {', '.join(counts)}. A run loads the sources and builds everything."
        )
        may = ws.actor.may("run")
        st.button(
            "Run now",
            key="first_run",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not may,
            on_click=start_run,
        )
        st.caption("The same on the command line: `cdp run`")
