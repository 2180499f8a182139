"""One person with a value of their own in every field on every path: found everywhere first, and nowhere afterwards.

The erasure is done while the collector takes events of others in, and is killed once in the middle.
"""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from scanner import scan

import cdp_core as cdp
from cdp_core.tables import CANONICAL

sys.path.insert(0, str(Path(__file__).parents[1] / "collector"))
from serving import Collector, started

CONFIG = """
name: canary
destinations:
  strict: {type: sqlite, path: strict.sqlite}
  box: {type: sqlite, path: box.sqlite}
  folder: {type: file, path: data/exports}
sources:
  crm:
    type: file
    path: sources/crm.csv
    map:
      type: identify
      key: [id]
      identifiers: {user_id: id, email: email, phone: phone}
      traits: {name: name, street: street, note: note}
  loyalty:
    type: file
    path: sources/loyalty.xlsx
    map: {type: identify, key: [member], identifiers: {email: email}, traits: {motto: motto}}
  helpdesk:
    type: sql
    url: sqlite:///sources/helpdesk.sqlite
    table: tickets
    map: {type: track, event: Ticket Opened, key: [ticket], identifiers: {email: email}, properties: {text: text}}
  archive: {type: segment, path: sources/archive.ndjson.gz, plan: {name: shop, violations: block}}
  site: {type: collector}
identity:
  identifiers:
    user_id: {limit: 1}
    email: {}
    phone: {}
    anonymous_id: {}
    email_sha256: {derive: {from: email, how: sha256}}
traits:
  name: {type: string}
  street: {type: string}
  note: {type: string}
  motto: {type: string}
  email: {type: string}
audiences:
  named: {where: {trait: name, exists: true}}
syncs:
  people: {model: profiles, destination: box, key: id, options: {table: people}, mapping: {id: profile_id, name: name}}
  listed: {model: {audience: named}, destination: folder, key: id, options: {file: named.csv}, mapping: {id: profile_id, street: street}}
  refused: {model: profiles, destination: strict, key: id, options: {table: strict}, mapping: {id: profile_id, note: note}}
"""
PLAN = "events:\n  Ordered:\n    properties:\n      total: {type: number, required: true}\n"
SUITE = {
    "name": "crm",
    "expectations": [
        {
            "type": "expect_column_value_lengths_to_be_between",
            "kwargs": {"column": "street", "max_value": 12},
            "meta": {"severity": "warn", "rule": "short_street", "description": "Streets are short"},
        }
    ],
    "meta": {},
}
PERSON = {
    "user": "kanarie-user-0001",
    "email": "kanarie.mail@example.org",
    "other": "kanarie.other@example.net",
    "phone": "+14155550199",
    "name": "Kanarie Vogel",
    "street": "Kanariestraat 77",
    "note": "kanarie note in the crm",
    "motto": "kanarie motto in a workbook",
    "ticket": "kanarie ticket in a database",
    "device": "kanarie-device-0001",
    "before": "kanarie-device-before",
    "article": "kanarie article in an archive",
    "held": "kanarie held in quarantine",
    "ragged": "kanarie.mail@example.org;ragged kanarie line",
    "live": "kanarie live property",
    "waiting": "kanarie waits in the inbox",
    "agent": "kanarie user agent",
}
SOURCES = frozenset(f"sources/{name}" for name in ("crm.csv", "loyalty.xlsx", "helpdesk.sqlite", "archive.ndjson.gz"))
DECLARED = SOURCES
"""The user's own files, which the certificate names; nothing else may hold the person."""
ERASE = """
import os, signal, sys
import cdp_core as cdp
from cdp_core.engine.ducklake import DuckLakeEngine
from cdp_core.runs.erasure import take

plain = take.clear_samples
def killed(*args):
    plain(*args)
    os.kill(os.getpid(), signal.SIGKILL)
take.clear_samples = killed
with cdp.open(sys.argv[1]) as ws:
    ws.privacy.erase("email:kanarie.mail@example.org", reason="asked for it")
"""


