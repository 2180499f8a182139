"""CRM contacts: one for most people, a second one for some, with what a real CRM has: typing errors, old addresses,
shared family e-mails, placeholders, leads, and a few rows that quality rules must hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from cdp_core.demo_world.draw import (
    DAY,
    END,
    START,
    Bools,
    Ints,
    chance,
    choose,
    numbered,
    pick,
    stream,
    text_moment,
    within,
)
from cdp_core.demo_world.noise import email_styles, phone_formats, typing_errors, when
from cdp_core.demo_world.people import People

DUPLICATES_PER_CUSTOMER = 0.08
IMPOSSIBLE_DATES = ["1972-02-30", "0000-00-00", "2031-05-17", "1868-13-01"]
PLACEHOLDERS = ["n/a", "unknown", "N/A", "null"]


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """`frame` is the file; `person` says whose contact each of its rows is, in step.

    `email_known`, `phone_known`: per person, whether contacts tie that identifier to the person.
    `bad_rows`: how many rows break which rule.
    """

    frame: pl.DataFrame
    person: Ints
    duplicates: int
    email_known: Bools
    phone_known: Bools
    bad_rows: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What is decided about each row before it is written.

    kind: 0 main contact; second contact 1 with the customer number, 2 known by e-mail only, 3 known by phone only.
    """

    person: Ints
    kind: Ints
    created: Ints
    updated: Ints


def draw_contacts(people: People, seed: int) -> Contacts:
    """The rows of crm_contacts.csv.gz, sorted by the time of creation."""
    rng = stream(seed, "crm")
    rows = _plan(rng, people)
    frame = _write(rng, people, rows)
    frame, person, bad_rows = _spoil(stream(seed, "noise"), people, rows, frame)
    clean = people.contact & (people.email_kind == 0)
    return Contacts(
        frame=frame,
        person=person,
        duplicates=int((rows.kind > 0).sum()),
        email_known=clean & (people.gives_number | (np.arange(people.size) >= people.customers)),
        phone_known=_phone_known(people, clean),
        bad_rows=bad_rows,
    )


def _phone_known(people: People, clean: Bools) -> Bools:
    written = (people.phone_kind == 0) & people.frame["phone"].is_not_null().to_numpy()
    known: Bools = people.contact & (people.gives_number | clean) & written
    return known


def _plan(rng: np.random.Generator, people: People) -> _Rows:
    main = np.flatnonzero(people.contact)
    created = within(people.since + rng.integers(0, 5 * DAY, people.size))
    untouched = chance(rng, people.size, 0.35)
    later = created + (rng.random(people.size) * (END - 1 - created)).astype(np.int64)
    updated = np.where(untouched, created, later)
    _head_first(people, created, updated)

    able = np.flatnonzero(people.contact & (np.arange(people.size) < people.customers))
    twice = np.sort(rng.permutation(able)[: int(people.customers * DUPLICATES_PER_CUSTOMER)])
    kind = 1 + choose(rng, len(twice), [0.6, 0.25, 0.15])
    plain = people.gives_number[twice] & ~np.isin(twice, people.member) & (people.email_kind[twice] == 0)
    kind = np.where(plain & ((kind < 3) | (people.phone_kind[twice] == 0)), kind, 1)
    again = within(created[twice] + rng.integers(-20 * DAY, 200 * DAY, len(twice)), last=END - 2 * DAY)
    return _Rows(
        person=np.concatenate([main, twice]),
        kind=np.concatenate([np.zeros(len(main), dtype=np.int64), kind]),
        created=np.concatenate([created[main], again]),
        updated=np.concatenate([updated[main], again + rng.integers(0, 2 * DAY, len(twice))]),
    )


def _head_first(people: People, created: Ints, updated: Ints) -> None:
    """The shared e-mail is the head's: the head's contact is older and was last written before any of the member's."""
    head, member = people.head, people.member
    head_updated = np.minimum(updated[head], END - 40 * DAY)
    updated[head] = head_updated
    created[head] = np.minimum(created[head], head_updated)
    created[member] = np.maximum(created[member], head_updated + 21 * DAY)
    updated[member] = np.maximum(updated[member], created[member])


