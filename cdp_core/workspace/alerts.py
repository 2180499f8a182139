"""Alerts of an open workspace: who is told what, what was told, and a test."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.errors import DestinationError, UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.workspace.facade import Workspace


@dataclass(frozen=True, kw_only=True)
class SentTest:
    """What became of a test message. `ok` is whether the other side took it."""

    to: str
    ok: bool
    said: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Alerts:
    """The alerts of cdp.yaml.

    Example: `ws.alerts(); [sent.ok for sent in ws.alerts.test()]`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("read", plain=True)
    def __call__(self) -> pl.DataFrame:
        """Every alert with what it has told and is not over: the columns to, on (conditions), threshold, about (what
        is told of; null when all is well), since (UTC, text) and text. An alert that told of two things has two rows.
        """
        import polars as pl

        from cdp_core.alerts.state import read

        config = self._workspace.config
        told = read(self._workspace.root / config.engine.lake)
        rows = []
        for alert in config.alerts:
            base = {"to": alert.to.in_words, "on": list(alert.on), "threshold": alert.threshold}
            open_ = told.get(alert.id) or {}
            nothing: dict[str, Any] = {"about": None, "since": None, "text": None}
            rows += [{**base, "about": key, **open_[key]} for key in sorted(open_)] or [{**base, **nothing}]
        kinds: dict[str, Any] = {"to": pl.String, "on": pl.List(pl.String), "threshold": pl.Float64}
        return pl.DataFrame(rows, schema={**kinds, "about": pl.String, "since": pl.String, "text": pl.String})

    @needs("run", plain=True)
    def test(self) -> list[SentTest]:
        """Send a test message to every receiver, in the order of cdp.yaml. Raises UsageError when there is none."""
        from cdp_core.alerts.send import Message, send

        config = self._workspace.config
        if not config.alerts:
            hint = "add 'alerts: [{on: [failure], to: {webhook: https://…}}]' to cdp.yaml"
            raise UsageError("cdp.yaml has no alerts", hint=hint)
        sent = []
        for alert in config.alerts:
            try:
                send(alert.to, Message(workspace=config.name, link=config.dashboard_url, test=True))
            except DestinationError as error:
                sent.append(SentTest(to=alert.to.in_words, ok=False, said=error.what))
            else:
                sent.append(SentTest(to=alert.to.in_words, ok=True, said="taken"))
        return sent
