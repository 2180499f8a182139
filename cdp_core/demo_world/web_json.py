"""Web events as Segment-spec NDJSON in gzip files, two written at a time."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from cdp_core.demo_world import words
from cdp_core.demo_world.draw import DAY, END, Ints, chance, numbered, stream
from cdp_core.demo_world.files import write_gzip
from cdp_core.demo_world.noise import email_styles, when
from cdp_core.demo_world.people import People
from cdp_core.demo_world.web import ADDED, EMAIL, IDENTIFY, LOGIN, PAGE, PAGES, PRODUCTS, VIEWED, Browsing, Devices

RESENT = 0.01
LINES_PER_FILE = 200_000
ACCOUNT = list(PAGES).index("/account")


@dataclass(frozen=True, kw_only=True)
class _Wire:
    """What was sent: rows of the browsing (`event`) by time of arrival; times in ms, `sent` 0 when it was lost."""

    event: Ints
    original: Ints
    sent: Ints
    received: Ints
    spoilt: Ints  # 0 sound, 1 a user id that a bug filled with "undefined", 2 no id at all, 3 a track without its name


def write_web_events(
    folder: Path, people: People, devices: Devices, browsing: Browsing, seed: int, level: int
) -> tuple[int, dict[str, int]]:
    """Write folder/YYYY-MM.ndjson.gz (-part01, -part02 … when a month is big) by time of arrival.

    Returns the number of lines, and of bad ones by rule.
    """
    rng = stream(seed, "web_noise")
    wire = _send(rng, devices, browsing)
    texts = _Texts.prepare(rng, people, devices)
    folder.mkdir(parents=True, exist_ok=True)
    write = partial(_write_file, wire=wire, browsing=browsing, texts=texts, level=level)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, _files(folder, wire.received)))
    return len(wire.event), {
        "web_events: no identifier at all": int((wire.spoilt == 2).sum()),
        "web_events: track without a name": int((wire.spoilt == 3).sum()),
    }


def _files(folder: Path, received: Ints) -> list[tuple[Path, slice]]:
    """One file per month, a busy month in several."""
    months, first = np.unique(received.astype("datetime64[ms]").astype("datetime64[M]"), return_index=True)
    jobs = []
    for month, start, end in zip(months, first, [*first[1:], len(received)], strict=True):
        starts = range(start, end, LINES_PER_FILE)
        names = [f"{month}-part{part:02d}" for part in range(1, len(starts) + 1)] if len(starts) > 1 else [str(month)]
        jobs += [
            (folder / f"{name}.ndjson.gz", slice(a, min(a + LINES_PER_FILE, end)))
            for name, a in zip(names, starts, strict=True)
        ]
    return jobs


def _send(rng: np.random.Generator, devices: Devices, browsing: Browsing) -> _Wire:
    size = len(browsing.at)
    skew = devices.skew[browsing.device]
    original = browsing.at + skew
    sent = original + rng.integers(5, 40, size) * 10
    received = browsing.at + (sent - original) + rng.integers(20, 120, size)
    again = np.flatnonzero(chance(rng, size, RESENT) & (browsing.at < (END - 4 * DAY) * 1000))
    later = rng.integers(2_000, 3 * DAY * 1000, len(again))
    event = np.concatenate([np.arange(size), again])
    lost = chance(rng, size, 0.005) & (skew == 0)
    received = np.concatenate([received, received[again] + later])
    order = np.argsort(received, kind="stable")
    return _Wire(
        event=event[order],
        original=original[event][order],
        sent=np.concatenate([np.where(lost, 0, sent), sent[again] + later])[order],
        received=received[order],
        spoilt=_spoil(rng, devices, browsing)[event][order],
    )


def _spoil(rng: np.random.Generator, devices: Devices, browsing: Browsing) -> Ints:
    """Only devices that log in lose an event, so that each device stays in the file."""
    size = len(browsing.at)
    draw = rng.random(size)
    safe = devices.link[browsing.device] == LOGIN
    spoilt = np.zeros(size, dtype=np.int64)
    spoilt[(draw > 0.998) & ~browsing.known & (browsing.kind == PAGE)] = 1
    spoilt[(draw < 0.001) & safe & (browsing.kind == PAGE)] = 2
    spoilt[(draw < 0.0005) & safe & (browsing.kind == VIEWED)] = 3
    return spoilt


@dataclass(frozen=True, kw_only=True)
class _Texts:
    """Ready-made pieces of JSON: per device, per page and product, per person."""

    anonymous: pl.Series
    user: pl.Series
    context: pl.Series
    traits: pl.Series
    content: pl.Series
    nameless: pl.Series
    path: pl.Series

    @classmethod
    def prepare(cls, rng: np.random.Generator, people: People, devices: Devices) -> _Texts:
        owner = np.maximum(devices.owner, 0)
        content, nameless, path = _content()
        user = people.column("customer_id", owner)
        return cls(
            anonymous='"anonymousId":"' + devices.anonymous_id + '",',
            user=when(devices.link == LOGIN, '"userId":"' + user + '",', _blank(devices.size)),
            context=_context(rng, devices),
            traits=_traits(rng, people, devices),
            content=content,
            nameless=nameless,
            path=path,
        )


def _content() -> tuple[pl.Series, pl.Series, pl.Series]:
    """Pieces for the pages, then the viewed products, then the added ones; the same without names; their paths."""
    pages, names = pl.Series(PAGES.keys()), pl.Series(PAGES.values())
    number = np.arange(PRODUCTS)
    product = numbered("cd-", number + 1, 4)
    price = pl.Series(7 + (number * 7_919 % 12)).cast(pl.String) + pl.Series([".99", ".49", ".00"]).gather(number % 3)
    genre = pl.Series(words.GENRES).gather(number % len(words.GENRES))
    properties = '"properties":{"product_id":"' + product + '","genre":"' + genre + '","price":' + price + "},"
    content = [
        '"type":"page","name":"' + names + '","properties":{"path":"' + pages + '"},',
        '"type":"track","event":"Product Viewed",' + properties,
        '"type":"track","event":"Product Added",' + properties,
    ]
    nameless = [content[0], '"type":"track",' + properties, '"type":"track",' + properties]
    paths = [pages, "/" + product, "/cart?add=" + product]
    return pl.concat(content), pl.concat(nameless), pl.concat(paths)


def _context(rng: np.random.Generator, devices: Devices) -> pl.Series:
    """Address from the ranges kept for documentation (RFC 5737), browser, library and kind of device."""
    net = pl.Series(["192.0.2.", "198.51.100.", "203.0.113."]).gather(rng.integers(0, 3, devices.size))
    address = net + pl.Series(rng.integers(1, 255, devices.size)).cast(pl.String)
    browser = pl.Series(words.BROWSERS).gather(rng.integers(0, len(words.BROWSERS), devices.size))
    bot = pl.Series(words.BOTS).gather(np.arange(devices.size) % len(words.BOTS))
    agent = when(devices.owner == -2, bot, browser)
    library = ',"library":{"name":"analytics.js","version":"1.0"},"device":{"type":"desktop"},"page":{"path":"'
    return '"context":{"ip":"' + address + '","userAgent":"' + agent + '"' + library


def _traits(rng: np.random.Generator, people: People, devices: Devices) -> pl.Series:
    """The e-mail; who signs up by e-mail gives a first name too. Members of a household log in by number alone: the
    shared address would say the wrong thing about them."""
    owner = np.maximum(devices.owner, 0)
    email = email_styles(rng, people.column("email", owner), 0.03).str.strip_chars()
    named = '"traits":{"email":"' + email + '","first_name":"' + people.column("first_name", owner) + '"},'
    traits = when(devices.link == EMAIL, named, '"traits":{"email":"' + email + '"},')
    return '"type":"identify",' + when(people.is_member[owner], '"traits":{},', traits)


def _write_file(job: tuple[Path, slice], *, wire: _Wire, browsing: Browsing, texts: _Texts, level: int) -> None:
    path, rows = job
    frame = _pieces(rows, wire, browsing, texts)
    line = pl.concat_str(
        pl.lit("{") + pl.col("content") + pl.lit('"messageId":"') + pl.col("message") + pl.lit('",'),
        "anonymous",
        "user",
        "context",
        pl.col("path") + pl.lit('"}},"originalTimestamp":"') + pl.col("original") + pl.lit('",'),
        "sent",
        pl.lit('"receivedAt":"') + pl.col("received") + pl.lit('"}'),
    )
    buffer = io.BytesIO()
    frame.select(line).write_csv(buffer, include_header=False, quote_style="never")
    write_gzip(path, buffer.getbuffer(), level)


def _pieces(rows: slice, wire: _Wire, browsing: Browsing, texts: _Texts) -> pl.DataFrame:
    event, spoilt = wire.event[rows], wire.spoilt[rows]
    device, kind, item = browsing.device[event], browsing.kind[event], browsing.item[event]
    piece = item + np.where(kind == VIEWED, len(PAGES), 0) + np.where(kind == ADDED, len(PAGES) + PRODUCTS, 0)
    place = np.where(kind == IDENTIFY, ACCOUNT, piece)
    content = when(spoilt == 3, texts.nameless.gather(place), texts.content.gather(place))
    user = when(browsing.known[event], texts.user.gather(device), _blank(len(event)))
    user = when(spoilt == 1, '"userId":"undefined",', user)
    return pl.DataFrame(
        {
            "content": when(kind == IDENTIFY, texts.traits.gather(device), content),
            "message": numbered("w", event + 1, 7),
            "anonymous": when(spoilt == 2, "", texts.anonymous.gather(device)),
            "user": when(spoilt == 2, "", user),
            "context": texts.context.gather(device),
            "path": texts.path.gather(place),
            "original": _iso(wire.original[rows]),
            "sent": when(wire.sent[rows] == 0, "", '"sentAt":"' + _iso(wire.sent[rows]) + '",'),
            "received": _iso(wire.received[rows]),
        }
    )


def _blank(size: int) -> pl.Series:
    return pl.Series([""]).new_from_index(0, size)


def _iso(milliseconds: Ints) -> pl.Series:
    return pl.Series(milliseconds).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