def _write(rng: np.random.Generator, people: People, rows: _Rows) -> pl.DataFrame:
    second = rows.kind > 0
    size = len(rows.person)
    number = people.column("customer_id", rows.person)
    lost = (rows.kind > 1) | ((rows.kind == 0) & ~people.gives_number[rows.person])
    # One member in a hundred gives no number: nothing tells that contact from the head's, as in life.
    lost |= (rows.kind == 0) & np.isin(rows.person, people.member[25::100])
    typed = second & chance(rng, size, 0.6)
    moved = second & chance(rng, size, 0.5)
    street = when(moved, people.column("old_street", rows.person), people.column("street", rows.person))
    return pl.DataFrame(
        {
            "customer_id": when(lost, None, number),
            "first_name": typing_errors(rng, people.column("first_name", rows.person), typed),
            "last_name": typing_errors(rng, people.column("last_name", rows.person), second & chance(rng, size, 0.3)),
            "email": _emails(rng, people, rows),
            "phone": _phones(rng, people, rows),
            "street": when(chance(rng, size, 0.03), None, street),
            "city": people.column("city", rows.person),
            "state": people.column("state", rows.person),
            "postcode": when(chance(rng, size, 0.02), None, people.column("postcode", rows.person)),
            "birth_date": when(chance(rng, size, 0.1), None, people.column("birth_date", rows.person)),
            "created_at": text_moment(rows.created),
            "updated_at": text_moment(rows.updated),
        }
    )


def _emails(rng: np.random.Generator, people: People, rows: _Rows) -> pl.Series:
    size = len(rows.person)
    main = rows.kind == 0
    emails = email_styles(rng, people.column("email", rows.person))
    other = (rows.kind == 3) | ((rows.kind == 1) & chance(rng, size, 0.25))
    emails = when(other, people.column("old_email", rows.person), emails)
    emails = when((rows.kind == 1) & chance(rng, size, 0.2), None, emails)
    kind = people.email_kind[rows.person]
    emails = when(main & (kind == 1), None, emails)
    emails = when(main & (kind == 2), pick(PLACEHOLDERS, rng.integers(0, len(PLACEHOLDERS), size)), emails)
    return when(main & (kind == 3), "test@example.com", emails)


def _phones(rng: np.random.Generator, people: People, rows: _Rows) -> pl.Series:
    size = len(rows.person)
    phones = phone_formats(rng, people.column("phone", rows.person))
    kind = people.phone_kind[rows.person]
    phones = when((kind == 1) | ((rows.kind == 2) & chance(rng, size, 0.4)), None, phones)
    return when(kind == 2, pick(["000-000-0000", "unknown", "n/a"], rng.integers(0, 3, size)), phones)


def _spoil(
    rng: np.random.Generator, people: People, rows: _Rows, frame: pl.DataFrame
) -> tuple[pl.DataFrame, Ints, dict[str, int]]:
    """Sort by creation, number the contacts, and add about two bad rows in a thousand.

    Bad rows are main contacts of people outside households, and copies without a contact_id that belong to nobody.
    """
    order = np.lexsort((rows.person, rows.created))
    size = len(order)
    household = np.isin(rows.person, np.concatenate([people.head, people.member]))
    plain = (rows.kind == 0) & people.gives_number[rows.person] & ~household & (rows.created > START + 41 * DAY)
    drawn = rng.permutation(np.flatnonzero(plain))
    share = max(1, size // 2000)
    dates, mails, times, copies = (drawn[i * share : (i + 1) * share] for i in range(4))
    at = np.arange(size)
    early = text_moment(rows.created - 40 * DAY)
    without = frame["email"].fill_null("nobody@example.com").str.replace("@", ".", literal=True)
    frame = frame.with_columns(
        birth_date=when(np.isin(at, dates), pick(IMPOSSIBLE_DATES, rng.integers(0, 4, size)), frame["birth_date"]),
        email=when(np.isin(at, mails), without, frame["email"]),
        updated_at=when(np.isin(at, times), early, frame["updated_at"]),
    )
    numbers = np.empty(size, dtype=np.int64)
    numbers[order] = np.arange(1, size + 1)
    frame = frame.insert_column(0, numbered("c", numbers, 6).alias("contact_id"))
    nameless = frame[copies].with_columns(contact_id=pl.lit(None, dtype=pl.String))
    counts = {
        "crm_contacts: impossible birth_date": len(dates),
        "crm_contacts: email without @": len(mails),
        "crm_contacts: updated_at before created_at": len(times),
        "crm_contacts: copy without contact_id": len(copies),
    }
    person = np.concatenate([rows.person[order], np.full(len(copies), -1)])
    return pl.concat([frame[order], nameless]), person, counts
