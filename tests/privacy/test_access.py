"""A package holds everything of one person, from every path that data take, and nothing of anybody else."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cdp_core as cdp
from cdp_core import tables
from cdp_core.inbox.packed import pack
from cdp_core.inbox.writer import InboxWriter, Received
from cdp_core.privacy import page, sections

SHOP = """
name: shop <b>& Co</b>
destinations:
  box: {type: sqlite, path: box.sqlite, purpose: To send parcels CANARY-PURPOSE}
  news: {type: sqlite, path: news.sqlite, consent: news}
sources:
  crm:
    type: file
    path: crm.csv
    purpose: To keep your contract
    map:
      type: identify
      key: [no]
      time: at
      identifiers: {user_id: no, email: mail, phone: tel}
      traits: {email: mail, name: name, age: {column: age, type: integer}}
      consent: {news: news}
  shop:
    type: file
    path: orders.csv
    map: {type: track, event: Order, key: [order], time: at, identifiers: {user_id: no}, properties: {note: note}}
  web: {type: segment, path: "web*.jsonl"}
  site: {type: collector}
traits:
  email: {}
  name: {}
  age: {type: integer}
  notes: {unique_list: Order.note}
audiences:
  buyers: {description: People who may get a parcel, where: {event: Order}}
syncs:
  people: {model: profiles, destination: box, key: id, options: {table: p}, mapping: {id: profile_id, who: name}}
  mails: {model: profiles, destination: news, key: id, options: {table: p}, mapping: {id: profile_id, who: name}}