def write_sources(root: Path) -> None:
    folder = root / "sources"
    folder.mkdir(parents=True)
    p = PERSON
    lines = [f"u{n},person{n}@example.org,+1415555{2000 + n},Person {n},Street {n},note {n}" for n in range(40)]
    lines.insert(7, f"{p['user']},{p['email']},{p['phone']},{p['name']},{p['street']},{p['note']}")
    (folder / "crm.csv").write_text("id,email,phone,name,street,note\n" + "\n".join(lines) + "\n")
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["member", "email", "motto"])
    sheet.append(["m0", p["email"], p["motto"]])
    for n in range(1, 5):
        sheet.append([f"m{n}", f"person{n}@example.org", f"motto {n}"])
    book.save(folder / "loyalty.xlsx")
    with sqlite3.connect(folder / "helpdesk.sqlite") as connection:
        connection.execute("CREATE TABLE tickets (ticket TEXT, email TEXT, text TEXT)")
        rows = [
            ("t0", p["other"], p["ticket"]),
            *((f"t{n}", f"person{n}@example.org", f"text {n}") for n in range(1, 5)),
        ]
        connection.executemany("INSERT INTO tickets VALUES (?, ?, ?)", rows)
    connection.close()
    events = [
        track(
            "a1",
            userId=p["user"],
            anonymousId=p["device"],
            properties={"total": 5, "article": p["article"]},
            context={"userAgent": p["agent"]},
        ),
        track("a2", userId=p["user"], properties={"total": "many", "email": p["email"], "why": p["held"]}),
        {"type": "alias", "messageId": "a3", "userId": p["user"], "previousId": p["before"], "timestamp": AT},
        {
            "type": "identify",
            "messageId": "a4",
            "anonymousId": p["device"],
            "traits": {"email": p["other"]},
            "timestamp": AT,
        },
        *(track(f"b{n}", userId=f"u{n % 40}", properties={"total": n}) for n in range(200)),
    ]
    text = "\n".join(json.dumps(one) for one in events) + "\n" + '{"type": "track", "messageId": "' + p["ragged"] + "\n"
    with gzip.open(folder / "archive.ndjson.gz", "wt") as file:
        file.write(text)


AT = "2026-03-01T10:00:00Z"


def track(message_id: str, **more: object) -> dict[str, object]:
    return {"type": "track", "event": "Ordered", "messageId": message_id, "timestamp": AT, **more}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    root = tmp_path_factory.mktemp("canary") / "ws"
    (root / "expectations/tracking_plan").mkdir(parents=True)
    (root / "expectations/tracking_plan/shop.yaml").write_text(PLAN)
    (root / "expectations/sources").mkdir()
    (root / "expectations/sources/crm.json").write_text(json.dumps(SUITE))
    (root / "cdp.yaml").write_text(CONFIG)
    write_sources(root)
    with sqlite3.connect(root / "strict.sqlite") as connection:
        connection.execute("CREATE TABLE strict (id TEXT PRIMARY KEY, note TEXT CHECK (note NOT LIKE '% in the crm'))")
    connection.close()
    with cdp.open(root) as ws:
        key = ws.live.create_key("site")["write_key"]
        browser = ws.live.create_key("site", browser=True)["write_key"]
    with started(root) as (process, url):
        collector = Collector(root, url, process, key, browser)
        for n in range(5):
            collector.post("/v1/track", track(f"c{n}", userId=f"u{n}", properties={"total": 1}))
        collector.post("/v1/track", track("c9", userId=PERSON["user"], properties={"total": 1, "live": PERSON["live"]}))
        with cdp.open(root) as ws:
            for _ in range(2):
                done = ws.run(sync=True)
                assert done.status == "succeeded", done.error
            ws.identity.never_link(f"email:{PERSON['email']}", "email:person1@example.org", reason="not the same")
            ws.quality_report(root / "data/report.html")
            ws.run()
        collector.post("/v1/track", track("c10", userId=PERSON["user"], properties={"text": PERSON["waiting"]}))
        yield collector
        collector.client.close()


def load(collector: Collector, ending: threading.Event, sent: list[str]) -> None:
    n = 0
    while not ending.is_set():
        n += 1
        answer = collector.post("/v1/track", track(f"load-{n}", userId=f"u{n % 40}", properties={"total": n}))
        assert answer.status_code == 200
        sent.append(f"load-{n}")
        time.sleep(0.02)


