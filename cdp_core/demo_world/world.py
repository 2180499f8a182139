"""Writes the demo world: eighteen months of an online music shop, five sources, and the truth about who is who."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from cdp_core.demo_world.about import describe
from cdp_core.demo_world.crm import Contacts, draw_contacts
from cdp_core.demo_world.draw import Bools
from cdp_core.demo_world.files import write_csv, write_parquet, write_sqlite
from cdp_core.demo_world.newsletter import Subscribers, draw_subscribers
from cdp_core.demo_world.orders import Orders, draw_orders, history
from cdp_core.demo_world.people import People, draw_people
from cdp_core.demo_world.support import CREATE, INSERT, Tickets, draw_tickets
from cdp_core.demo_world.template import copy_template
from cdp_core.demo_world.web import LOGIN, Browsing, Devices, draw_browsing
from cdp_core.demo_world.web_json import write_web_events
from cdp_core.errors import CDPError, UsageError

SMALL = 50_000  # people; a bigger world is compressed for speed instead of size


@dataclass(frozen=True, kw_only=True)
class WorldSummary:
    """What was written. `rows` per file, `bad_rows` per broken rule (quality suites must hold them), `seconds` in all.

    `events` counts the rows of all sources; `people` are customers; leads, visitors and bots come on top.
    """

    out: Path
    seed: int
    people: int
    leads: int
    households: int
    duplicates: int
    devices: int
    visitors: int
    bots: int
    events: int
    rows: dict[str, int]
    bad_rows: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def write_world(
    out: Path,
    *,
    people: int | None = None,
    seed: int = 7,
    real_orders: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> WorldSummary:
    """Write a ready demo workspace into `out`: cdp.yaml, expectations/, data/sources/*, data/truth.csv, data/README.md.

    Without `people` it is the repository's own world: the 23,570 real CDNOW customers with their 69,659 orders. With
    it, each of that many people gets an order history drawn from the real ones. Everything else is made up, seeded: the
    same seed and size give the same bytes. All times are UTC, from 1997-01-01 to 1998-06-30. `real_orders` names a
    CDNOW_master.txt to take instead of the packaged one; `progress` is called with one line per file.

    Raises UsageError when `out` holds something else than a workspace without data, or `people` is below 1; CDPError
    when the files cannot be written.

    >>> write_world(Path("demo"), people=20_000, seed=99).rows["shop_orders.parquet"]  # doctest: +SKIP
    60625
    """
    started = time.perf_counter()
    if people is not None and people < 1:
        raise UsageError(f"a world of {people} people", hint="give 1 or more")
    out = Path(out)
    _refuse(out)
    world = _draw(people, seed, real_orders)
    try:
        rows, bad_web = _write(world, out, seed, progress or (lambda line: None))
        summary = _summary(world, out, seed, rows, bad_web, time.perf_counter() - started)
        (out / "data" / "README.md").write_text(describe(summary), encoding="utf-8")
    except (OSError, sqlite3.Error) as error:
        hint = "make room or rights, remove what was written and try again"
        raise CDPError(f"the world could not be written: {error}", where=str(out), hint=hint) from error
    return summary


@dataclass(frozen=True, kw_only=True)
class _World:
    orders: Orders
    people: People
    contacts: Contacts
    devices: Devices
    browsing: Browsing
    tickets: Tickets
    subscribers: Subscribers


def _draw(people: int | None, seed: int, real_orders: Path | None) -> _World:
    orders = draw_orders(history(real_orders), people, seed)
    crowd = draw_people(orders, seed)
    contacts = draw_contacts(crowd, seed)
    devices, browsing = draw_browsing(crowd, orders, seed)
    known = contacts.email_known | _logged_in(crowd, devices)
    return _World(
        orders=orders,
        people=crowd,
        contacts=contacts,
        devices=devices,
        browsing=browsing,
        tickets=draw_tickets(crowd, contacts, known, seed),
        subscribers=draw_subscribers(crowd, known, seed),
    )


def _write(world: _World, out: Path, seed: int, say: Callable[[str], None]) -> tuple[dict[str, int], dict[str, int]]:
    """Write every file; returns the rows of each and the bad rows among the web events."""
    small = world.people.size <= SMALL
    level = 9 if small else 1
    sources = out / "data" / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    copy_template(out)
    rows: dict[str, int] = {}

    def note(name: str, count: int) -> None:
        rows[name] = count
        say(f"{name}: {count:,} rows")

    orders = world.orders.frame(world.people.frame["customer_id"])
    write_parquet(sources / "shop_orders.parquet", orders, level)
    note("shop_orders.parquet", orders.height)
    write_csv(sources / "crm_contacts.csv.gz", world.contacts.frame, level)
    note("crm_contacts.csv.gz", world.contacts.frame.height)
    folder = sources / "web_events"
    lines, bad_web = write_web_events(folder, world.people, world.devices, world.browsing, seed, level)
    note("web_events", lines)
    write_sqlite(sources / "support.db", CREATE, INSERT, world.tickets.frame.iter_rows())
    note("support.db", world.tickets.frame.height)
    write_csv(sources / "newsletter.csv", world.subscribers.frame)
    note("newsletter.csv", world.subscribers.frame.height)
    truth = _truth(world)
    write_csv(out / "data" / "truth.csv", truth)
    note("truth.csv", truth.height)
    return rows, bad_web


def _summary(
    world: _World, out: Path, seed: int, rows: dict[str, int], bad_web: dict[str, int], seconds: float
) -> WorldSummary:
    owner = world.devices.owner
    return WorldSummary(
        out=out,
        seed=seed,
        people=world.people.customers,
        leads=world.people.size - world.people.customers,
        households=len(world.people.head),
        duplicates=world.contacts.duplicates,
        devices=world.devices.size,
        visitors=int((owner == -1).sum()),
        bots=int((owner == -2).sum()),
        events=sum(rows.values()) - rows["truth.csv"],
        rows=rows,
        bad_rows=world.contacts.bad_rows | bad_web | world.tickets.bad_rows | world.subscribers.bad_rows,
        seconds=round(seconds, 2),
    )


def _refuse(out: Path) -> None:
    """Nothing is ever overwritten: the folder is new, empty, or a workspace that lacks data."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError("a file stands where the world should go", where=str(out), hint="name a new folder")
    entries = [path.name for path in out.iterdir()]
    if entries and "cdp.yaml" not in entries:
        raise UsageError("the folder is not empty and no workspace", where=str(out), hint="name a new or empty folder")
    sources = out / "data" / "sources"
    if (out / "data" / "truth.csv").exists() or (sources.is_dir() and any(sources.iterdir())):
        raise UsageError(
            "the workspace has data already", where=str(out), hint="name a new folder, or remove data/ first"
        )


def _logged_in(people: People, devices: Devices) -> Bools:
    """Per person: whether a login ties the e-mail to the customer number."""
    known = np.zeros(people.size, dtype=np.bool_)
    known[devices.owner[devices.link == LOGIN]] = True
    return known & ~people.is_member


def _truth(world: _World) -> pl.DataFrame:
    """source, record, person: which record of which source is whose. Contacts without an id are no record."""
    people, contacts = world.people, world.contacts
    customers = people.frame.head(people.customers)
    tickets, subscribers = world.tickets, world.subscribers
    whose = {
        "shop_orders": (customers["customer_id"], customers["person"]),
        "crm_contacts": (contacts.frame["contact_id"], people.column("person", np.maximum(contacts.person, 0))),
        "web_events": (world.devices.anonymous_id, world.devices.record_owner(people)),
        "support_tickets": (tickets.frame["ticket_id"], people.column("person", tickets.person)),
        "newsletter": (subscribers.frame["subscriber_id"], people.column("person", subscribers.person)),
    }
    parts = [
        pl.DataFrame({"record": record, "person": person}).select(pl.lit(name).alias("source"), "record", "person")
        for name, (record, person) in whose.items()
    ]
    return pl.concat(parts).drop_nulls("record")
