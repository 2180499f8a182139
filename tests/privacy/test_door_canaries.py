"""Values that may not be stored, sent in on every way there is: afterwards they stand in no file of the workspace."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from live_posts import post

import cdp_core as cdp
from cdp_core.engine import Staging
from cdp_core.inbox.packed import unpack
from cdp_core.tables import CANONICAL

CONFIG = """
name: canaries
sources:
  crm:
    type: file
    path: sources/crm.csv
    map: {type: identify, key: id, time: at, identifiers: {user_id: id}, traits: {mail: mail, card_number: card}}
  whole:
    type: file
    path: sources/whole.csv
    map: {type: identify, key: id, identifiers: {user_id: id}}
  book:
    type: file
    path: sources/book.xlsx
    map: {type: identify, key: id, identifiers: {user_id: id}}
  nested:
    type: file
    path: sources/nested.ndjson
    map: {type: identify, key: id, identifiers: {user_id: id}}
  helpdesk:
    type: sql
    url: sqlite:///sources/helpdesk.sqlite
    table: people
    map: {type: identify, key: id, identifiers: {user_id: id}, traits: {note: note}}
  archive: {type: segment, path: sources/archive.ndjson, plan: {name: archive, violations: block}}
  site: {type: collector, plan: {name: archive, violations: block}}
PRIVACY
"""
OFF = "privacy: {controls: {red: allow}}"
PLAN = "events:\n  Paid:\n    properties:\n      total: {type: number, required: true}\n"
SUITE = {
    "name": "crm",
    "meta": {},
    "expectations": [
        {
            "type": "expect_column_values_to_match_regex",
            "kwargs": {"column": "mail", "regex": "@"},
            "meta": {"severity": "quarantine", "rule": "mail", "description": "An address has an @"},
        }
    ],
}
WAYS = (
    "csv_mapped", "csv_unmapped", "csv_untyped", "csv_ragged", "csv_rejected", "csv_suite", "excel", "json_rows",
    "json_broken", "sql", "archive", "archive_list", "archive_top", "archive_context", "archive_broken",
    "archive_plan", "archive_external", "live", "live_list", "live_envelope", "live_broken", "live_part",
    "live_plan", "live_large", "fixed",
)  # fmt: skip


def canary(way: str) -> str:
    return f"canary.{way}.0"


def track(number: int, total: Any = 1, **more: Any) -> dict[str, Any]:
    said = {"type": "track", "event": "Paid", "messageId": f"m{number}", "userId": "u1", "timestamp": "2026-11-01"}
    return said | {"properties": {"total": total}} | more


def sources(root: Path) -> None:
    folder = root / "sources"
    folder.mkdir()
    (folder / "crm.csv").write_text(
        "id,at,mail,card,ssn\n"
        f"1,2026-11-01,a@x.org,{canary('csv_mapped')},{canary('csv_unmapped')}\n"
        f"2,2026-11-01,b@x.org,x,y,{canary('csv_ragged')}\n"
        f"3,no day,c@x.org,x,{canary('csv_rejected')}\n"
        f"4,2026-11-01,nobody,x,{canary('csv_suite')}\n"
    )
    (folder / "whole.csv").write_text(f"id,Password\n1,{canary('csv_untyped')}\n")
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["id", "passport"])
    sheet.append([1, canary("excel")])
    book.save(folder / "book.xlsx")
    (folder / "nested.ndjson").write_text(
        json.dumps({"id": 1, "profile": {"cards": [{"cvv": canary("json_rows")}]}})
        + f'\n{{"id": 2, "profile": {{"password": "{canary("json_broken")}"\n'
    )
    with sqlite3.connect(folder / "helpdesk.sqlite") as helpdesk:
        helpdesk.execute("CREATE TABLE people (id, iban, note)")
        helpdesk.execute("INSERT INTO people VALUES (1, ?, 'x')", [canary("sql")])
    events = [
        track(1, properties={"total": 1, "card_number": canary("archive")}),
        track(2, properties={"total": 1, "cards": ["x", [{"card_number": canary("archive_list")}]]}),
        track(3, password=canary("archive_top")),
        track(4, context={"page": {"token": canary("archive_context")}}),
        track(5, properties={"total": "free", "ssn": canary("archive_plan")}),
        track(6, context={"externalIds": [{"id": canary("archive_external"), "type": "ssn"}]}),
    ]
    broken = f'{{"type": "track", "properties": {{"password": "{canary("archive_broken")}'
    (folder / "archive.ndjson").write_text("\n".join([*map(json.dumps, events), broken]) + "\n")


def live() -> list[bytes]:
    events = [
        track(11, properties={"total": 1, "cardNumber": canary("live")}),
        track(12, properties={"total": 1, "list": [{"ssn": canary("live_list")}]}),
        track(13, properties={"total": "free", "ssn": canary("live_plan")}),
        track(14, properties={"total": 1, "filling": "x" * 40_000, "ssn": canary("live_large")}),
    ]
    part = b'{"type": "track", "password": "' + canary("live_part").encode() + b'", nonsense}'
    sound = b",".join(json.dumps(event).encode() for event in events)
    context = json.dumps({"session": {"token": canary("live_envelope")}}).encode()
    whole = b'{"batch": [' + sound + b"," + part + b'], "context": ' + context + b"}"
    return [whole, b'{"batch": [{"type": "track", "password": "' + canary("live_broken").encode()]


def found(root: Path, text: str) -> set[str]:
    return {way for way in WAYS if canary(way) in text}


def kept(root: Path) -> set[str]:
    """Canaries in any file below data/, as it is and as it is read, and in logs."""
    texts = []
    for path in [*(root / "data").rglob("*"), *root.glob("*.log")]:
        if path.is_file():
            texts.append(path.read_bytes().decode("latin-1"))
        if path.suffix == ".parquet":
            texts.append(pl.read_parquet(path).write_json())
        if path.name.startswith("inbox-") and path.suffix in (".db", ".sqlite"):
            with sqlite3.connect(path) as inbox:
                for envelope, body in inbox.execute("SELECT envelope, body FROM requests"):
                    texts += [envelope.decode(), *(each.decode(errors="replace") for each in unpack(body))]
    with cdp.open(root) as ws:
        texts += [ws.polars(ws.table(name)).write_json() for name in CANONICAL if ws.engine.has(name)]
    return {way for text in texts for way in found(root, text)}


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Canaries that stood in a staging file when it was done with."""
    seen: set[str] = set()
    discard = Staging.discard

    def looked(self: Staging) -> None:
        if self.path.exists():
            for name in self.names():
                seen.update(way for way in WAYS if canary(way) in self.polars(self.table(name)).write_json())
            seen.update(way for way in WAYS if canary(way).encode() in self.path.read_bytes())
        discard(self)

    monkeypatch.setattr(Staging, "discard", looked)
    return seen


