"""Events are sent once each, changed on the way for one destination only."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from event_world import MAPPING, World, paid

import cdp_core as cdp
from cdp_core.destinations.plan import SyncPlan
from cdp_core.destinations.sync import SyncResult

ANN = "ann@example.org"
HASHED = hashlib.sha256(ANN.encode()).hexdigest()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def load(world: World) -> None:
    with cdp.open(world.root) as ws:
        assert ws.run().status == "succeeded"


def plan(world: World) -> SyncPlan:
    with cdp.open(world.root) as ws:
        return ws.sync("events").plan()


def send(world: World) -> SyncResult:
    with cdp.open(world.root) as ws:
        return ws.sync("events").run()


def test_new_events_are_sent_and_those_that_were_are_not(world: World) -> None:
    world.say("web", paid(1, 5), {**paid(2), "type": "identify"})
    load(world)
    assert (send(world).delivered, sorted(world.delivered())) == (1, ["web/m1"])
    world.say("web", paid(1, 6), paid(3))
    world.say("shop", paid(1, 7))
    load(world)
    found = plan(world)
    assert (found.add, found.change, found.remove, found.unchanged) == (2, 0, 0, 1)
    assert send(world).delivered == 2
    rows = world.delivered()
    assert {key: row["total"] for key, row in rows.items()} == {"web/m1": "5.0", "shop/m1": "7.0", "web/m3": "1.0"}
    assert json.loads(rows["shop/m1"]["all"]) == {"total": 7}
    assert rows["web/m1"]["whose"] == rows["shop/m1"]["whose"] != rows["web/m3"]["whose"]
    assert plan(world).due == 0
    assert send(world).delivered == 0


def test_sources_whose_names_look_like_parts_of_an_id_stay_apart(world: World) -> None:
    import ibis

    from cdp_core.destinations.model import event_id

    pairs = [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c"), ("a", "b%2Fc")]
    table = ibis.memtable([{"source": s, "message_id": m} for s, m in pairs])
    assert len(set(ibis.duckdb.connect().to_polars(event_id(table)))) == len(pairs)


def test_a_destination_gets_events_changed_and_the_stored_ones_stay(world: World) -> None:
    world.say("web", paid(1, email=ANN), paid(2, email=HASHED), paid(3))
    load(world)
    with cdp.open(world.root) as ws:
        before = ws.polars(ws.table("events").order_by("message_id"))
    steps = [{"hash": "properties.email"}, {"event": "Paid", "rename_event": "Sold"}, {"drop": "properties.total"}]
    world.configure({"mapping": {**MAPPING, "context": "context"}}, steps)
    load(world)
    assert send(world).delivered == 3
    rows = world.delivered()
    assert [rows[f"web/m{n}"]["email"] for n in (1, 2, 3)] == [HASHED, HASHED, ""]
    assert {(row["name"], row["total"]) for row in rows.values()} == {("Sold", "")}
    said = [json.loads(rows[f"web/m{n}"]["context"])["protocols"]["transformed"] for n in (1, 2)]
    assert said[0] == ["hash: properties.email", "rename_event: Paid → Sold", "drop: properties.total"]
    assert said[1] == said[0][1:]
    with cdp.open(world.root) as ws:
        assert ws.polars(ws.table("events").order_by("message_id")).equals(before)
        assert ANN not in json.dumps(ws.polars(ws.table("sync_ledger"))["payload"].to_list())


def test_other_steps_send_nothing_again_in_mode_insert_and_the_changed_rows_in_mode_upsert(world: World) -> None:
    step = [{"hash": "properties.email"}]
    world.say("web", paid(1, email=ANN), paid(2))
    load(world)
    send(world)
    world.configure(transform=step)
    assert (plan(world).due, plan(world).unchanged) == (0, 2)
    assert world.delivered()["web/m1"]["email"] == ANN
    world.configure({"mode": "upsert"})
    send(world)
    world.configure({"mode": "upsert"}, step)
    found = plan(world)
    assert (found.change, found.unchanged) == (1, 1)
    assert found.samples["change"][0]["before"]["email"] == ANN
    send(world)
    assert world.delivered()["web/m1"]["email"] == HASHED


def test_a_file_is_kept_as_it_was_sent_when_it_is_lost_moved_or_loses_its_events(world: World) -> None:
    world.say("web", paid(1, email=ANN), paid(2))
    load(world)
    send(world)
    before = world.delivered()
    (world.root / "out" / "events.csv").unlink()
    world.configure(transform=[{"drop": "properties.email"}])
    found = plan(world)
    assert (found.add, found.unchanged, "written again" in str(found.note)) == (2, 0, True)
    send(world)
    assert world.delivered() == before
    moved = {"options": {"file": "other.csv"}, "model": {"events": {"event": "Nothing"}}}
    world.configure(moved)
    assert send(world).delivered == 2
    assert world.delivered("out/other.csv") == before
    assert plan(world).due == 0
    world.configure({**moved, "options": {"file": "other.csv", "escape_formulas": False}})
    assert plan(world).change == 2
    send(world)
    assert plan(world).due == 0


def test_a_key_of_ones_own_may_come_from_inside_an_event(world: World) -> None:
    order = {"key": "order", "mapping": {"order": "properties.order", "total": "properties.total"}}
    world.configure(order, [{"event": "Paid", "rename": "properties.no", "to": "order"}])
    world.say("web", paid(1, no="a"), paid(2, no="b"), paid(3))
    load(world)
    found = plan(world)
    assert (found.add, found.invalid) == (2, 1)
    send(world)
    world.say("web", paid(4, 9, no="b"), paid(5, no="c"))
    load(world)
    found = plan(world)
    assert (found.add, found.unchanged, found.invalid) == (1, 2 + 1, 1)


def test_only_the_events_that_are_chosen(world: World) -> None:
    world.say("web", paid(1), {**paid(2), "event": "Refunded"}, {**paid(3), "type": "page", "name": "Paid"})
    world.say("shop", paid(4))
    load(world)
    for choice, ids in [
        ({}, ["shop/m4", "web/m1", "web/m2", "web/m3"]),
        ({"event": "Refunded"}, ["web/m2"]),
        ({"event": ["Paid"], "source": "web", "type": "track"}, ["web/m1"]),
        (None, ["shop/m4", "web/m1", "web/m2", "web/m3"]),
    ]:
        world.configure({"model": "events" if choice is None else {"events": choice}})
        assert sorted(row["id"] for row in plan(world).samples["add"]) == ids


def test_what_a_field_is_read_as(world: World) -> None:
    kinds = {
        "number": 1.5,
        "integer": 3,
        "boolean": True,
        "date": "1998-07-01",
        "datetime": "1998-07-01T02:00:00+02:00",
    }
    said = {f"p{kind}": value for kind, value in kinds.items()}
    mapping = {kind: {"column": f"properties.p{kind}", "type": kind} for kind in kinds}
    world.configure(
        {"mapping": {**mapping, "wrong": {"column": "properties.pdate", "type": "integer"}, "deep": "properties.o.x"}}
    )
    world.say("web", paid(1, **said, o={"x": [1, None]}))
    load(world)
    found = plan(world)
    assert found.fields == {"event_id": "string", "number": "float64", "integer": "int64", "boolean": "boolean",
                            "date": "date", "datetime": "timestamp", "wrong": "int64", "deep": "string"}  # fmt: skip
    assert found.samples["add"] == [{"event_id": "web/m1", "number": 1.5, "integer": 3, "boolean": True, "date": "1998-07-01",
                                     "datetime": "1998-07-01T00:00:00Z", "wrong": None, "deep": "[1,null]"}]  # fmt: skip


def test_random_runs_send_every_event_once_and_never_touch_it_again(world: World) -> None:
    rng = random.Random(3)
    expected: dict[str, str] = {}
    steps: list[Any] = []
    for _ in range(6):
        for source in ("web", "shop"):
            numbers = rng.sample(range(40), 8)
            totals = {n: rng.randrange(100) for n in numbers}
            world.say(source, *(paid(n, total, email=ANN) for n, total in totals.items()))
            email = HASHED if steps else ANN
            for n, total in totals.items():
                expected.setdefault(f"{source}/m{n}", f"{total}.0 {email}")
        load(world)
        new = len(expected) - (len(world.delivered()) if (world.root / "out").exists() else 0)
        assert send(world).delivered == new
        assert {key: f"{row['total']} {row['email']}" for key, row in world.delivered().items()} == expected
        steps = [{"hash": "properties.email"}] if rng.random() < 0.5 else []
        world.configure(transform=steps)
        if rng.random() < 0.4:
            (world.root / "out" / "events.csv").unlink()
            send(world)


_KILLED = """
import os, signal, sys
import cdp_core as cdp
from cdp_core.destinations import sync
from cdp_core.destinations.databases import postgres
postgres.PostgresDestination.batch_rows = 7
sync.SETTLE_ROWS = 14
plain = postgres.PostgresDestination.send
def send(self, batch):
    made = plain(self, batch)
    send.calls += 1
    if send.calls == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return made
