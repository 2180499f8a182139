"""A world of events for measuring identity: who is who is known, and everything is drawn with one seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cdp_core import tables

START = datetime(2025, 1, 1)
MINUTES = 365 * 24 * 60
DEVICES_PER_PERSON = 1.5
SHARED_EVERY = 50
"""One person in so many writes down the e-mail of the one before: a household."""
_CONTEXT = (
    '{"ip":"192.0.2.1","userAgent":"Mozilla/5.0 (X11; Linux x86_64)","library":{"name":"analytics.js","version":"2.1"},'
    '"page":{"path":"/p"}'
)


@dataclass(frozen=True)
class World:
    """`events` as in tables.EVENTS; `truth` has source, record, person."""

    events: pl.DataFrame
    truth: pl.DataFrame


def build(people: int, events: int, *, seed: int = 1) -> World:
    """Six parts browsing, three parts orders, and per person one contact and half a subscription."""
    rng = np.random.default_rng(seed)
    contacts, letters = _contacts(rng, people), _letters(rng, people)
    left = events - contacts.height - letters.height
    orders = _orders(rng, people, left // 3)
    web = _web(rng, people, left - left // 3)
    parts = [contacts, letters, orders, web]
    frame = pl.concat([_shaped(p) for p in parts])
    truth = pl.concat([p.select("source", pl.col("record_id").alias("record"), "person") for p in parts]).unique()
    return World(frame, truth.sort("source", "record"))


def _at(rng: np.random.Generator, size: int, low: int = 0, high: int = MINUTES) -> pl.Series:
    minutes = pl.Series(rng.integers(low, high, size), dtype=pl.Int64)
    return pl.Series(pl.select(pl.lit(START).cast(pl.Datetime("us")) + pl.duration(minutes=minutes)).to_series())


def _person(index: np.ndarray) -> pl.DataFrame:
    shared = np.where((index % SHARED_EVERY == 0) & (index > 0), index - 1, index)
    number = pl.Series(index)
    return pl.DataFrame({"n": number, "mail": pl.Series(shared)}).select(
        person="p" + pl.col("n").cast(pl.String),
        user="u" + pl.col("n").cast(pl.String).str.zfill(8),
        email="person"
        + pl.col("mail").cast(pl.String)
        + "@mail"
        + (pl.col("mail") % 50).cast(pl.String)
        + ".example.com",
        phone="("
        + (201 + pl.col("n") % 30).cast(pl.String)
        + ") "
        + (200 + pl.col("n") // 30 % 700).cast(pl.String)
        + "-"
        + (pl.col("n") // 21_000 % 10_000).cast(pl.String).str.zfill(4),
    )


def _contacts(rng: np.random.Generator, people: int) -> pl.DataFrame:
    """Both of a household have a user_id and the second comes later, so that it can be told whose the e-mail is."""
    index = np.arange(people)
    later = pl.Series((index % SHARED_EVERY == 0) * (MINUTES // 10) * 60_000_000).cast(pl.Duration("us"))
    return _person(index).select(
        "person",
        source=pl.lit("contacts"),
        type=pl.lit("identify"),
        record_id="c" + pl.Series(index).cast(pl.String),
        user_id=pl.when(pl.Series((rng.random(people) < 0.9) | ((index + 1) % SHARED_EVERY <= 1))).then("user"),
        timestamp=_at(rng, people, 0, MINUTES // 10) + later,
        traits='{"email":"' + pl.col("email") + '","phone":"' + pl.col("phone") + '","city":"Boston"}',
        context='{"externalIds":[{"id":"c'
        + pl.Series(index).cast(pl.String)
        + '","type":"contact_id","collection":"users","encoding":"none"},{"id":"'
        + pl.col("email")
        + '","type":"email","collection":"users","encoding":"none"}]}',
    )


def _letters(rng: np.random.Generator, people: int) -> pl.DataFrame:
    index = np.flatnonzero(rng.random(people) < 0.5)
    index = index[index % SHARED_EVERY != 0]
    hashed = pl.Series(rng.random(len(index)) < 0.2)
    frame = _person(index).with_columns(hashed=hashed)
    digest = frame["email"].map_elements(_sha256, return_dtype=pl.String)
    return frame.with_columns(digest=digest).select(
        "person",
        source=pl.lit("letters"),
        type=pl.lit("identify"),
        record_id="n" + pl.Series(index).cast(pl.String),
        timestamp=_at(rng, len(index), MINUTES // 10),
        context='{"externalIds":[{"id":"'
        + pl.when("hashed").then("digest").otherwise(pl.col("email").str.to_uppercase())
        + '","type":"'
        + pl.when("hashed").then(pl.lit("email_sha256")).otherwise(pl.lit("email"))
        + '"}]}',
    )


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def _orders(rng: np.random.Generator, people: int, size: int) -> pl.DataFrame:
    frame = _person(rng.integers(0, people, size))
    return frame.select(
        "person",
        source=pl.lit("orders"),
        type=pl.lit("track"),
        event=pl.lit("Order Completed"),
        record_id="user",
        row_key=pl.int_range(size).cast(pl.String),
        user_id="user",
        timestamp=_at(rng, size, MINUTES // 10),
        properties='{"total":'
        + pl.Series(rng.integers(100, 9999, size)).cast(pl.String)
        + ',"currency":"USD","email_opt_in":true}',
    )


def _web(rng: np.random.Generator, people: int, size: int) -> pl.DataFrame:
    device = rng.integers(0, int(people * DEVICES_PER_PERSON), size)
    frame = _person(device % people)
    return frame.select(
        "person",
        source=pl.lit("web"),
        type=pl.lit("track"),
        event=pl.lit("Product Viewed"),
        record_id="device-" + pl.Series(device).cast(pl.String),
        anonymous_id="device-" + pl.Series(device).cast(pl.String),
        user_id=pl.when(pl.Series(rng.random(size) < 0.3)).then("user"),
        timestamp=_at(rng, size, MINUTES // 10),
        properties='{"product_id":"cd-'
        + pl.Series(rng.integers(0, 999, size)).cast(pl.String)
        + '","genre":"Rock","price":9.49}',
        context=pl.lit(_CONTEXT + "}"),
    )


def _shaped(part: pl.DataFrame) -> pl.DataFrame:
    schema = tables.EVENTS.polars_schema()
    numbered = part.with_columns(
        message_id="m" + pl.int_range(part.height).cast(pl.String), received_at=pl.col("timestamp"), run_id=pl.lit("r")
    )
    present = [pl.col(c).cast(k) if c in numbered.columns else pl.lit(None, k).alias(c) for c, k in schema.items()]
    return numbered.select(present)
