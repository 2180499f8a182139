"""Made-up people with typing errors, from a seed; their names are syllables."""

from __future__ import annotations

import random
from datetime import date, timedelta
from itertools import product
from typing import Any

import polars as pl

FIRST = [
    a + b
    for a, b in product(("an", "be", "ka", "lo", "mi", "ro", "sa", "ti"), ("bert", "dia", "rin", "lana", "no", "vid"))
]
LAST = [
    a + b
    for a, b in product(
        ("ack", "bram", "crow", "dunk", "ell", "fros", "gran", "holt", "irv"),
        ("er", "ley", "man", "son", "worth", "by"),
    )
]
STREETS = [
    f"{a} {b}" for a, b in product(("mill", "oak", "church", "river", "high", "castle"), ("street", "lane", "road"))
]
CITIES = {"northam": "1001", "eastbury": "2002", "southsea": "3003", "westley": "4004", "midtown": "5005"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def person(rng: random.Random, number: int) -> dict[str, Any]:
    first, last, city = rng.choice(FIRST), rng.choice(LAST), rng.choice(list(CITIES))
    born = date(1940, 1, 1) + timedelta(days=rng.randrange(25_000))
    return {
        "first_name": first, "last_name": last, "birth_date": born.isoformat(), "city": city, "postcode": CITIES[city],
        "address": f"{rng.randrange(1, 200)} {rng.choice(STREETS)}", "phone": f"0{rng.randrange(10**8, 10**9)}",
        "email": f"{first}.{last}{rng.randrange(100)}@mail{number % 7}.example",
    }  # fmt: skip


def typo(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) - 1)
    return rng.choice(
        (
            text[:at] + text[at + 1 :],
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            text[:at] + rng.choice(LETTERS) + text[at:],
        )
    )


def corrupted(rng: random.Random, one: dict[str, Any]) -> dict[str, Any]:
    found = dict(one)
    for column in rng.sample(["first_name", "last_name", "city", "email", "address"], k=rng.choice((0, 1, 2))):
        found[column] = typo(rng, found[column])
    if rng.random() < 0.1:
        found["first_name"], found["last_name"] = found["last_name"], found["first_name"]
    if rng.random() < 0.2:
        year, month, day = found["birth_date"].split("-")
        found["birth_date"] = f"{year}-{day}-{month}" if int(day) <= 12 else f"{year}-{month}-{int(day) - 1:02}"
    if rng.random() < 0.4:
        found["phone"] = f"0{rng.randrange(10**8, 10**9)}"
    for column in rng.sample(list(found), k=rng.choice((0, 0, 1, 2))):
        found[column] = None
    return found


def world(people: int, seed: int) -> pl.DataFrame:
    """profile_id, person and traits; six in ten people have a second record, some a third."""
    rng = random.Random(seed)
    rows = []
    for number in range(people):
        one = person(rng, number)
        rows.append(one | {"person": number})
        rows += [corrupted(rng, one) | {"person": number} for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    rng.shuffle(rows)
    return pl.DataFrame([{"profile_id": f"p{at:05}"} | row for at, row in enumerate(rows)], infer_schema_length=None)
