"""What was seen in a run or a sync, and which of it is new to a receiver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cdp_core.alerts.spec import AlertSpec

LEAST_ROWS = 10
"""Sets smaller than this may jump, and batches smaller than this be refused: shares of small numbers say nothing."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One thing that was looked at: `about` is a run, a sync or an audience; `share` is compared with a threshold, None
    for what either is (`text`) or is not (""). The text holds names, counts and an error's message, no person's data.
    """

    condition: str
    about: str
    text: str = ""
    share: float | None = None

    @property
    def key(self) -> str:
        return f"{self.condition}:{self.about}"

    def holds(self, alert: AlertSpec) -> bool:
        if self.share is None:
            return bool(self.text)
        limit = alert.limit(self.condition)
        return self.share >= limit if self.condition == "failed_share" else self.share > limit


def failure(about: str, error: str | None) -> Seen:
    return Seen(condition="failure", about=about, text=f"{about} failed: {error}" if error else "")


def refused(sync: str, failed: int, sent: int) -> Seen:
    """`sent` counts what was taken and what was refused. One refused row of one is told, as a share of all rows."""
    share = failed / sent if sent else 0.0
    text = f"sync {sync}: {failed:,} of {sent:,} rows were refused ({share:.1%})"
    return Seen(condition="failed_share", about=f"sync {sync}", text=text, share=share)


def jump(about: str, what: str, before: int, after: int) -> Seen:
    """How far a number has moved, as a share of what it was."""
    share = abs(after - before) / before if before and max(before, after) >= LEAST_ROWS else 0.0
    sign = "+" if after > before else "−"
    text = f"{about}: {what} went from {before:,} to {after:,} ({sign}{share:.0%})"
    return Seen(condition="size_jump", about=about, text=text, share=share)


def news(alert: AlertSpec, seen: Sequence[Seen], told: Mapping[str, object]) -> tuple[list[Seen], list[str]]:
    """What holds and was not told yet, and the keys of what was told and is over.

    >>> alert = AlertSpec(on="failure", to="https://h/x")
    >>> news(alert, [failure("run", "down"), failure("sync a", None)], {"failure:sync a": ""})[1]
    ['failure:sync a']
    """
    asked = [one for one in seen if one.condition in alert.on]
    fresh = [one for one in asked if one.holds(alert) and one.key not in told]
    over = [one.key for one in asked if not one.holds(alert) and one.key in told]
    return fresh, over