@pytest.mark.timeout(300)
@pytest.mark.parametrize("controls", ["off", "on"])
def test_on_every_way(tmp_path: Path, staged: set[str], controls: str, capfd: pytest.CaptureFixture[str]) -> None:
    """With controls off all of them are there: so the search would find what the controls do not."""
    (tmp_path / "cdp.yaml").write_text(CONFIG.replace("PRIVACY", OFF if controls == "off" else ""))
    (tmp_path / "expectations/tracking_plan").mkdir(parents=True)
    (tmp_path / "expectations/tracking_plan/archive.yaml").write_text(PLAN)
    (tmp_path / "expectations/sources").mkdir()
    (tmp_path / "expectations/sources/crm.json").write_text(json.dumps(SUITE))
    sources(tmp_path)
    assert post(tmp_path, "site", live()) == [200, 400]
    waiting = kept(tmp_path)
    with cdp.open(tmp_path) as ws:
        run = ws.run()
        assert run.status == "succeeded", run.error
        fixed = {"id": "3", "at": "2026-11-02", "mail": "nobody", "ssn": canary("fixed")}
        held = ws.polars(ws.table("quarantine"))
        (row,) = held.filter(pl.col("reasons").str.contains("map.time")).select("message_id").rows()
        ws.held.fix("crm", row[0], fixed)
        assert ws.held.replay(source="crm").selected
        loads = ws.polars(ws.table("source_loads").filter(lambda t: t.rows_read > 0))
    there = kept(tmp_path) | waiting | staged | found(tmp_path, "".join(capfd.readouterr()))
    assert there == (set(WAYS) if controls == "off" else set())
    reads = {"crm": 4, "whole": 1, "book": 1, "nested": 2, "helpdesk": 1, "archive": 7, "site": 6}
    assert dict(loads.select("source", "rows_read").rows()) == reads, "no row is lost on the way"
    quarantined = sum(loads["quarantined"])
    assert quarantined == 3 + 1 + 2 + 4, loads
    if controls == "on":
        (line,) = held.filter(pl.col("reasons").str.contains("ragged"))["payload"]
        assert re.fullmatch(r"\(withheld: \d+ bytes, hmac:[0-9a-f]{16}\)", line)
