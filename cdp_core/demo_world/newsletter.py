"""Newsletter subscribers with consent; for some only the hash of the e-mail is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from cdp_core.demo_world import words
from cdp_core.demo_world.draw import END, Bools, Ints, chance, choose, numbered, pick, stream, text_moment, within
from cdp_core.demo_world.noise import email_styles, when
from cdp_core.demo_world.people import People


@dataclass(frozen=True, kw_only=True)
class Subscribers:
    """`frame` is the file; `person` says who each of its rows is, in step."""

    frame: pl.DataFrame
    person: Ints
    bad_rows: dict[str, int]


def draw_subscribers(people: People, known_by_email: Bools, seed: int) -> Subscribers:
    """About 45 of a hundred people. Members of a household do not subscribe: the shared address is the head's."""
    rng = stream(seed, "newsletter")
    stranger = chance(rng, people.size, 0.015)
    able = (known_by_email | stranger) & ~people.is_member
    person = rng.permutation(np.flatnonzero(able & chance(rng, people.size, 0.5)))
    size = len(person)
    since = people.since[person]
    # 0 the address, 1 address and hash, 2 the hash alone
    way = choose(rng, size, [0.7, 0.15, 0.15])
    email = people.column("email", person)
    bad = rng.permutation(size)[: 2 * max(1, size // 1000)]
    no_at, odd = (np.isin(np.arange(size), part) & (way == 0) for part in np.array_split(bad, 2))
    genre = np.where(chance(rng, size, 0.7), people.genre[person], rng.integers(0, len(words.GENRES), size))
    written = when(no_at, email.str.replace("@", " at ", literal=True), email_styles(rng, email))
    frequency = pick(["weekly", "monthly", "daily"], choose(rng, size, [0.55, 0.33, 0.12]))
    frame = pl.DataFrame(
        {
            "subscriber_id": numbered("n", np.arange(1, size + 1), 6),
            "email": when(way == 2, None, written),
            "email_sha256": when(way == 0, None, _hashes(email, way > 0)),
            "frequency": when(odd, "fortnightly", frequency),
            "genre": when(chance(rng, size, 0.1), None, pick(words.GENRES, genre)),
            "consent_newsletter": pick(["false", "true"], choose(rng, size, [0.22, 0.78])),
            "consent_advertising": pick(["false", "true"], choose(rng, size, [0.58, 0.42])),
            "changed_at": text_moment(within(since + (rng.random(size) * (END - since)).astype(np.int64))),
        }
    )
    bad_rows = {"newsletter: email without @": int(no_at.sum()), "newsletter: unknown frequency": int(odd.sum())}
    return Subscribers(frame=frame, person=person, bad_rows=bad_rows)


def _hashes(emails: pl.Series, wanted: Bools) -> pl.Series:
    """SHA-256 of the trimmed lower-case address, in lower-case hexadecimal, where it is wanted."""
    chosen = emails.filter(pl.Series(wanted)).str.strip_chars().str.to_lowercase()
    hashes = pl.Series([hashlib.sha256(email.encode()).hexdigest() for email in chosen], dtype=pl.String)
    place = np.where(wanted, np.cumsum(wanted) - 1, len(hashes))
    return pl.concat([hashes, pl.Series([None], dtype=pl.String)]).gather(place)
