"""A workspace whose events are sent somewhere: two web sites that number their messages alike."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

MAPPING = {
    "id": "event_id",
    "name": "event",
    "whose": "profile_id",
    "total": {"column": "properties.total", "type": "number"},
    "email": "properties.email",
    "all": "properties",
}
SENT = {
    "model": {"events": {"type": "track"}},
    "destination": "out",
    "options": {"file": "events.csv"},
    "mapping": MAPPING,
}


class World:
    """`say` appends events to a source's file; `configure` writes cdp.yaml."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for source in ("web", "shop"):
            (root / f"{source}.ndjson").write_text("")
        self.configure()

    def configure(
        self,
        sync: dict[str, Any] | None = None,
        transform: Sequence[Any] = (),
        destination: dict[str, Any] | None = None,
    ) -> None:
        where = destination or {"type": "file", "path": "out"}
        self.config = {
            "name": "t",
            "today": "1998-07-02",
            "sources": {s: {"type": "segment", "path": f"{s}.ndjson"} for s in ("web", "shop")},
            "destinations": {"out": {**where, **({"transform": list(transform)} if transform else {})}},
            "syncs": {"events": {**SENT, **(sync or {})}},
        }
        (self.root / "cdp.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))

    def say(self, source: str, *events: dict[str, Any]) -> None:
        usual = {"type": "track", "event": "Paid", "timestamp": "1998-07-01T00:00:00Z"}
        with (self.root / f"{source}.ndjson").open("a") as file:
            file.writelines(json.dumps({**usual, **event}) + "\n" for event in events)

    def delivered(self, file: str = "out/events.csv") -> dict[str, dict[str, str]]:
        with (self.root / file).open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        by_id = {row["id"]: row for row in rows}
        assert len(by_id) == len(rows), "an event is there twice"
        return by_id


def paid(number: int, total: float = 1, **more: Any) -> dict[str, Any]:
    return {"messageId": f"m{number}", "userId": f"u{number}", "properties": {"total": total, **more}}
