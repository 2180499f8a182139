"""An erased person is gone from every table and file, whatever happens in between; everybody else stays as they are."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import cdp_core as cdp
from cdp_core.cli import execute
from cdp_core.privacy.certificate import as_html, is_genuine
from cdp_core.privacy.key import workspace_key
from cdp_core.privacy.requests import KINDS, OUTCOMES
from cdp_core.runs.erasure.erase import PROOF, STEPS
from cdp_core.runs.erasure.order import FOLDER, Order, read_order, write_order
from cdp_core.tables import CANONICAL

SHOP = """
name: shop
destinations:
  box: {type: sqlite, path: box.sqlite}
  folder: {type: file, path: exports}
  moody: {type: Moody}
  hook: {type: webhook, url: "http://127.0.0.1:9/", private_network: true}
sources:
  crm:
    type: file
    path: crm.csv
    map:
      {type: identify, key: [id], identifiers: {user_id: id, email: email, phone: phone}, traits: {email: email, name: name}}
  web: {type: segment, path: web.ndjson, plan: {name: shop, violations: block}}
traits:
  email: {type: string}
  name: {type: string}
audiences:
  all: {where: {trait: email, exists: true}}
syncs:
  people: {model: profiles, destination: box, key: id, options: {table: people}, mapping: {id: profile_id, mail: email}}
  listed: {model: {audience: all}, destination: folder, key: id, options: {file: all.csv}, mapping: {id: profile_id, mail: email}}
  moods: {model: profiles, destination: moody, mode: upsert, key: id, mapping: {id: profile_id, mail: email}}
