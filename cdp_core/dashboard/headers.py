"""What the browser is told about every answer: load nothing from elsewhere, whatever a customer is called.

A name such as `![x](http://elsewhere/pixel.png)` is Markdown to whoever forgets to escape it; here it finds no way
out. Rule: ASVS 5.0, chapter 3.4; https://www.w3.org/TR/CSP3.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.middleware import Middleware

SCRIPT = str(Path(__file__).with_name("entry") / "script.py")
POLICY = {
    "default-src": "'self'",
    # Streamlit's page has scripts of its own in it, and charts compile their expressions.
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "worker-src": "'self' blob:",
    "frame-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def hardened() -> list[Middleware]:
    """For `st.App(script, middleware=hardened())`: these headers on every answer, and no values in the log."""
    from starlette.middleware import Middleware

    logging.getLogger("streamlit.error_util").addFilter(_place_only)
    return [Middleware(_Headers)]


def _place_only(record: logging.LogRecord) -> bool:
    """Of an error that nobody expected, its kind and its place: its text may hold somebody's data."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "cdp_core" in frame.filename] or frames
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "an unknown place"
        record.msg, record.args = f"{type(error).__name__} at {place}; this is a bug", ()
        record.exc_info = record.exc_text = None
    return True


class _Headers:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                added = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in given]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