def come_back(world: Collector) -> None:
    """The person is in the sources once more, changed, and sends events."""
    path = world.root / "sources/crm.csv"
    path.write_text(path.read_text().replace(PERSON["street"], PERSON["street"] + " bis"))
    for n, said in enumerate(
        ({"userId": PERSON["user"]}, {"userId": "u3", "context": {"traits": {"email": PERSON["email"].upper()}}})
    ):
        answer = world.post("/v1/track", track(f"back-{n}", properties={"note": PERSON["note"]}, **said))
        assert answer.status_code == 200


def others(ws: cdp.Workspace) -> dict[str, pl.DataFrame]:
    """Rows of everybody else, of what was there before the load."""
    found = {}
    for name in (
        "events",
        "quarantine",
        "identity_links",
        "user_identifiers",
        "event_profiles",
        "profiles",
        "profile_traits",
        "audience_members",
        "sync_ledger",
    ):
        frame = ws.polars(ws.table(name))
        texts = [c for c, kind in frame.schema.items() if kind == pl.String]
        words = ["kanarie", "14155550199", "load-", *ids(ws)]
        own = pl.any_horizontal(
            pl.col(c).str.contains_any(words, ascii_case_insensitive=True).fill_null(False) for c in texts
        )
        found[name] = frame.filter(~own).sort(frame.columns)
    return found


_IDS: list[str] = []


def ids(ws: cdp.Workspace) -> list[str]:
    """Profile ids of the person, as they were when first asked, and the hash of their address."""
    if not _IDS:
        known = ws.table("user_identifiers")
        mine = ws.polars(
            known.filter(known.value.isin([PERSON["email"], PERSON["user"], PERSON["before"], PERSON["other"]]))
        )
        hashed = ws.polars(known.filter(known.profile_id.isin(mine["profile_id"].unique().to_list())))
        _IDS.extend({*mine["profile_id"], *hashed["value"], "t0", "m0"} - {None})
    return [one for one in _IDS if len(one) > 4] + ['"t0"', '"m0"']


def test_the_canary(world: Collector) -> None:
    root = world.root
    texts = sorted({*PERSON.values(), "kanarie"})
    before = scan(root, texts)
    ours = {text: {place for place in places if place.split(": ")[0] not in SOURCES} for text, places in before.items()}
    for text, places in ours.items():
        assert places, f"the scanner does not find {text!r}: the test would prove nothing"
    ways = {place.rsplit(": ", 1)[1] for places in ours.values() for place in places}
    assert {"plain", "sha256"} <= ways
    with cdp.open(root) as ws:
        assert ids(ws)
        told = others(ws)

    shutil.copytree(root / "data/lake", root.parent / "backup")
    ending, sent = threading.Event(), []
    loader = threading.Thread(target=load, args=(world, ending, sent))
    loader.start()
    try:
        killed = subprocess.run([sys.executable, "-c", ERASE, str(root)], capture_output=True, text=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        with cdp.open(root) as ws:
            (made,) = ws.privacy.requests.resume()
    finally:
        ending.set()
        loader.join()
    assert made.status == "done", made.to_dict()
    with cdp.open(root) as ws:
        assert {r["place"] for r in made.residual} == {*SOURCES, "source helpdesk"} - {"sources/helpdesk.sqlite"}
        left = {text: places for text, places in scan(root, texts, skip=DECLARED).items() if places}
        assert not left
        for name, frame in others(ws).items():
            assert frame.equals(told[name]), name
        ws.run(sync=True)
        assert set(sent) <= set(ws.polars(ws.table("events"))["message_id"]), "events of others came in meanwhile"

    come_back(world)
    with cdp.open(root) as ws:
        assert ws.run(sync=True, full_refresh=True).status == "succeeded"
        ws.held.replay()
        left = {text: places for text, places in scan(root, texts, skip=DECLARED).items() if places}
        assert not left, "imported again"

    shutil.rmtree(root / "data/lake")
    shutil.copytree(root.parent / "backup", root / "data/lake")
    with cdp.open(root) as ws:
        assert any(scan(root / "data/lake", [PERSON["email"]]).values())
        done = ws.run(sync=True)
        assert done.status == "succeeded", done.error
        assert not any(scan(root, texts, skip=DECLARED).values()), "a restored lake"
        for name in CANONICAL:
            assert "kanarie" not in ws.polars(ws.table(name)).write_ndjson().lower(), name