"""
MOODY = '''
from pathlib import Path
import cdp_core as cdp
from pydantic import BaseModel

class Moody:
    """Takes everything, and erases only while the file `calm` is there."""

    class Options(BaseModel):
        pass
    class SyncOptions(BaseModel):
        pass
    erase_settles = 0.0
    def __init__(self, options, root):
        self.root = root
    def prepare(self, delivery):
        pass
    def send(self, batch):
        from cdp_core.destinations.base import SendResult
        with (self.root / "moody.log").open("a") as log:
            log.write(f"sent {len(batch.rows)}\\n")
        return SendResult()
    def erase(self, delivery, keys):
        from cdp_core.destinations.base import SendResult
        from cdp_core.errors import DestinationError
        if not (self.root / "calm").exists():
            raise DestinationError("it is not in the mood", where="moody")
        return SendResult()
'''
PEOPLE = ["ann", "ben", "cyd", "dee", "eve", "fay"]
ANN = "ann@example.org"


def event(name: str, message_id: str, **more: object) -> str:
    row = {
        "type": "track", "event": "Order Completed", "messageId": message_id, "userId": name, "anonymousId": f"dev-{name}-0001",
        "timestamp": "2026-03-01T10:00:00Z", "context": {"consent": {"categoryPreferences": {"ads": True}}},
        "properties": {"order_id": f"o-{message_id}", "total": 5, "email": f"{name}@example.org"},
    }  # fmt: skip
    return json.dumps(row | more)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("erase") / "shop"
    (root / "expectations/tracking_plan").mkdir(parents=True)
    plan = "events:\n  Order Completed:\n    properties:\n      total: {type: number, required: true}\n"
    (root / "expectations/tracking_plan/shop.yaml").write_text(plan)
    (root / "cdp.yaml").write_text(SHOP)
    (root / "destinations.py").write_text(MOODY)
    write_crm(root, PEOPLE)
    rows = [event(name, f"m-{name}-{n}") for name in PEOPLE for n in range(3)]
    rows.append(event("ann", "m-ann-odd", properties={"total": "many", "email": "Ann@Example.org"}))
    (root / "web.ndjson").write_text("\n".join(rows) + "\n")
    with cdp.open(root) as ws:
        done = ws.run(sync=True)
        assert done.status == "succeeded", done.error
        ws.identity.never_link(f"email:{ANN}", "email:ben@example.org", reason="not the same")
        ws.identity.never_link("email:cyd@example.org", "email:ben@example.org", reason="not the same")
        ws.run()
    return root


def write_crm(root: Path, people: list[str]) -> None:
    lines = [f"{name},{name}@example.org,+1415555{1000 + PEOPLE.index(name)},{name.title()}" for name in people]
    (root / "crm.csv").write_text("id,email,phone,name\n" + "\n".join(lines) + "\n")


@pytest.fixture
def root(loaded: Path, tmp_path: Path) -> Path:
    shutil.copytree(loaded, tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def shop(root: Path) -> Iterator[cdp.Workspace]:
    with cdp.open(root) as ws:
        yield ws


NAMES = ("ann@example.org", "dev-ann-0001", "+14155551000", "m-ann-")
OURS = {"runs", "stage_state", "source_loads", "suppressions", "suppressed_profiles", "privacy_requests", "violations"}


def others(ws: cdp.Workspace) -> dict[str, pl.DataFrame]:
    """Every table without the rows that name the person."""
    found = {}
    person = ids_of(ws)
    for name in sorted(set(CANONICAL) - OURS):
        frame = ws.polars(ws.table(name))
        texts = [c for c, kind in frame.schema.items() if kind == pl.String]
        mine = pl.any_horizontal(
            [pl.col(c).str.contains_any([*NAMES, *person], ascii_case_insensitive=True).fill_null(False) for c in texts]
        )
        own = pl.any_horizontal([pl.col(c).fill_null("") == "ann" for c in texts])
        found[name] = frame.filter(~mine & ~own).sort(frame.columns)
    found["violations"] = ws.polars(ws.table("violations").drop("sample")).sort(pl.all())
    return found


def ids_of(ws: cdp.Workspace) -> list[str]:
    known = ws.table("user_identifiers")
    return ws.polars(known.filter(known.value == ANN).select("profile_id"))["profile_id"].to_list() or ["p_none"]


def named(ws: cdp.Workspace) -> list[str]:
    """Tables in which the person is still named."""
    found = []
    for name in CANONICAL:
        text = ws.polars(ws.table(name)).write_ndjson().lower()
        if any(one in text for one in NAMES) or '"ann"' in text:
            found.append(name)
    return found


def files_with(root: Path, text: bytes) -> set[str]:
    return {
        p.relative_to(root).as_posix()
        for p in root.rglob("*")
        if p.is_file() and text.lower() in p.read_bytes().lower()
    }


def test_nothing_is_left_and_nobody_else_is_touched(shop: cdp.Workspace) -> None:
    before = others(shop)
    assert {"events", "quarantine", "identity_links", "profiles", "sync_ledger"} <= set(named(shop))
    (shop.root / "calm").touch()
    made = shop.privacy.erase("phone:+1 415 555 1000", reason="asked for it", received=date(2026, 1, 31))
    assert (made.status, made.due, made.error) == ("done", date(2026, 2, 28), None)
    assert (made.taken["events"], made.taken["quarantine"]) == (4, 1), made.taken
    assert {r.sync: r.state for r in made.receipts} == dict.fromkeys(("people", "listed", "moods"), "confirmed")
    assert [(r["kind"], r["place"]) for r in made.residual] == [("source", "crm.csv"), ("source", "web.ndjson")]
    assert not named(shop)
    after = others(shop)
    for name, frame in before.items():
        assert frame.equals(after[name]), name
    assert files_with(shop.root, ANN.encode()) == {"crm.csv", "web.ndjson"}
    assert files_with(shop.root, b"dev-ann-0001") == {"web.ndjson"}
    assert not list((shop.root / "data/privacy/open").iterdir())
    run = shop.run()
    assert {s.name: s.note for s in run.stages if s.name in ("identity", "profiles", "audiences")} == dict.fromkeys(
        ("identity", "profiles", "audiences"), "unchanged"
    ), "nobody else can be different"
    shop.run(select=["identity", "profiles", "audiences"])
    with pytest.raises(cdp.UsageError, match="suppressed already"):
        shop.privacy.suppress(f"email:{ANN}", reason="again")


def test_files_that_name_the_person_by_a_short_id_alone_are_told_of_too(tmp_path: Path) -> None:
    mapped = "map: {type: track, event: Visited, key: [n], identifiers: {user_id: who}, properties: {page: page}}"
    sources = [f"  {name}: {{type: file, path: {name}.csv, {mapped}}}" for name in ("visits", "others")]
    (tmp_path / "cdp.yaml").write_text("name: short\nsources:\n" + "\n".join(sources) + "\n")
    (tmp_path / "visits.csv").write_text("n,who,page\n1,ann,/a\n2,ben,/b\n")
    (tmp_path / "others.csv").write_text("n,who,page\n1,ben,/b\n")
    with cdp.open(tmp_path) as ws:
        ws.run()
        made = ws.privacy.erase("user_id:ann", reason="asked for it")
        assert made.taken["events"] == 1
        assert [(each["kind"], each["place"]) for each in made.residual] == [("source", "source visits")]
        assert "too short" in made.residual[0]["note"]


def test_a_catalog_that_is_kept_elsewhere(root: Path) -> None:
    shutil.rmtree(root / "data/lake")
    text = SHOP + "engine: {lake: other/lake, catalog: ../keys/catalog.sqlite, encrypted: true}\n"
    (root / "cdp.yaml").write_text(text)
    (root / "calm").touch()
    with cdp.open(root) as ws:
        assert ws.run(sync=True).status == "succeeded"
        assert files_with(root.parent / "keys", ANN.encode()), "the catalog has least and greatest values"
        assert not files_with(root / "other", ANN.encode()), "files are encrypted"
        made = ws.privacy.erase(f"email:{ANN}", reason="asked for it")
        assert {each["place"] for each in made.residual} == {"crm.csv", "web.ndjson"}
    assert not files_with(root.parent / "keys", ANN.encode())


def test_a_certificate_says_what_was_done_and_nothing_else(shop: cdp.Workspace) -> None:
    known = shop.polars(shop.table("user_identifiers").limit(1))
    person = known.select(pl.format("{}:{}", "type", "value")).item()
    shop.privacy.access(person, reason="she asked")
    shop.privacy.suppress(person, reason="she asked")
    shop.privacy.unsuppress(person, reason="she came back")
    told = {row["kind"]: row["request_id"] for row in shop.privacy.requests().to_dicts()}
    for kind in ("access", "suppress", "unsuppress"):
        made = shop.privacy.requests.get(told[kind])
        page = shop.privacy.requests.certificate_page(made.request_id)
        assert made.outcome
        assert made.outcome in page
        assert "Taken out" not in page
        assert "What remains" not in page
    assert set(KINDS) == {"erase", *OUTCOMES}


def test_the_certificate_is_signed_and_names_nobody(shop: cdp.Workspace) -> None:
    (shop.root / "calm").touch()
    made = shop.privacy.erase(f"email:{ANN}", reason="asked <b>for</b> it")
    told = shop.privacy.requests.certificate(made.request_id)
    key = workspace_key(shop.root)
    assert key is not None
    assert is_genuine(told, key)
    assert not is_genuine(told | {"taken": {}}, key)
    assert not any(one in (json.dumps(told) + as_html(told)).lower() for one in NAMES)
    assert "<b>" not in as_html(told)
    for said in (
        "Of shorter ones, the sources",
        "HMAC-SHA-256 over the JSON",
        told["finished_at"].replace("T", " ") + " UTC",
    ):
        assert said in as_html(told)
    path = shop.privacy.requests.write_certificate(made.request_id, shop.root / "c.html")
    assert "not ours" not in path.read_text()
    assert made.request_id in path.read_text()
    with pytest.raises(cdp.UsageError, match="there already"):
        shop.privacy.requests.write_certificate(made.request_id, path)


def test_it_waits_for_a_destination_that_fails(shop: cdp.Workspace) -> None:
    made = shop.privacy.erase(f"email:{ANN}", reason="asked for it")
    assert made.status == "waiting"
    states = {r.sync: (r.state, r.note) for r in made.receipts}
    assert states["moods"] == ("failed", "moody: it is not in the mood")
    assert states["people"][0] == "confirmed"
    assert not named(shop)
    with pytest.raises(cdp.UsageError, match="not done"):
        shop.privacy.requests.certificate(made.request_id)
    shop.run()
    assert shop.privacy.requests.get(made.request_id).status == "waiting"
    (shop.root / "calm").touch()
    shop.run()
    found = shop.privacy.requests.get(made.request_id)
    assert found.status == "done"
    assert next(r for r in found.receipts if r.sync == "moods").attempts == 3
    assert not list((shop.root / "data/privacy/open").iterdir())


def test_by_hand(shop: cdp.Workspace) -> None:
    made = shop.privacy.erase(f"email:{ANN}", reason="asked for it")
    with pytest.raises(cdp.UsageError, match="people"):
        shop.privacy.requests.confirm(made.request_id, "peopel", reason="told by phone")
    done = shop.privacy.requests.confirm(made.request_id, "moods", reason="told by phone")
    assert done.status == "done"
    with pytest.raises(cdp.UsageError, match="done"):
        shop.privacy.requests.extend(made.request_id, reason="much to do")


def test_an_identifier_that_nobody_has_is_said_to_be_none(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = ["privacy", "request", "suppress", "--reason", "wrote to us", "--yes", "-w", str(root)]
    assert execute([*request, "email:anne@example.org"]) == 0
    told = capsys.readouterr()
    assert "nobody has this identifier: is it spelled as they gave it?" in told.out + told.err
    assert execute([*request, f"email:{ANN}"]) == 0
    told = capsys.readouterr()
    assert "nobody has" not in told.out + told.err


def test_an_extension(shop: cdp.Workspace) -> None:
    made = shop.privacy.erase(f"email:{ANN}", reason="asked for it", received=date(2025, 11, 30))
    longer = shop.privacy.requests.extend(made.request_id, reason="three registers")
    assert longer.due == date(2026, 2, 28)
    assert longer.overdue(date(2026, 3, 1))
    assert not longer.overdue(longer.due)
    with pytest.raises(cdp.UsageError, match="before"):
        shop.privacy.requests.extend(made.request_id, reason="more")
    rows = shop.privacy.requests(open_only=True)
    assert rows["request_id"].to_list() == [made.request_id]
    stored = shop.polars(shop.table("privacy_requests"))
    assert stored["due_at"].dt.date().to_list() == [longer.due]


def test_a_restored_lake_brings_nobody_back(shop: cdp.Workspace) -> None:
    (shop.root / "calm").touch()
    shop.close()
    shutil.copytree(shop.root / "data/lake", shop.root / "backup")
    shop.privacy.erase(f"email:{ANN}", reason="asked for it")
    shop.close()
    shutil.rmtree(shop.root / "data/lake")
    shutil.move(shop.root / "backup", shop.root / "data/lake")
    assert named(shop)
    assert shop.run().status == "succeeded"
    assert not named(shop)
    assert files_with(shop.root / "data", ANN.encode()) == set()


def test_orders_of_whoever_died_in_between_go(root: Path) -> None:
    """An order names a person: it is there before the request is, and goes when that is done, or never came to be."""
    order = Order(request_id="q1", identifiers=(("email", ANN),))
    (root / "calm").touch()
    with cdp.open(root) as ws:
        write_order(root, order)
        ws.privacy.requests.resume()
        assert read_order(root, "q1") == order, "its request may be on its way"
        path = root / FOLDER / "q1.json"
        os.utime(path, (0, 0))
        ws.privacy.requests.resume()
        assert not path.exists()
        made = ws.privacy.erase(f"email:{ANN}", reason="asked for it")
        write_order(root, replace(order, request_id=made.request_id))
        ws.privacy.requests.resume()
    assert not list((root / FOLDER).iterdir())


CHILD = """
import os, signal, sys
import cdp_core as cdp
from cdp_core.runs import requesting
from cdp_core.runs.erasure import erase

