"""What the identity page shows of two states of who is who; masked unless revealed."""

from __future__ import annotations

from typing import Any

import polars as pl

import cdp_core as cdp
from cdp_core.dashboard import formatting as f
from cdp_core.dashboard.views.decisions import shown

LISTED = 200


def runs(ws: cdp.Workspace) -> dict[str, str]:
    """Runs whose result is kept under a snapshot, newest first: run_id and when it was, in words."""
    frame = ws.runs(LISTED)
    kept = frame.filter(pl.col("snapshot_id").is_not_null())
    return {
        run["run_id"]: f"{f.exact(run['started_at'])} · {f.label(run['kind'])} {run['run_id'][-8:]}"
        for run in kept.iter_rows(named=True)
    }


def between(ws: cdp.Workspace, before: str, after: str) -> dict[str, Any]:
    """What `ws.identity.diff` says of two runs. Raises CDPError when the snapshot of one is no longer there."""
    return ws.identity.diff(before, after).to_dict()


def differs(changes: dict[str, Any]) -> bool:
    """Whether any profile or membership is not as it was."""
    profiles = changes["profiles"]
    same = profiles["unchanged"] == profiles["before"] == profiles["after"]
    return not same or any(each["entered"] or each["exited"] for each in changes["audiences"])


def examples(changes: dict[str, Any], reveal: bool) -> pl.DataFrame:
    """Profiles that are split or merged, a row for each part: what, profile_id, part (its profile_id), identifiers."""
    rows = []
    for what, word in (("split", "into"), ("merged", "from")):
        for example in changes["profiles"]["examples"][what]:
            for part in example[word]:
                named = ", ".join(shown(identifier, reveal) for identifier in part["identifiers"])
                rows.append((f"{what} {word}".capitalize(), example["profile_id"], part["profile_id"], named))
    kinds = dict.fromkeys(("what", "profile_id", "part", "identifiers"), pl.String)
    return pl.DataFrame(rows, schema=kinds, orient="row")
