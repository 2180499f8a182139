"""A Singer target that others have written: Meltano's target-csv, which checks every record against the schema."""

from __future__ import annotations

import csv
import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from syncing import Syncer

from cdp_core.destinations.singer import SingerDestination, SingerOptions
from cdp_core.engine import Engine

MANY = 4_000
MAPPING = {name: name for name in ("text", "n", "x", "on_it", "at", "day", "tags")}
TEXTS = ["a,b", 'say "hi"', "é🙂", "one\ntwo", " a ", "\\N", "null", None]


def made(root: Path) -> SingerDestination:
    """The target writes a file for every time that it runs."""
    config = {
        "output_path": str(root / "out"),
        "file_naming_scheme": "{stream_name}-{timestamp}.csv",
        "timestamp_format": "%Y%m%dT%H%M%S%f",
        "add_record_metadata": True,
    }
    (root / "out").mkdir(exist_ok=True)
    command = [str(Path(sys.executable).with_name("target-csv"))]
    return SingerDestination(SingerOptions(command=command, config=config), root)


def there(root: Path) -> dict[str, dict[str, Any]]:
    """What the records leave behind: the last one of each key, unless it says that the row is gone."""
    last = {}
    for path in sorted((root / "out").glob("people-*.csv")):
        with path.open(newline="") as lines:
            last |= {record["id"]: record for record in csv.DictReader(lines)}
    return {key: record for key, record in last.items() if not record["_sdc_deleted_at"]}


def row(number: int, **more: Any) -> dict[str, Any]:
    found = {
        "profile_id": f"p{number}",
        "text": TEXTS[number % len(TEXTS)],
        "n": number - 3,
        "x": number / 3,
        "on_it": number % 2 == 0,
        "at": datetime(1998, 7, 1, 12, number % 60),
        "day": date(1998, 7, 1 + number % 31),
        "tags": [[], ["a", "é"], None][number % 3],
    }
    return {**found, **more}


def agrees(record: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert record["text"] == (wanted["text"] or "")
    assert (int(record["n"]), float(record["x"])) == (wanted["n"], wanted["x"])
    assert record["on_it"] == str(wanted["on_it"])
    assert datetime.fromisoformat(record["at"]).replace(tzinfo=None) == wanted["at"]
    assert record["day"][:10] == wanted["day"].isoformat()
    assert json.loads((record["tags"] or "null").replace("'", '"')) == wanted["tags"]


def test_a_target_of_others_has_what_the_model_has(lake: Engine, tmp_path: Path) -> None:
    """Every type and letter; rows come, change and go; each run is a run of the program of its own."""
    s = Syncer(
        engine=lake,
        destination=made(tmp_path),
        options={"stream": "people", "removals": "soft"},
        mapping={"id": "profile_id", **MAPPING},
    )
    assert "target-csv" in s.destination.test()
    first = [row(n) for n in range(MANY)]
    second = [row(n, text="changed") if n % 100 == 0 else row(n) for n in range(500, MANY + 500)]
    for model, (delivered, removed) in (
        (first, (MANY, 0)),
        (second, (500 + (MANY - 500) // 100, 500)),
        (second, (0, 0)),
    ):
        s.profiles(pl.DataFrame(model, infer_schema_length=None))
        result = s.run()
        assert (result.delivered, result.removed, result.failed, result.pending) == (delivered, removed, 0, 0)
        found = there(tmp_path)
        assert set(found) == {one["profile_id"] for one in model}
        for one in model:
            agrees(found[one["profile_id"]], one)
