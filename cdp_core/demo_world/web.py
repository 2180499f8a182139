"""Browsing: devices, sessions, logins, bots, clock skew and resends, as numbers; web_json.py turns them into lines."""

from __future__ import annotations

import binascii
from dataclasses import dataclass

import numpy as np
import polars as pl

from cdp_core.demo_world import words
from cdp_core.demo_world.draw import DAY, END, START, Bools, Ints, chance, choose, repeat, stream
from cdp_core.demo_world.orders import Orders
from cdp_core.demo_world.people import People

PAGE, IDENTIFY, VIEWED, ADDED = range(4)
NO_LINK, LOGIN, EMAIL = range(3)
PRODUCTS = 2_000  # product p is of genre p % len(GENRES)
PAGES = {
    "/": "Home",
    "/new": "New releases",
    "/search": "Search",
    "/genres": "Genres",
    "/charts": "Charts",
    "/account": "Account",
    "/cart": "Basket",
    "/help": "Help",
}


@dataclass(frozen=True, kw_only=True)
class Devices:
    """One row per anonymous id. `owner`: the person, -1 for a visitor nobody knows, -2 for a bot.

    `link`: how the device gives its person away: not at all, by login, by e-mail only. `skew`: its clock, ms ahead.
    """

    owner: Ints
    link: Ints
    skew: Ints
    anonymous_id: pl.Series

    @property
    def size(self) -> int:
        return len(self.owner)

    def record_owner(self, people: People) -> pl.Series:
        """The person of each device; visitors and bots are a person of their own each."""
        number = pl.int_range(1, self.size + 1, eager=True).cast(pl.String)
        stranger = pl.Series(["visitor", "bot"]).gather((self.owner == -2).astype(np.int64)) + number
        known = people.column("person", np.maximum(self.owner, 0))
        return known.zip_with(pl.Series(self.owner >= 0), stranger)


@dataclass(frozen=True, kw_only=True)
class Browsing:
    """Web events by time. `at`: true time, ms since 1970; `item`: page or product; `known`: carries the user id."""

    device: Ints
    at: Ints
    kind: Ints
    item: Ints
    known: Bools

    def gather(self, rows: Ints) -> Browsing:
        return Browsing(
            device=self.device[rows],
            at=self.at[rows],
            kind=self.kind[rows],
            item=self.item[rows],
            known=self.known[rows],
        )


def draw_browsing(people: People, orders: Orders, seed: int) -> tuple[Devices, Browsing]:
    rng = stream(seed, "web")
    devices = _devices(rng, people)
    session_device, start, rank, login = _sessions(rng, people, orders, devices)
    people_events = _session_events(rng, people, devices, session_device, start, rank, login)
    parts = [people_events, _bot_events(rng, devices)]
    everything = Browsing(
        device=np.concatenate([part.device for part in parts]),
        at=np.concatenate([part.at for part in parts]),
        kind=np.concatenate([part.kind for part in parts]),
        item=np.concatenate([part.item for part in parts]),
        known=np.concatenate([part.known for part in parts]),
    )
    return devices, everything.gather(np.argsort(everything.at, kind="stable"))


