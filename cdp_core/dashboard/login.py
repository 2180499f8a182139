"""Who looks: somebody who has logged in at the identity provider of secrets.toml, or whoever has the folder."""

from __future__ import annotations

import ipaddress
import time

import streamlit as st

import cdp_core as cdp


def configured() -> bool:
    """Whether there is an identity provider: `[auth]` in secrets.toml."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def actor(ws: cdp.Workspace) -> cdp.Actor:
    """Whoever looks, with the role that cdp.yaml gives them now. Raises Forbidden."""
    if not configured():
        if not _local():
            raise cdp.Forbidden(
                "without a login, the dashboard is for this machine alone",
                hint="add [auth] to .streamlit/secrets.toml, as docs/how-to/give-people-roles.md says",
            )
        return ws.actor
    if not st.user.is_logged_in:
        raise cdp.Forbidden("you are not logged in", hint="log in first")
    return cdp.Actor.of_claims(st.user.to_dict(), ws.config.access, now=time.time())


def admit(ws: cdp.Workspace) -> bool:
    """Whether whoever looks may go on; draws the way in where they may not."""
    try:
        actor(ws)
    except cdp.Forbidden as refused:
        _way_in(ws, refused)
        return False
    return True


def sign_out() -> None:
    """Who is logged in, and the way out, at the foot of the sidebar; nothing without a login."""
    if not configured() or not st.user.is_logged_in:
        return
    with st.sidebar:
        st.caption(f"Logged in as {_name()}")
        st.button("Log out", key="log_out", icon=":material/logout:", type="tertiary", on_click=_log_out)


def _way_in(ws: cdp.Workspace, refused: cdp.Forbidden) -> None:
    with st.container(border=True, horizontal_alignment="center", key="way_in"):
        st.subheader(ws.name, anchor=False, text_alignment="center")
        if configured() and not st.user.is_logged_in:
            st.caption("A customer data platform. Log in to see it.", text_alignment="center")
            st.button("Log in", key="log_in", icon=":material/login:", type="primary", on_click=_log_in)
            return
        st.error(str(refused), icon=":material/lock:")
        if configured():
            st.caption(f"Logged in as {_name()}", text_alignment="center")
            label = "Log in again" if "run out" in str(refused) else "Log in as somebody else"
            st.button(label, key="log_out", type="primary", on_click=_log_out)


def _log_in() -> None:
    st.login()


def _log_out() -> None:
    st.session_state.clear()
    st.logout()


def _name() -> str:
    claims = st.user.to_dict()
    return str(claims.get("email") or claims.get("name") or claims.get("sub") or "somebody")


def _local() -> bool:
    """Whether both ends of the connection are this machine."""
    address = st.get_option("server.address")
    return _loopback(address) and _loopback(st.context.ip_address)


def _loopback(address: object) -> bool:
    """None stands for this machine, and so does what is no address: there is no connection then.

    >>> _loopback(None), _loopback("127.0.0.1"), _loopback("localhost"), _loopback("0.0.0.0"), _loopback("10.0.0.7")
    (True, True, True, False, False)
    """
    if not isinstance(address, str) or address in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
