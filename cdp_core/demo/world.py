"""Writes the demo world: eighteen months of an online music shop, five sources, and the truth about who is who."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from cdp_core.demo.about import describe
from cdp_core.demo.crm import Contacts, draw_contacts
from cdp_core.demo.draw import Bools
from cdp_core.demo.files import write_csv, write_sqlite
from cdp_core.demo.newsletter import Subscribers, draw_subscribers
from cdp_core.demo.orders import draw_orders, history
from cdp_core.demo.people import People, draw_people
from cdp_core.demo.support import CREATE, INSERT, Tickets, draw_tickets
from cdp_core.demo.template import copy_template
from cdp_core.demo.web import LOGIN, Devices, draw_browsing
from cdp_core.demo.web_json import write_web_events
from cdp_core.errors import UsageError

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

    Without `people` it is the repository's own world: the 23,570 real CDNOW customers with their 69,659 orders. With it,
    each of that many people gets an order history drawn from the real ones. Everything else is made up, seeded: the
    same seed and size give the same bytes. All times are UTC, from 1997-01-01 to 1998-06-30. `real_orders` names a
    CDNOW_master.txt to take instead of the packaged one; `progress` is called with one line per file.

    Raises UsageError when `out` holds something else than a workspace without data, or `people` is below 1.

    >>> write_world(Path("demo"), people=20_000, seed=99).rows["shop_orders.parquet"]  # doctest: +SKIP
    59138
    """
    started = time.perf_counter()
    say = progress or (lambda line: None)
    if people is not None and people < 1:
        raise UsageError(f"a world of {people} people", hint="give 1 or more")
    out = Path(out)
    _refuse(out)
    orders = draw_orders(history(real_orders), people, seed)
    sources = _folder(out)
    copy_template(out)
    crowd = draw_people(orders, seed)
    rows = {"shop_orders.parquet": len(orders.customer)}
    orders.frame(crowd.frame["customer_id"]).write_parquet(
        sources / "shop_orders.parquet", compression="zstd", compression_level=9 if crowd.size <= SMALL else 3
    )
    say(f"shop_orders.parquet: {len(orders.customer):,} rows")

    level = 9 if crowd.size <= SMALL else 1
    contacts = draw_contacts(crowd, seed)
    write_csv(sources / "crm_contacts.csv.gz", contacts.frame, level)
    devices, browsing = draw_browsing(crowd, orders, seed)
    known = contacts.email_known | _logged_in(crowd, devices)
    tickets = draw_tickets(crowd, contacts, known, seed)
    write_sqlite(sources / "support.db", CREATE, INSERT, tickets.frame.iter_rows())
    subscribers = draw_subscribers(crowd, known, seed)
    write_csv(sources / "newsletter.csv", subscribers.frame)
    rows |= {
        "crm_contacts.csv.gz": contacts.frame.height,
        "support.db": tickets.frame.height,
        "newsletter.csv": subscribers.frame.height,
    }
    for name in ("crm_contacts.csv.gz", "support.db", "newsletter.csv"):
        say(f"{name}: {rows[name]:,} rows")
    rows["web_events"], bad_web = write_web_events(sources / "web_events", crowd, devices, browsing, seed, level)
    say(f"web_events: {rows['web_events']:,} rows")
    events = sum(rows.values())

    truth = _truth(crowd, contacts, devices, tickets, subscribers)
    write_csv(out / "data" / "truth.csv", truth)
    rows["truth.csv"] = truth.height
    summary = WorldSummary(
        out=out,
        seed=seed,
        people=crowd.customers,
        leads=crowd.size - crowd.customers,
        households=len(crowd.head),
        duplicates=contacts.duplicates,
        devices=devices.size,
        visitors=int((devices.owner == -1).sum()),
        bots=int((devices.owner == -2).sum()),
        events=events,
        rows=rows,
        bad_rows=contacts.bad_rows | bad_web | tickets.bad_rows | subscribers.bad_rows,
        seconds=round(time.perf_counter() - started, 2),
    )
    (out / "data" / "README.md").write_text(describe(summary), encoding="utf-8")
    return summary


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
        raise UsageError("the workspace has data already", where=str(out), hint="name a new folder, or remove data/ first")


def _folder(out: Path) -> Path:
    sources = out / "data" / "sources"
    try:
        sources.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("the folder cannot be made", where=str(out), hint="name one that you may write to") from error
    return sources


def _logged_in(people: People, devices: Devices) -> Bools:
    """Per person: whether a login ties the e-mail to the customer number."""
    known = np.zeros(people.size, dtype=np.bool_)
    known[devices.owner[devices.link == LOGIN]] = True
    return known & ~people.is_member


def _truth(
    people: People, contacts: Contacts, devices: Devices, tickets: Tickets, subscribers: Subscribers
) -> pl.DataFrame:
    """source, record, person: which record of which source is whose. Contacts without an id are no record."""
    customers = people.frame.head(people.customers)
    whose = {
        "shop_orders": (customers["customer_id"], customers["person"]),
        "crm_contacts": (contacts.frame["contact_id"], people.column("person", np.maximum(contacts.person, 0))),
        "web_events": (devices.anonymous_id, devices.record_owner(people)),
        "support_tickets": (tickets.frame["ticket_id"], people.column("person", tickets.person)),
        "newsletter": (subscribers.frame["subscriber_id"], people.column("person", subscribers.person)),
    }
    parts = [pl.DataFrame({"record": record, "person": person}).with_columns(source=pl.lit(name)) for name, (record, person) in whose.items()]
    return pl.concat(parts).select("source", "record", "person").drop_nulls("record")
