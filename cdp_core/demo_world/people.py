"""The people of the demo world: who they are, and what each of them lets the shop know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from cdp_core.demo_world import words
from cdp_core.demo_world.draw import DAY, END, START, Bools, Ints, chance, choose, numbered, pick, stream, within
from cdp_core.demo_world.orders import Orders

LEADS_PER_CUSTOMER = 0.025
HOUSEHOLDS_PER_CUSTOMER = 0.02


@dataclass(frozen=True, kw_only=True)
class People:
    """Customers first, then leads who never bought.

    `frame` has one row per person: person, customer_id (null for leads), first_name, last_name, email, old_email,
    phone, street, old_street, city, state, postcode, birth_date. The arrays run in step with it. `head` and `member`
    are the persons of each household who share the head's e-mail.
    """

    frame: pl.DataFrame
    customers: int
    since: Ints
    genre: Ints
    browses: Bools
    contact: Bools
    gives_number: Bools
    email_kind: Ints
    phone_kind: Ints
    head: Ints
    member: Ints

    @property
    def size(self) -> int:
        return self.frame.height

    @property
    def is_member(self) -> Bools:
        return np.isin(np.arange(self.size), self.member)

    def column(self, name: str, person: Ints) -> pl.Series:
        return self.frame[name].gather(person)


def draw_people(orders: Orders, seed: int) -> People:
    """Every customer of `orders`, and leads on top; the same seed gives the same people."""
    rng = stream(seed, "people")
    customers = len(orders.count)
    size = customers + max(1, int(customers * LEADS_PER_CUSTOMER))
    customer = np.arange(size) < customers
    since = np.concatenate([orders.seconds[orders.first], rng.integers(START, END - 30 * DAY, size - customers)])
    browses = customer & chance(rng, size, 0.58)
    # 0 as it is, 1 blank, 2 placeholder, 3 a test address that several contacts share
    email_kind = np.where(customer, choose(rng, size, [0.948, 0.045, 0.0055, 0.0015]), 0)
    # 0 as it is, 1 blank, 2 placeholder
    phone_kind = choose(rng, size, [0.87, 0.11, 0.02])
    contact = ~customer | chance(rng, size, 0.96)
    # Who gives no number must be known by an address that a login confirms.
    gives_number = customer & ~(browses & (email_kind == 0) & chance(rng, size, 0.05))
    head, member = _households(rng, contact & gives_number & (email_kind == 0))
    frame = _contact_details(rng, size, customers, head, member)
    return People(
        frame=frame,
        customers=customers,
        since=within(since),
        genre=choose(rng, size, [0.28, 0.2, 0.1, 0.09, 0.09, 0.08, 0.06, 0.04, 0.03, 0.03]),
        browses=browses,
        contact=contact,
        gives_number=gives_number,
        email_kind=email_kind,
        phone_kind=phone_kind,
        head=head,
        member=member,
    )


def _households(rng: np.random.Generator, able: Bools) -> tuple[Ints, Ints]:
    candidates = rng.permutation(np.flatnonzero(able))
    count = min(int(len(able) * HOUSEHOLDS_PER_CUSTOMER), len(candidates) // 2)
    return candidates[:count], candidates[count : 2 * count]


def _contact_details(rng: np.random.Generator, size: int, customers: int, head: Ints, member: Ints) -> pl.DataFrame:
    household = np.arange(size)
    household[member] = head  # members live with their head, under one name
    first = _skewed(rng, size, len(words.FIRST_NAMES))
    last = _skewed(rng, size, len(words.LAST_NAMES))[household]
    city = rng.integers(0, len(words.CITIES), size)[household]
    frame = pl.DataFrame(
        {
            "person": numbered("p", np.arange(1, size + 1), 5),
            "customer_id": _customer_ids(size, customers),
            "first_name": pick(words.FIRST_NAMES, first),
            "last_name": pick(words.LAST_NAMES, last),
            "phone": phone_digits(rng, size),
            "street": _streets(rng, size).gather(household),
            "old_street": _streets(rng, size),
            "city": pick([place[0] for place in words.CITIES], city),
            "state": pick([place[1] for place in words.CITIES], city),
            "postcode": pick([place[2] for place in words.CITIES], city)
            + numbered("", rng.integers(0, 100, size)[household], 2),
            "birth_date": pl.Series(rng.integers(-16_400, 3_650, size))
            .cast(pl.Int32)
            .cast(pl.Date)
            .dt.to_string("%Y-%m-%d"),
        }
    )
    return frame.with_columns(
        email=_emails(rng, frame, words.MAIL_DOMAINS).gather(household),
        old_email=_emails(rng, frame, words.OLD_MAIL_DOMAINS),
    )


def _customer_ids(size: int, customers: int) -> pl.Series:
    numbers = pl.int_range(1, size + 1, eager=True)
    ids = numbers.cast(pl.String).str.zfill(max(5, len(str(customers))))
    return ids.zip_with(numbers <= customers, pl.Series([None], dtype=pl.String).new_from_index(0, size))


def _skewed(rng: np.random.Generator, size: int, words_available: int) -> Ints:
    return (words_available * rng.random(size) ** 1.3).astype(np.int64)


def _streets(rng: np.random.Generator, size: int) -> pl.Series:
    number = pl.Series(rng.integers(1, 2000, size)).cast(pl.String)
    name = pick(words.STREETS, rng.integers(0, len(words.STREETS), size))
    return number + " " + name + " " + pick(words.STREET_TYPES, rng.integers(0, len(words.STREET_TYPES), size))


def phone_digits(rng: np.random.Generator, size: int) -> pl.Series:
    """Ten digits, one number per person: 555-01xx, the fictional range, in every area code.

    A world that needs more takes all of 555, which serves no subscriber. Null beyond 3.5 million people.
    """
    lines, first_line = (100, 100) if size <= 100 * len(words.AREA_CODES) else (10_000, 0)
    numbers = lines * len(words.AREA_CODES)
    place = np.arange(size)
    place[: min(size, numbers)] = rng.permutation(numbers)[:size]
    area = np.array(words.AREA_CODES)[place % len(words.AREA_CODES)]
    line = first_line + place // len(words.AREA_CODES) % lines
    digits = pl.Series(area * 10_000_000 + 5_550_000 + line).cast(pl.String)
    return digits.zip_with(
        pl.Series(np.arange(size) < numbers), pl.Series([None], dtype=pl.String).new_from_index(0, size)
    )


def _emails(rng: np.random.Generator, people: pl.DataFrame, domains: list[str]) -> pl.Series:
    """One address per person: namesakes get a number behind their name."""
    size = people.height
    namesake = pl.int_range(pl.len()).over("first_name", "last_name")
    number = pl.when(namesake == 0).then(pl.lit("")).otherwise((namesake + 1).cast(pl.String))
    separator = pick([".", "_", "-"], choose(rng, size, [0.7, 0.2, 0.1]))
    domain = pick(domains, rng.integers(0, len(domains), size))
    address = pl.concat_str(pl.col("first_name"), separator, pl.col("last_name"), number, pl.lit("@"), domain)
    return people.select(email=address.str.to_lowercase())["email"]
