"""Support tickets: about fifteen for every hundred people, written from an e-mail address, a phone, or both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from cdp_core.demo_world import words
from cdp_core.demo_world.crm import Contacts
from cdp_core.demo_world.draw import (
    DAY,
    END,
    Bools,
    Ints,
    chance,
    choose,
    numbered,
    pick,
    repeat,
    stream,
    text_moment,
    within,
)
from cdp_core.demo_world.noise import email_styles, phone_formats, typing_errors, when
from cdp_core.demo_world.people import People

CREATE = """CREATE TABLE tickets (
  ticket_id TEXT PRIMARY KEY, opened_at TEXT NOT NULL, updated_at TEXT NOT NULL, requester_name TEXT,
  requester_email TEXT, requester_phone TEXT, topic TEXT, status TEXT, satisfaction INTEGER) WITHOUT ROWID"""
INSERT = "INSERT INTO tickets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, kw_only=True)
class Tickets:
    """`frame` is the table; `person` says whose ticket each of its rows is, in step."""

    frame: pl.DataFrame
    person: Ints
    bad_rows: dict[str, int]


def draw_tickets(people: People, contacts: Contacts, known_by_email: Bools, seed: int) -> Tickets:
    """Tickets by opening time. Members of a household write from their own phone, never from the shared address."""
    rng = stream(seed, "support")
    by_email = known_by_email & ~people.is_member
    stranger = chance(rng, people.size, 0.02) & ~people.is_member
    customer = np.arange(people.size) < people.customers
    able = np.flatnonzero(customer & (by_email | contacts.phone_known | stranger) & chance(rng, people.size, 0.135))
    owner, _ = repeat(1 + choose(rng, len(able), [0.86, 0.11, 0.03]))
    person = able[owner]
    opened = within(people.since[person] + (rng.random(len(person)) * (END - people.since[person])).astype(np.int64))
    order = np.lexsort((person, opened))
    person, opened = person[order], opened[order]
    return _write(rng, people, person, opened, by_email[person], contacts.phone_known[person])


def _write(
    rng: np.random.Generator, people: People, person: Ints, opened: Ints, by_email: Bools, by_phone: Bools
) -> Tickets:
    size = len(person)
    # 0 e-mail, 1 both, 2 phone: whoever is known by one of them only writes from that one
    way = np.where(by_email & by_phone, choose(rng, size, [0.45, 0.43, 0.12]), np.where(by_phone, 2, 0))
    first = typing_errors(rng, people.column("first_name", person), chance(rng, size, 0.1))
    bad = np.isin(np.arange(size), rng.permutation(size)[: max(1, size // 500)])
    satisfaction = when(
        chance(rng, size, 0.6), None, pl.Series(choose(rng, size, [0.06, 0.09, 0.2, 0.35, 0.3]) + 1).cast(pl.String)
    )
    frame = pl.DataFrame(
        {
            "ticket_id": numbered("t", np.arange(1, size + 1), 6),
            "opened_at": text_moment(opened),
            "updated_at": text_moment(within(opened + rng.integers(0, 9 * DAY, size))),
            "requester_name": first + " " + people.column("last_name", person),
            "requester_email": when(way == 2, None, email_styles(rng, people.column("email", person))),
            "requester_phone": when(way == 0, None, phone_formats(rng, people.column("phone", person))),
            "topic": pick(words.TOPICS, rng.integers(0, len(words.TOPICS), size)),
            "status": pick(["solved", "open", "pending"], choose(rng, size, [0.82, 0.1, 0.08])),
            "satisfaction": when(bad, "9", satisfaction).cast(pl.Int64),
        }
    )
    return Tickets(
        frame=frame, person=person, bad_rows={"support_tickets: satisfaction outside 1 to 5": int(bad.sum())}
    )