send.calls = 0
postgres.PostgresDestination.send = send
with cdp.open(sys.argv[1]) as ws:
    ws.sync("events").run()
"""


@pytest.mark.postgres
def test_a_killed_run_is_finished_in_postgres_and_every_event_is_there_once(world: World, postgres_url: str) -> None:
    where = {"type": "postgres", "url": postgres_url}
    table = {"options": {"table": "facts"}}
    world.configure(table, [{"hash": "properties.email"}], where)
    world.say("web", *(paid(n, n, email=ANN) for n in range(40)))
    load(world)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(world.root)], check=False)
    assert done.returncode == -signal.SIGKILL
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("UPDATE facts SET name = 'kept' WHERE id = 'web/m0'")  # the first batch is settled
        found = plan(world)
        assert (found.add, found.unchanged) == (40 - 14, 14)
        world.say("shop", paid(0, 99))
        load(world)
        assert send(world).delivered == 40 - 14 + 1
        rows = db.execute("SELECT id, name, total, email FROM facts").fetchall()
        assert len(rows) == 41
        assert {row[0]: row[2] for row in rows} == {**{f"web/m{n}": float(n) for n in range(40)}, "shop/m0": 99.0}
        assert {row[3] for row in rows} == {HASHED, None}
        assert [row[1] for row in rows if row[0] == "web/m0"] == ["kept"]
        assert plan(world).due == 0
        db.execute("DROP TABLE facts")
        assert (plan(world).add, send(world).delivered) == (41, 41)


def test_a_step_for_a_destination_that_no_events_go_to_is_told(world: World) -> None:
    world.configure({"model": "profiles", "key": "id", "mapping": {"id": "profile_id"}}, [{"drop": "properties.a"}])
    load(world)
    told = [f for f in cdp.doctor(world.root) if "transform" in f.what]
    assert [f.what for f in told] == ["transform of the destination 'out' changes events, and no sync sends any there"]
    world.configure(transform=[{"drop": "properties.a"}])
    assert not [f for f in cdp.doctor(world.root) if "transform" in f.what]


def test_steps_that_change_events_again_are_told(world: World) -> None:
    steps = [{"rename": "properties.b", "to": "c"}, {"rename": "properties.a", "to": "b"}]
    world.config["sources"]["web"]["transform"] = steps
    (world.root / "cdp.yaml").write_text(json.dumps(world.config))
    (told,) = [f for f in cdp.doctor(world.root) if "transform" in f.what]
    assert told.what.startswith("transform of the source 'web': step 2 brings back what step 1 changes (cdp.yaml:")