folder, point = sys.argv[1], sys.argv[2]
when, step = point.split()
for name in (*erase.STEPS, erase.PROOF):
    def wrapped(self, name=name, plain=getattr(erase._Work, name)):
        if (when, step) == ("before", name):
            os.kill(os.getpid(), signal.SIGKILL)
        plain(self)
        if (when, step) == ("after", name):
            os.kill(os.getpid(), signal.SIGKILL)
    setattr(erase._Work, name, wrapped)
if when == "within":
    from cdp_core.engine.ducklake import DuckLakeEngine
    plain = DuckLakeEngine._commit
    commits = iter(range(1, 100))
    def commit(self):
        plain(self)
        if next(commits) == int(step):
            os.kill(os.getpid(), signal.SIGKILL)
    DuckLakeEngine._commit = commit
with cdp.open(folder) as ws:
    ws.privacy.erase("email:ann@example.org", reason="asked for it")
"""
POINTS = ["before barred", "within 2", "after lake", "after proof"]


@pytest.mark.parametrize("point", POINTS)
def test_one_that_was_killed_goes_on(point: str, root: Path) -> None:
    (root / "calm").touch()
    with cdp.open(root) as ws:
        before = others(ws)
    done = subprocess.run([sys.executable, "-c", CHILD, str(root), point], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with cdp.open(root) as ws:
        (made,) = ws.privacy.requests.resume()
        assert made.status == "done"
        assert set(made.steps) == {*STEPS, PROOF}
        assert made.taken["events"] == 4, made.taken
        assert not named(ws)
        after = others(ws)
        for name, frame in before.items():
            assert frame.equals(after[name]), name
    assert files_with(root, ANN.encode()) == {"crm.csv", "web.ndjson"}
