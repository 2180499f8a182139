"""Events past their retention leave with the next run, and so does what they said of people."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import cdp_core as cdp

SHOP = """
name: shop
today: 2026-06-01
sources:
  web: {type: segment, path: web.ndjson}
  app: {type: segment, path: app.ndjson}
traits:
  plan: {type: string}
privacy:
  retention:
    - {source: web, event: Page Looked At, keep: 30d}
    - {source: web, keep: 400d}
"""


def event(message_id: str, at: str, user: str, name: str = "Paid", **more: object) -> str:
    row = {"type": "track", "event": name, "messageId": message_id, "userId": user, "timestamp": f"{at}T10:00:00Z"}
    return json.dumps(row | more)


def test_what_is_past_leaves(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text(SHOP)
    lines = [
        event("old", "2025-01-01", "u1"), event("kept", "2026-05-20", "u2"),
        event("look-old", "2026-04-01", "u2", "Page Looked At"), event("look", "2026-05-30", "u2", "Page Looked At"),
        json.dumps({"type": "identify", "messageId": "i", "userId": "u1", "traits": {"plan": "x"}, "timestamp": "2025-01-02T00:00:00Z"}),
    ]  # fmt: skip
    (tmp_path / "web.ndjson").write_text("\n".join(lines))
    (tmp_path / "app.ndjson").write_text(event("ancient", "2020-01-01", "u3"))
    with cdp.open(tmp_path) as ws:
        ws.config = ws.config.model_copy(update={"privacy": type(ws.config.privacy)()})
        assert ws.run().status == "succeeded"
        ws.reload()
        told = ws.privacy.retention()
        assert told["events"].to_list() == [1, 2], "nothing goes before a run"
        assert ws.polars(ws.table("events")).height == 6
        run = ws.run()
        assert [s.note for s in run.stages if "retention" in s.note] == [
            "nothing new; 3 rows past their retention left"
        ]
        assert sorted(ws.polars(ws.table("events"))["message_id"]) == ["ancient", "kept", "look"]
        assert sorted(ws.polars(ws.table("user_identifiers"))["value"]) == ["u2", "u3"], "u1 had nothing else"
        loads = ws.polars(ws.table("source_loads"))
        balance = (
            pl.col("rows_read") - pl.col("events") - pl.col("duplicates") - pl.col("quarantined") - pl.col("suppressed")
        )
        assert loads.select(balance.abs().sum()).item() == 0
        assert loads["events"].sum() == 3
        assert ws.run(full_refresh=True).status == "succeeded"
        assert ws.polars(ws.table("events")).height == 3, "they come again from the files, and leave again"
        assert ws.privacy.retention()["events"].to_list() == [0, 0]


def test_a_rule_of_no_source_is_named(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text(SHOP.replace("- {source: web, keep", "- {source: wep, keep"))
    with pytest.raises(cdp.SpecError, match=r"cdp.yaml:\d+: unknown source 'wep'.*web"):
        cdp.open(tmp_path)