"""
XSS = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def marks(who: str) -> dict[str, str]:
    """What a person leaves behind, by the path that it takes."""
    kinds = ("name", "note", "old", "context", "web", "held", "waiting", "consent", "suppress", "rectify", "decision")
    return {kind: f"{who}-{kind}-mark" for kind in kinds}


PEOPLE = {"7": "ann", "70": "joann", "8": "ben"}


def mail(who: str) -> str:
    return f"{who}@example.org"


def write(root: Path) -> None:
    (root / "cdp.yaml").write_text(SHOP)
    crm, orders, web = [], [], []
    for number, (no, who) in enumerate(PEOPLE.items()):
        m, tel = marks(who), f"+1415555010{number}"
        name = f"{m['name']} {XSS}" if who == "ann" else m["name"]
        crm.append([no, mail(who), tel, name, 30 + number, "true", "2026-01-05"])
        # A row that is held: of no other identifier than a telephone number as people write it, or a short id.
        crm.append(["", "", f"(415) 555-010{number}", f"{m['held']}-1", "old", "", "2026-01-05"])
        crm.append([no, "", "", f"{m['held']}-2", "old", "", "2026-01-06"])
        orders.append([f"o{no}", no, m["note"], "2026-01-07"])
        orders.append([f"p{no}", f"999{no}", f"{who}-first-mark", "2026-01-07"])  # Theirs only once it is corrected.
        web.append(
            {"type": "track", "event": "Order", "messageId": f"w{no}", "anonymousId": f"device-of-{who}-0001",
             "timestamp": "2026-01-02T00:00:00Z", "properties": {"note": m["web"], "formula": f"=cmd|{who}"},
             "context": {"ip": m["context"], "consent": {"categoryPreferences": {"news": False}}}}
        )  # fmt: skip
        web.append({"type": "identify", "messageId": f"i{no}", "userId": no, "anonymousId": f"device-of-{who}-0001",
                    "timestamp": "2026-01-03T00:00:00Z"})  # fmt: skip
    for name, head, rows in (("crm", "no,mail,tel,name,age,news,at", crm), ("orders", "order,no,note,at", orders)):
        with (root / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head.split(","), *rows])
    lines = [json.dumps(line) + "\n" for line in web]
    (root / "web.jsonl").write_text("".join(lines[::2]))
    (root / "web2.txt").write_text("".join(lines[1::2]))


def waiting(root: Path) -> None:
    inbox = InboxWriter(root, lambda waiters, error: None)
    for no, who in PEOPLE.items():
        event = {"type": "track", "event": "Later", "userId": no, "properties": {"note": marks(who)["waiting"]}}
        text = json.dumps(event).encode()
        inbox.put(Received("site", 1_770_000_000_000_000, b"{}", 1, len(text), pack([text])), None)
    inbox.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cdp.Workspace]:
    root = tmp_path_factory.mktemp("shop")
    write(root)
    with cdp.open(root) as ws:
        assert ws.run().status == "succeeded"
        (root / "web2.txt").rename(root / "web2.jsonl")  # Devices turn out to be people's: profiles merge.
        assert ws.run(sync=True).status == "succeeded"
        # The orders are corrected: what they were is stored still.
        text = (root / "orders.csv").read_text()
        for no in PEOPLE:
            text = text.replace(f"p{no},999{no},", f"p{no},{no},").replace("-first-", "-old-")
        (root / "orders.csv").write_text(text.replace("-note-", "-old-").replace("2026-01-07", "2026-01-08"))
        assert ws.run(sync=True).status == "succeeded"
        for no, who in PEOPLE.items():
            m = marks(who)
            ws.consent.set(f"user_id:{no}", "news", "granted", reason=m["consent"], actor=f"desk of {who}")
            ws.privacy.suppress(f"user_id:{no}", reason=m["suppress"])
            ws.privacy.rectify(f"user_id:{no}", {"age": f"4{no[0]}"}, reason=m["rectify"])
            ws.identity.never_link(f"user_id:{no}", "email:stranger@example.org", reason=m["decision"])
        ws.identity.never_link("user_id:7", "email:ben@example.org", reason="they are two")
        assert ws.stored.follow().status == "succeeded"
        waiting(root)
        yield ws


def texts(path: Path) -> dict[str, str]:
    """Content of a zip by file name."""
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name).decode() for name in packed.namelist()}


def test_everything_of_one_and_nothing_of_another(shop: cdp.Workspace, tmp_path: Path) -> None:
    made = shop.privacy.access("phone:+1 415 555 0100", reason="asked by mail")
    written = made.write(tmp_path / "ann.zip")
    assert written.path.stat().st_mode & 0o777 == 0o600
    files = texts(written.path)
    told = json.loads(files["person.json"])
    every = {**marks("ann"), "mail": mail("ann"), "tel": "+14155550100", "device": "device-of-ann-0001"}
    forms = {
        "person.json": files["person.json"],
        "index.html": files["index.html"],
        "csv": "".join(text for name, text in files.items() if name.endswith(".csv")),
    }
    for form, text in forms.items():
        missing = [kind for kind, mark in every.items() if mark not in text]
        assert not missing, f"{form} lacks {missing}"
        assert "ann-held-mark-1" in text, f"{form}: a telephone number in another writing"
        assert "ann-held-mark-2" in text, f"{form}: a short id in its column"
        strangers = [
            x for x in ("joann", "ben-", "ben@", "of ben", "stranger", "device-of-ben", "5550101") if x in text
        ]
        assert not strangers, f"{form} tells of {strangers}"
    assert set(told) == {"format", "about", *made.rows}
    assert {name: len(told[name]) for name in made.rows} == made.rows == written.rows
    for name, count in made.rows.items():
        rows = list(csv.DictReader(io.StringIO(files.get(f"{name}.csv", ""))))
        assert len(rows) == count, name
    assert all(made.rows[name] for name in made.rows if name not in ("alike", "conflicts")), made.rows
    # Values are what they are: JSON is JSON, and what CSV makes harmless is exact in person.json.
    orders = {row["message_id"]: row for row in told["events"] if row["source"] == "web"}
    assert orders["w7"]["properties"]["formula"] == "=cmd|ann"
    assert orders["w7"]["counts"] is True
    older = [r["properties"]["note"] for r in told["events"] if r["source"] == "shop" and not r["counts"]]
    assert sorted(older) == ["ann-first-mark", "ann-note-mark"]
    assert told["profile"][0]["notes"] == ["ann-old-mark", "ann-web-mark"]
    assert {r["source"]: r["purpose"] for r in told["about"]["sources"]}["crm"] == "To keep your contract"
    (box,) = [r for r in told["about"]["recipients"] if r["recipient"] == "box"]
    assert box == {"recipient": "box", "type": "sqlite", "purpose": "To send parcels CANARY-PURPOSE", "rows": 1}
    assert told["sent"][0]["payload"]["who"].startswith("ann-name-mark")
    assert told["about"]["purposes"] == [{"used_for": "audience buyers", "purpose": "People who may get a parcel"}]
    assert told["about"]["person"]["earlier_profile_ids"], "profiles that went into this one"
    for row in told["decisions"]:
        assert sorted((row["left"], row["right"])) == ["(another person)", "user_id:7"]
    assert made.frame("consents")["state"].to_list() == ["granted"]


def test_the_page_is_inert(shop: cdp.Workspace, tmp_path: Path) -> None:
    shop.privacy.access("user_id:7", reason="r").write(tmp_path / "folder")
    assert (tmp_path / "folder").stat().st_mode & 0o77 == 0
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "folder").iterdir())
    text = (tmp_path / "folder" / "index.html").read_text()
    tags: set[str] = set()
    attributes: set[tuple[str, str | None]] = set()

    class Seen(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            attributes.update(attrs)

    Seen().feed(text)
    assert not tags & {"script", "img", "link", "iframe", "a", "b*", "object", "form"}
    assert not [name for name, _ in attributes if name.startswith("on") or name in ("src", "href")]
    assert "&lt;script&gt;alert(1)" in text
    assert "shop &lt;b&gt;&amp; Co" in text
    assert not re.search(r"url\(|@import|https?://", text)
    table = (tmp_path / "folder" / "identifiers.csv").read_text()
    assert "'+14155550100" in table, "a spreadsheet would compute it"


def test_where_it_may_not_go(shop: cdp.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shop.privacy.access("user_id:7", reason="r")
    (tmp_path / "there.zip").write_text("mine")
    with pytest.raises(cdp.UsageError, match="there is something already"):
        made.write(tmp_path / "there.zip")
    assert (tmp_path / "there.zip").read_text() == "mine"
    with pytest.raises(cdp.UsageError, match="where the workspace keeps its data"):
        made.write(shop.root / "data" / "ann.zip")
    with pytest.raises(cdp.UsageError, match="a reason is missing"):
        shop.privacy.access("user_id:7", reason=" ")
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch(r"access-\d{8}T\d{6}Z\.zip", made.write().path.name), "nobody's name"
    monkeypatch.setattr(page, "_section", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made.write(tmp_path / "half.zip")
    assert not [p.name for p in tmp_path.iterdir() if "half" in p.name or p.name.startswith(".access")]


def test_somebody_without_a_profile(shop: cdp.Workspace) -> None:
    inbox = InboxWriter(shop.root, lambda waiters, error: None)
    for who in ("dan@example.org", "not.dan@example.org", "dan@example.org.uk"):
        text = json.dumps({"type": "identify", "traits": {"email": who, "note": f"note of {who}"}}).encode()
        inbox.put(Received("site", 1_770_000_000_000_000, b"{}", 1, len(text), pack([text])), None)
    inbox.close()
    made = shop.privacy.access("email:Dan@Example.org", reason="asked")
    assert {name: n for name, n in made.rows.items() if n} == {"waiting": 1}
    assert json.loads(made.frame("waiting")["payload"][0])["traits"]["note"] == "note of dan@example.org"
    assert made.subject.profile_id is None


def test_a_person_with_many_events_is_read_in_chunks(
    shop: cdp.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100,000 events no more than a chunk is in memory at a time, and all of them are in the files."""
    engine, many = shop.engine, 100_000
    whose = shop.resolve("user_id:8")
    made = pl.DataFrame({"n": range(many)}).select(
        source=pl.lit("bulk"), message_id=pl.format("m{}", "n"), type=pl.lit("track"), event=pl.lit("Click"),
        timestamp=pl.lit(datetime(2026, 1, 1)) + pl.col("n") * timedelta(seconds=1),
        properties=pl.concat_str(pl.lit('{"n":'), pl.col("n"), pl.lit("}")),
    )  # fmt: skip
    columns = {
        c: pl.lit(None, kind).alias(c) for c, kind in tables.EVENTS.polars_schema().items() if c not in made.columns
    }
    links = made.select("source", "message_id", profile_id=pl.lit(whose))
    with engine.transaction():
        engine.append("events", engine.frame(made.with_columns(**columns).select(list(tables.EVENTS.columns))))
        engine.append("event_profiles", engine.frame(links))
    seen: list[int] = []
    real = sections.as_json

    def watched(chunk: pl.DataFrame, section: Any) -> pl.Series:
        seen.append(chunk.height)
        return real(chunk, section)

    monkeypatch.setattr("cdp_core.privacy.package.as_json", watched)
    shop.privacy.access("user_id:8", reason="r").write(tmp_path / "many")
    assert max(seen) == sections.CHUNK < many
    told = json.loads((tmp_path / "many" / "person.json").read_text())
    found = [row["properties"]["n"] for row in told["events"] if row["source"] == "bulk"]
    assert found == list(range(many))
    assert (tmp_path / "many" / "events.csv").read_text().count("\n") == len(told["events"]) + 1
    text = (tmp_path / "many" / "index.html").read_text()
    assert len(text) < 1_000_000
    assert "more rows are in events.csv" in text
