"""What the identity page shows of explanations, the review queue, decisions and previews; masked unless revealed."""

from __future__ import annotations

from typing import Any

import polars as pl

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.privacy import masking

QUEUE = (
    "review_id",
    "between",
    "and",
    "identifiers",
    "probability",
    "detail",
    "first_at",
    "left_profile_id",
    "right_profile_id",
    "evidence",
)
ACTIONS = {"never_link": "Never link", "always_link": "Always link", "revoke": "Revoked"}


def shown(identifier: str, reveal: bool) -> str:
    """`type:value`, masked by its type.

    >>> shown("email:ann@example.org", False), shown("email:ann@example.org", True)
    ('email:a••@e••••••.org', 'email:ann@example.org')
    """
    kind, _, value = identifier.partition(":")
    return identifier if reveal else f"{kind}:{masking.mask(value, kind)}"


def steps(explanation: dict[str, Any], reveal: bool) -> pl.DataFrame:
    """Columns: from, to, because, source, events, first_seen, last_seen (UTC)."""
    rows = [
        {
            "from": shown(step["left"], reveal),
            "to": shown(step["right"], reveal),
            "because": (step["event"] or {}).get("name") or step["rule"].replace("_", " "),
            "source": ", ".join(step["sources"]),
            "events": step["events"],
            "first_seen": step["first_seen"],
            "last_seen": step["last_seen"],
        }
        for step in explanation["path"]
    ]
    kinds = dict.fromkeys(("from", "to", "because", "source"), pl.String)
    times = dict.fromkeys(("first_seen", "last_seen"), pl.Datetime("us"))
    return pl.DataFrame(rows, schema={**kinds, "events": pl.Int64, **times})


def held_back(explanation: dict[str, Any], reveal: bool) -> pl.DataFrame:
    """Columns: identifier, what, rule, detail, source, at (UTC)."""
    rows = [
        {
            "identifier": shown(held["identifier"], reveal),
            "what": held["action"].replace("_", " "),
            **{name: held[name] for name in ("rule", "detail", "source", "at")},
        }
        for held in explanation["held_back"]
    ]
    kinds = dict.fromkeys(("identifier", "what", "rule", "detail", "source"), pl.String)
    return pl.DataFrame(rows, schema={**kinds, "at": pl.Datetime("us")})


def queue(ws: cdp.Workspace, reveal: bool, demoted: bool) -> pl.DataFrame:
    """The review queue with both ends in one column each."""
    frame = ws.identity.review(demoted=demoted)
    ends = {name: _ends(frame, side, reveal) for name, side in (("between", "left"), ("and", "right"))}
    return frame.with_columns(**ends).select(QUEUE)


def _ends(frame: pl.DataFrame, side: str, reveal: bool) -> pl.Series:
    pairs = frame.select(pl.format("{}:{}", f"{side}_type", f"{side}_value").alias(side))[side]
    return pl.Series(side, [shown(text, reveal) for text in pairs], dtype=pl.String)


def side_by_side(ws: cdp.Workspace, left: str, right: str, reveal: bool) -> pl.DataFrame:
    """Traits of two profiles: trait, one, other, differs (both have a value, and not the same)."""
    cards = [{t["name"]: t["value"] for t in ws.profile(each).to_dict()["traits"]} for each in (left, right)]
    rows = []
    for name in dict.fromkeys([*cards[0], *cards[1]]):
        one, other = (None if card.get(name) is None else str(card[name]) for card in cards)
        if one is None and other is None:
            continue
        masked = [value if reveal or value is None else masking.mask(value, name) for value in (one, other)]
        rows.append((f.label(name), *masked, one is not None and other is not None and one != other))
    kinds = {"trait": pl.String, "one": pl.String, "other": pl.String, "differs": pl.Boolean}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def decisions(ws: cdp.Workspace, reveal: bool) -> pl.DataFrame:
    """Decisions in force: action, left, right, reason, at (UTC)."""
    rows = [
        {
            "action": ACTIONS[made.action],
            "left": shown(":".join(made.left), reveal),
            "right": shown(":".join(made.right), reveal),
            "reason": made.reason,
            "at": made.at,
        }
        for made in ws.identity.overrides()
    ]
    kinds: dict[str, Any] = dict.fromkeys(("action", "left", "right", "reason"), pl.String)
    return pl.DataFrame(rows, schema={**kinds, "at": pl.Datetime("us")})


def about(ws: cdp.Workspace, left: str, right: str) -> str | None:
    """What is decided about two identifiers, in words; None when nothing is."""
    asked = {ws.identity.parse(left), ws.identity.parse(right)}
    made = next((made for made in ws.identity.overrides() if {made.left, made.right} == asked), None)
    return f"{ACTIONS[made.action]}, decided on {f.exact(made.at)}: {made.reason}" if made else None
