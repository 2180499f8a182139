"""Rows to events: identifiers, traits, types, times, ids."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from cdp_core.sources.spec import MapSpec
from tests.sources.source_kit import Load, Loaded, people


@pytest.fixture
def mapped(load: Load, tmp_path: Path) -> Any:
    def run(rows: list[dict[str, Any]], mapping: dict[str, Any], **more: Any) -> Loaded:
        pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "a.csv")
        return load({"type": "file", "path": "a.csv", "map": mapping}, **more)

    return run


def test_every_part_of_an_event(mapped: Any) -> None:
    row = {
        "ticket": "t1", "who": " u1 ", "mail": "a@x.org", "tel": "", "opened": "1998-01-02T10:00:00Z",
        "sent": "1998-01-02T10:00:01Z", "got": "1998-01-02T11:00:01Z", "topic": "bill \"ing\"", "stars": "5", "ads": "Yes",
        "news": "false", "sms": "",
    }  # fmt: skip
    loaded = mapped(
        [row],
        {
            "type": "track", "event": "Ticket Opened", "key": ["ticket"], "time": "opened", "sent_at": "sent",
            "received_at": "got", "identifiers": {"user_id": "who", "email": "mail", "phone": "tel", "crm_contact_id": "ticket"},
            "properties": {"topic": "topic", "stars": {"column": "stars", "type": "integer"}, "currency": {"value": "USD"}, "none": {"value": None}},
            "consent": {"ads": "ads", "news": "news", "sms": "sms"},
        },
    )  # fmt: skip
    (found,) = loaded.events.drop("message_id", "row_key", "properties", "context").to_dicts()
    assert found == {
        "source": "s", "type": "track", "event": "Ticket Opened", "user_id": "u1", "anonymous_id": None, "group_id": None,
        "previous_id": None, "timestamp": datetime(1998, 1, 2, 11), "original_timestamp": datetime(1998, 1, 2, 10),
        "sent_at": datetime(1998, 1, 2, 10, 0, 1), "received_at": datetime(1998, 1, 2, 11, 0, 1), "traits": None,
        "record_id": "t1",
    }  # fmt: skip
    assert loaded.objects("properties")["t1"] == {"topic": 'bill "ing"', "stars": 5, "currency": "USD"}
    assert loaded.objects("context")["t1"] == {
        "externalIds": [
            {"id": "a@x.org", "type": "email", "collection": "users", "encoding": "none"},
            {"id": "t1", "type": "crm_contact_id", "collection": "users", "encoding": "none"},
        ],
        "consent": {"categoryPreferences": {"ads": True, "news": False}},
    }


def test_columns_called_like_the_events_own(mapped: Any) -> None:
    names = ["source", "type", "event", "user_id", "timestamp", "traits", "context", "row_key", "_rule", "key"]
    loaded = mapped(
        [dict.fromkeys(names, "v") | {"timestamp": "1998-01-02", "source": f"crm{n}", "key": ""} for n in range(2)],
        {"type": "identify", "key": ["source"], "time": "timestamp", "record": "type", "identifiers": {"user_id": "user_id", "crm": "source"}},
    )  # fmt: skip
    assert loaded.events["source"].to_list() == ["s", "s"]
    assert loaded.events["row_key"].n_unique() == 2
    assert loaded.objects("traits")["v"] == {"event": "v", "traits": "v", "context": "v", "row_key": "v", "_rule": "v"}


DECLARED = [
    ("integer", "7", 7, "map.type"), ("integer", "7.0", 7, "map.type"), ("integer", "7.5", None, "map.type"),
    ("integer", "1e3", None, "map.type"), ("integer", "9" * 25, None, "map.type"), ("integer", "007", 7, "map.type"),
    ("number", "1.5", 1.5, "map.type"), ("number", "1,5", None, "map.type"), ("number", "nan", None, "map.type"),
    ("number", "1e999", None, "map.type"), ("boolean", "YES", True, "map.type"), ("boolean", "0", False, "map.type"),
    ("boolean", "maybe", None, "map.type"), ("date", "1998-02-28", "1998-02-28", "map.time"),
    ("date", "1998-02-30", None, "map.time"), ("date", "0000-00-00", None, "map.time"), ("date", "soon", None, "map.time"),
    ("datetime", "1998-02-28T01:00:00+02:00", "1998-02-27T23:00:00Z", "map.time"),
    ("datetime", "1998-02-28 25:00", None, "map.time"), ("string", "007", "007", "map.type"),
    ("json", '{"a": [1]}', {"a": [1]}, "map.type"), ("json", "{a}", None, "map.type"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "value", "rule"), DECLARED)
def test_a_declared_type_is_kept_or_the_row_held(mapped: Any, kind: str, text: str, value: Any, rule: str) -> None:
    spec = people(traits={"x": {"column": "x", "type": kind}})
    loaded = mapped([{"id": "1", "x": text}, {"id": "2", "x": ""}], spec)
    assert loaded.objects("traits")["2"] is None
    if value is None:
        assert loaded.rejects.select("rule", "field").rows() == [(rule, "x")]
        assert text not in loaded.rejects["description"].item()
        assert loaded.rejects["payload"].str.json_decode(pl.Struct({"id": pl.String, "x": pl.String})).item() == {
            "id": "1",
            "x": text,
        }
    else:
        assert loaded.objects("traits")["1"] == {"x": value}


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("1998-01-15 10:00:00", {}, datetime(1998, 1, 15, 10)),
        ("1998-01-15 10:00:00", {"timezone": "Europe/Berlin"}, datetime(1998, 1, 15, 9)),
        ("1998-07-15", {"timezone": "Europe/Berlin"}, datetime(1998, 7, 14, 22)),
        ("1998-07-15T10:00:00+05:30", {"timezone": "Europe/Berlin"}, datetime(1998, 7, 15, 4, 30)),
        ("1998-07-15T10:00Z", {"timezone": "Europe/Berlin"}, datetime(1998, 7, 15, 10)),
        # Clocks go back at 03:00: the first of the two instants; forward at 02:00: there is no such time.
        ("1998-10-25 02:30:00", {"timezone": "Europe/Berlin"}, datetime(1998, 10, 25, 0, 30)),
        ("1998-03-29 02:30:00", {"timezone": "Europe/Berlin"}, None),
        ("15/01/1998", {"time_format": "%d/%m/%Y"}, datetime(1998, 1, 15)),
        ("15/01/1998 10:00", {"time_format": "%d/%m/%Y %H:%M", "timezone": "America/New_York"}, datetime(1998, 1, 15, 15)),
        ("884858400", {"time_format": "epoch"}, datetime(1998, 1, 15, 10)),
        ("884858400123", {"time_format": "epoch_ms"}, datetime(1998, 1, 15, 10, 0, 0, 123000)),
        ("1998-02-30", {}, None),
        ("", {}, None),
        ("yesterday", {}, None),
        ("0000-01-01", {}, None),
        ("12345-01-01", {}, None),
        ("98-01-15", {}, None),
        ("infinity", {}, None),
    ],
)  # fmt: skip
def test_times(mapped: Any, text: str, options: dict[str, str], expected: datetime | None) -> None:
    loaded = mapped([{"id": "1", "at": text}, {"id": "2", "at": text}], people(time="at") | options)
    if expected is None:
        assert loaded.rules() == ["map.time", "map.time"]
        assert loaded.events.is_empty()
    else:
        assert loaded.events["timestamp"].to_list() == [expected] * 2
        assert loaded.events["received_at"].to_list() == [expected] * 2


def test_without_a_time_column_the_files_own_time_counts(mapped: Any, tmp_path: Path) -> None:
    first = mapped([{"id": "1"}], people())
    changed = datetime.fromtimestamp(int((tmp_path / "a.csv").stat().st_mtime))
    assert abs((first.events["timestamp"].item() - changed).total_seconds()) < 15 * 3600


def test_every_reason_is_told(mapped: Any) -> None:
    loaded = mapped(
        [{"id": "", "at": "soon", "n": "x"}], people(time="at", traits={"n": {"column": "n", "type": "number"}})
    )
    (row,) = loaded.rejects.to_dicts()
    assert row["rule"] == "map.time"
    assert row["description"].count(";") == 3
    assert all(word in row["description"] for word in ("'at'", "'n'", "key (id)", "identifier"))


def test_message_ids(mapped: Any) -> None:
    spec = people(key=["id", "line"], traits={"name": "name"})
    rows = [
        {"id": "1", "line": "1", "name": "Ann", "other": "x"},
        {"id": "1", "line": "11", "name": "Bob", "other": "x"},
    ]
    first = mapped(rows, spec).events
    assert first["message_id"].str.contains("^k[0-9a-f]{16}-[0-9a-f]{16}$").all()
    assert (first["message_id"].str.slice(0, 17) == first["row_key"]).all()
    again = mapped([dict(reversed(row.items())) for row in reversed(rows)], spec).events
    assert set(again["message_id"]) == set(first["message_id"])
    irrelevant = mapped([row | {"other": "y"} for row in rows], spec).events
    assert set(irrelevant["message_id"]) == set(first["message_id"])
    changed = mapped([row | {"name": row["name"].upper()} for row in rows], spec).events
    assert set(changed["row_key"]) == set(first["row_key"])
    assert not set(changed["message_id"]) & set(first["message_id"])


def test_message_ids_stay_what_they_were(mapped: Any) -> None:
    """Written down once: a lake that was filled by an older version must not be loaded twice."""
    spec = people(time="at", identifiers={"user_id": "id", "email": "mail"}, traits={"n": "n"})
    loaded = mapped([{"id": "7", "mail": "a@x.org", "at": "1998-01-02", "n": "5"}], spec)
    assert loaded.events["message_id"].item() == "kcee469c96c2e69b1-35485850c9672245"


def test_neighbouring_values_do_not_run_together(mapped: Any) -> None:
    spec = people(key=["a", "b"], identifiers={"user_id": "a"})
    loaded = mapped([{"a": "1", "b": "23"}, {"a": "12", "b": "3"}, {"a": "1|", "b": "2"}, {"a": "1", "b": "|2"}], spec)
    assert loaded.events["row_key"].n_unique() == 4


def test_a_mapped_message_id(mapped: Any) -> None:
    loaded = mapped([{"id": "1", "m": "m1"}, {"id": "2", "m": ""}], people(message_id="m"))
    ids = dict(loaded.events.select("record_id", "message_id").rows())
    assert ids["1"] == "m1"
    assert ids["2"].startswith("k")


def test_columns_without_a_mapping_become_traits_or_properties(mapped: Any) -> None:
    rows = [{"id": "1", "n": "5", "z": "01"}]
    assert mapped(rows, people()).objects("traits") == {"1": {"n": 5, "z": "01"}}
    tracked = mapped(rows, people(type="track", event="Seen"), full=True)
    assert tracked.objects("properties") == {"1": {"n": 5, "z": "01"}}


def test_a_bad_mapping_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs `event`"):
        MapSpec(type="track", key="id")
    with pytest.raises(ValidationError, match="unknown time zone 'Mars/Base'"):
        MapSpec(type="identify", timezone="Mars/Base")