def _devices(rng: np.random.Generator, people: People) -> Devices:
    browsing = np.flatnonzero(people.browses)
    person, rank = repeat(1 + choose(rng, len(browsing), [0.66, 0.26, 0.08]))
    owner = browsing[person]
    has_email = (people.email_kind[owner] == 0) & ~people.is_member[owner]
    # The first device logs in, so that the others can be known by the e-mail that this login confirmed.
    first = np.where(people.gives_number[owner] & chance(rng, len(owner), 0.006), NO_LINK, LOGIN)
    other = np.where(has_email, choose(rng, len(owner), [0.035, 0.725, 0.24]), LOGIN)
    visitors = max(2, people.customers // 50)
    bots = max(2, people.customers // 3_000)
    strangers = np.concatenate([np.full(visitors, -1), np.full(bots, -2)])
    size = len(owner) + len(strangers)
    link = np.concatenate([np.where(rank == 0, first, other), np.full(len(strangers), NO_LINK)])
    skew = np.where(chance(rng, size, 0.02), rng.integers(-4 * DAY * 1000, 4 * DAY * 1000, size), 0)
    return Devices(
        owner=np.concatenate([owner, strangers]), link=link, skew=skew, anonymous_id=_anonymous_ids(rng, size)
    )


def _anonymous_ids(rng: np.random.Generator, size: int) -> pl.Series:
    """Twelve hexadecimal digits, all different: multiplying by an odd number permutes the 48-bit numbers."""
    factor, shift = (int(x) for x in rng.integers(1 << 40, 1 << 47, 2))
    numbers = (np.arange(1, size + 1, dtype=np.uint64) * np.uint64(factor | 1) + np.uint64(shift)) & np.uint64(
        (1 << 48) - 1
    )
    digits = binascii.hexlify(numbers.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:].tobytes()).decode()
    return pl.Series([digits[i : i + 12] for i in range(0, 12 * size, 12)], dtype=pl.String)


def _sessions(
    rng: np.random.Generator, people: People, orders: Orders, devices: Devices
) -> tuple[Ints, Ints, Ints, Bools]:
    """Device, start (ms), rank within the device and whether the person identifies in it, for every session."""
    counts = np.where(devices.owner == -2, 0, 1 + choose(rng, devices.size, [0.6, 0.28, 0.12]))
    device, _ = repeat(counts)
    owner = devices.owner[device]
    size = len(device)
    known = np.maximum(owner, 0)
    one = orders.first[known] + (rng.random(size) * orders.count[known]).astype(np.int64)
    before_order = orders.seconds[one] - (300 + rng.random(size) ** 2 * 3 * DAY).astype(np.int64)
    since = np.where(owner < 0, START, people.since[known] - 10 * DAY)
    anytime = since + (rng.random(size) * (END - since)).astype(np.int64)
    near = (owner >= 0) & chance(rng, size, 0.5)
    start = np.clip(np.where(near, before_order, anytime), START + 60, END - 7200) * 1000 + rng.integers(0, 1000, size)
    start = start[np.lexsort((start, device))]
    first = np.cumsum(counts) - counts
    rank = np.arange(size) - first[device]
    login_rank = (rng.random(devices.size) * counts).astype(np.int64)
    login = (rank == login_rank[device]) & (devices.link[device] != NO_LINK)
    return device, start, rank - login_rank[device], login


def _session_events(
    rng: np.random.Generator,
    people: People,
    devices: Devices,
    session_device: Ints,
    start: Ints,
    after_login: Ints,
    login: Bools,
) -> Browsing:
    """A page, the login if there is one, products viewed, sometimes one put into the basket."""
    size = len(start)
    views = np.minimum(rng.geometric(0.3, size) - 1, 14)
    added = (views > 0) & chance(rng, size, 0.3)
    counts = 1 + login + views + added
    session, position = repeat(counts)
    device, logs_in = session_device[session], login[session]
    kind = np.full(len(session), VIEWED, dtype=np.int64)
    kind[position == 0] = PAGE
    kind[(position == 1) & logs_in] = IDENTIFY
    kind[added[session] & (position == counts[session] - 1)] = ADDED
    pace = rng.integers(8_000, 90_000, size)
    at = start[session] + position * pace[session] + rng.integers(0, 5_000, len(session))
    known = (after_login[session] > 0) | ((after_login[session] == 0) & (position > 0))
    item = np.where(kind == PAGE, _pages(rng, len(session)), _products(rng, people, devices.owner[device]))
    return Browsing(device=device, at=at, kind=kind, item=item, known=known & (devices.link[device] == LOGIN))


def _pages(rng: np.random.Generator, size: int) -> Ints:
    return choose(rng, size, [0.4, 0.15, 0.15, 0.1, 0.08, 0.06, 0.04, 0.02])


def _products(rng: np.random.Generator, people: People, owner: Ints) -> Ints:
    """Mostly of the person's own genre; a few products are seen far more often than the rest."""
    genres = len(words.GENRES)
    own = (owner >= 0) & chance(rng, len(owner), 0.65)
    genre = np.where(own, people.genre[np.maximum(owner, 0)], rng.integers(0, genres, len(owner)))
    return genre + genres * (rng.random(len(owner)) ** 2 * (PRODUCTS // genres)).astype(np.int64)


def _bot_events(rng: np.random.Generator, devices: Devices) -> Browsing:
    bots = np.flatnonzero(devices.owner == -2)
    bot, position = repeat(rng.integers(120, 400, len(bots)))
    start = rng.integers(START, END - DAY, len(bots)) * 1000
    size = len(bot)
    return Browsing(
        device=bots[bot],
        at=start[bot] + position * 1_700 + rng.integers(0, 900, size),
        kind=np.full(size, PAGE, dtype=np.int64),
        item=rng.integers(0, len(PAGES), size),
        known=np.zeros(size, dtype=np.bool_),
    )
