"""BigQuery and Snowflake: types, names, modes, own rows only, poison rows, tables of somebody else, lost answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import test_bigquery_contract
import test_snowflake_contract
from syncing import Syncer, person

from cdp_core.destinations.base import Batch, Delivery, Unavailable
from cdp_core.destinations.limits import LimitsSpec
from cdp_core.errors import DestinationError
from cdp_core.testing.clock import FakeClock
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.bigquery import DATASET, PROJECT, BigQueryService
from cdp_core.testing.services.snowflake import DATABASE, SCHEMA, SnowflakeService

Make = Callable[..., Syncer]
HARD = "quote \" apostrophe ' back\\slash, comma\nline\ttab {brace} %s NULL \\N é😀 ? :x `"
DAY, AT = date(1970, 5, 17), datetime(1998, 7, 1, 12, 30, 0, 250_001)


@dataclass
class House:
    """A warehouse's stand-in, and a sync into its table `people`."""

    service: Any
    make: Callable[[], Make]

    @cached_property
    def s(self) -> Syncer:
        """Has a lake, which not every test needs."""
        return self.make()(destination=self.opened(), options={"table": "people"}, clock=FakeClock())

    def prepared(self, **fields: str) -> Any:
        destination = self.opened()
        destination.prepare(Delivery(sync="s", key="id", fields=fields, options=chosen(destination)))
        return destination

    @property
    def bigquery(self) -> bool:
        return isinstance(self.service, BigQueryService)

    @property
    def merges(self) -> int:
        return sum(statement.startswith("MERGE") for statement in self.service.sql.statements)

    def opened(self, **more: Any) -> Any:
        module = test_bigquery_contract if self.bigquery else test_snowflake_contract
        return module.opened(self.service, **more)

    @property
    def table(self) -> str:
        return f'"{PROJECT}".{DATASET}.people' if self.bigquery else f'"{DATABASE}"."{SCHEMA}"."PEOPLE"'

    def made(self, columns: str) -> None:
        """A table of somebody else's, in words like DuckDB's; BigQuery is told its schema."""
        kinds = {"VARCHAR": "STRING", "BIGINT": "INTEGER", "DECIMAL": "NUMERIC"}
        if not self.bigquery:
            self.service.native(f"CREATE TABLE PEOPLE ({columns.upper().replace('FLOAT', 'DOUBLE')})")
            return
        fields = []
        for name, kind, *rest in (column.split() for column in columns.split(", ")):
            base, _, size = kind.removesuffix(")").partition("(")
            told = {"name": name, "type": kinds.get(base, base), "mode": "REQUIRED" if "NOT" in rest else "NULLABLE"}
            fields.append(told | ({"precision": size} if size else {}) | _check(rest))
        self.service.table("people", *fields)

    def rows(self, columns: str = "*") -> list[tuple[Any, ...]]:
        return self.service.rows("people", columns)


def _check(rest: list[str]) -> dict[str, str]:
    return {"maxLength": rest[-1].strip("()")} if "<=" in rest else {}


@pytest.fixture(params=["bigquery", "snowflake"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    service = BigQueryService() if request.param == "bigquery" else SnowflakeService()
    with service:
        yield House(service, lambda: request.getfixturevalue("syncer"))


def chosen(destination: Any, table: str = "people") -> Any:
    return type(destination).SyncOptions(table=table)


def test_types_survive(house: House) -> None:
    s = house.s
    full = {
        "profile_id": "p1", "whole": 2**53 + 1, "number": 0.1, "large": 1.7976931348623157e308, "yes": True, "day": DAY,
        "at": AT, "money": Decimal("1234567.5"), "long": Decimal("12345678901234567890.123456789012"),
        "tags": ["a", HARD, "", "NULL"], "text": HARD,
    }  # fmt: skip
    rest = list(full)[1:]
    empty = {"profile_id": "p2", **dict.fromkeys(rest), "tags": [], "text": "", "number": float("nan")}
    absent = {"profile_id": "p3", **dict.fromkeys(rest), "number": float("-inf")}
    s.mapping = {name: name for name in full}
    s.profiles([full, empty, absent], money=pl.Decimal(10, 2), long=pl.Decimal(38, 12))
    assert s.run().delivered == 3
    first, second, third = house.rows()
    assert list(first) == list(full.values())
    assert (second[0], str(second[2]), second[-2:]) == ("p2", "nan", ([], ""))
    assert third == ("p3", None, float("-inf"), *[None] * 6, [] if house.bigquery else None, None)
    kinds = {"at": pl.Datetime("us"), "money": pl.Decimal(10, 2), "long": pl.Decimal(38, 12)}
    s.profiles([{**full, "at": None, "tags": ["b"]}, empty, absent], **kinds)
    assert s.run().delivered == 1
    assert house.rows()[0][6:10:3] == (None, ["b"])


def test_what_a_warehouse_would_spoil_is_refused(house: House) -> None:
    house.s.mapping = {"id": "profile_id", "day": "day", "tags": "tags"}
    house.s.profiles([
        {"profile_id": "p1", "day": DAY, "tags": ["a", None]}, {"profile_id": "p2", "day": date(1, 1, 1), "tags": ["a"]},
    ])  # fmt: skip
    result = house.s.run()
    if house.bigquery:
        assert (result.failed, result.reasons) == (1, {"a list holds null, column tags": 1})
        assert house.rows("id") == [("p2",)]
    else:
        assert house.rows("id, tags") == [("p1", ["a", None]), ("p2", ["a"])]


def test_names_that_need_quotes(house: House) -> None:
    s = house.s
    odd = "a b-c<%>" if house.bigquery else 'a"b`c %s {x} ?'
    s.options = {"table": "order-table" if house.bigquery else 'or"der `x` %s'}
    s.mapping = {"select": "profile_id", "Größe": "total", odd: "email", "it's": "email", "merge": "email"}
    s.profiles([person(1), person(2)])
    assert s.run().delivered == 2
    s.profiles([person(1, total=5.0)])
    result = s.run()
    assert (result.delivered, result.removed) == (1, 1)
    mail = "a1@example.org"
    found = house.service.rows(s.options["table"].replace('"', '""'))
    assert found == [("p1", 5.0, mail, mail, mail)]


def test_names_that_cannot_be(house: House) -> None:
    with pytest.raises(DestinationError, match=r"syncs.s.mapping: 'nnn.*is no column of "):
        house.prepared(id="string", **{"n" * 301: "string"})
    with pytest.raises(DestinationError, match="'Mail' and 'mail' are one column"):
        house.prepared(id="string", Mail="string", mail="string")
    for name in ("", "t" * 1025):
        with pytest.raises(ValueError, match="a name of 1 to "):
            chosen(house.opened(), name)


def test_update_changes_rows_that_are_there_and_adds_none(house: House) -> None:
    """Absent keys come in several pages."""
    s = house.s
    house.made("id VARCHAR, email VARCHAR, total FLOAT")
    house.service.sql.native(f"INSERT INTO {house.table} VALUES ('p1', 'old', 0), ('theirs', 'x', 7)")
    s.mode = "update"
    s.profiles([person(n) for n in range(8)])
    result = s.run()
    assert (result.delivered, result.failed, result.reasons) == (1, 7, {"no row with this key": 7})
    assert house.rows() == [("p1", "a1@example.org", 1.0), ("theirs", "x", 7.0)]


def test_insert_leaves_a_row_that_is_there(house: House) -> None:
    house.made("id VARCHAR, email VARCHAR, total FLOAT")
    house.service.sql.native(f"INSERT INTO {house.table} VALUES ('p1', 'old', 0)")
    house.s.mode = "insert"
    house.s.profiles([person(1), person(2)])
    assert house.s.run().delivered == 2
    assert [row[1] for row in house.rows()] == ["old", "a2@example.org"]


def test_whole_number_keys_and_a_table_of_keys_only(house: House) -> None:
    s = house.s
    s.mapping = {"n": "events"}
    s.profiles([person(n, events=n) for n in (1, 2, 10)])
    s.run()
    s.profiles([person(n, events=n) for n in (10, 11)])
    result = s.run()
    assert (result.delivered, result.removed) == (1, 2)
    assert house.rows("n") == [(10,), (11,)]


def test_a_table_of_somebody_else_keeps_its_types(house: House) -> None:
    """Whole numbers into a text, texts into a number and a day, what does not fit is found among 60 rows."""
    house.made("id VARCHAR NOT NULL, n VARCHAR, age DECIMAL(4), born DATE, more VARCHAR")
    s = house.s
    s.mapping = {"id": "profile_id", "n": "n", "age": "age", "born": "born"}
    wrong = {13: {"age": "canary"}, 40: {"born": "1999-canary"}, 41: {"age": "123456"}}
    s.profiles(
        [{"profile_id": f"p{n}", "n": n, "age": "30", "born": "1970-01-02", **wrong.get(n, {})} for n in range(60)]
    )
    result = s.run()
    assert (result.delivered, result.failed) == (57, 3)
    told = {reason.partition(" (")[0] for reason in result.reasons}
    assert told <= {"not a value of the column's type", "out of range"}, result.reasons
    assert "canary" not in str(result.reasons)
    assert {row["key"] for row in s.ledger() if row["status"] == "failed"} == {"p13", "p40", "p41"}
    assert house.rows()[0] == ("p0", "0", Decimal(30), date(1970, 1, 2), None)


def test_null_and_length_are_looked_at_before_rows_are_sent(house: House) -> None:
    house.made("id VARCHAR NOT NULL, mail VARCHAR NOT NULL, city VARCHAR CHECK (length(city) <= 4)")
    s = house.s
    s.mapping = {"id": "profile_id", "mail": "email", "city": "city"}
    s.profiles([person(1, city="Bonn"), person(2, city="Köln!"), person(3, email=None, city=None)])
    assert s.run().reasons == {"too long, column city": 1, "null is not allowed, column mail": 1}
    assert house.merges == 1


@pytest.mark.parametrize(
    ("columns", "fields", "says"),
    [
        ("mail VARCHAR", {}, "has no column '(id|ID)'"),
        ("id VARCHAR, must VARCHAR NOT NULL", {}, "the column (must|MUST) allows no null and is not mapped"),
        ("id VARCHAR, day DATE", {"day": "float64"}, "the column (day|DAY) is DATE and takes no float64"),
        (
            "id VARCHAR, tags DATE",
            {"tags": "array<string>"},
            r"the column (tags|TAGS) is DATE and takes no array<string>",
        ),
    ],
)
def test_tables_that_do_not_go_with_the_mapping(house: House, columns: str, fields: dict[str, str], says: str) -> None:
    house.made(columns)
    with pytest.raises(DestinationError, match=says):
        house.prepared(id="string", **fields)
    assert house.rows() == []


def test_new_fields_and_a_table_that_was_dropped(house: House) -> None:
    """The rows of a table made anew are not taken for those that were merged into the old one."""
    s = house.s
    s.profiles([person(1, city="Bonn")])
    s.run()
    s.mapping = {**s.mapping, "city": "city"}
    s.run()
    assert house.rows() == [("p1", "a1@example.org", 1.0, "Bonn")]
    if house.bigquery:
        house.service.drop_table("people")
    else:
        house.service.native("DROP TABLE PEOPLE")
    assert s.run().delivered == 1
    assert house.rows() == [("p1", "a1@example.org", 1.0, "Bonn")]


def test_an_answer_that_is_lost_has_one_effect(house: House) -> None:
    """The MERGE was taken and its answer lost: it is looked for and not done again, though a third party wrote since."""
    s, service = house.s, house.service
    s.profiles([person(1)])
    where = "/bigquery/v2/projects/shop-1/jobs" if house.bigquery else "/api/v2/statements"
    real, theirs = service.next_fault, [f"UPDATE {house.table} SET email = 'theirs'"]

    def lost(path: str) -> Fault | None:
        if house.merges and theirs:
            service.sql.native(theirs.pop())
        merging = path == where and not house.merges and (house.bigquery or _last(house, "MERGE"))
        return Fault("reset_after") if merging else real(path)

    service.next_fault = lost
    assert s.run().delivered == 1
    assert (house.merges, house.rows("email")) == (1, [("theirs",)])
    retried = [call for call in service.calls if call.query.get("retry") == "true"]
    assert len(retried) == (0 if house.bigquery else 1)


def _last(house: House, word: str) -> bool:
    return house.service.calls[-1].body and json.loads(house.service.calls[-1].body)["statement"].startswith(word)


def test_a_run_that_was_killed_behind_the_merge(house: House) -> None:
    """The next run has the ids of the rows again. BigQuery knows the merge by them; on Snowflake it is done again."""
    s = house.s
    s.limits = LimitsSpec(attempts=1)
    s.profiles([person(1), person(2)])
    looked = [0]

    def away(path: str) -> Fault | None:
        looked[0] += bool(house.merges)
        return Fault("reset") if house.merges and looked[0] < 30 and house.bigquery else None

    house.service.next_fault = away
    if not house.bigquery:
        house.service.looks = 10_000
        s.destination = house.opened(statement_timeout=1)
    with pytest.raises(Unavailable):
        s.run()
    assert {row["status"] for row in s.ledger()} == {"pending"}
    house.service.looks, looked[0] = 0, 30
    s.destination = house.opened()
    assert s.run().delivered == 2
    assert house.merges == (1 if house.bigquery else 2)
    assert set(house.service.effects.values()) == {1}


def test_erase_and_the_connection_test_leave_nothing_behind(house: House) -> None:
    s = house.s
    delivery = Delivery(sync="s", key="id", fields={"id": "string"}, options=chosen(s.destination))
    assert not s.destination.erase(delivery, pl.Series(["p1"])).failed, "nothing there yet"
    s.profiles([person(1), person(2)])
    s.run()
    assert not s.destination.erase(delivery, pl.Series(["p1"])).failed
    assert house.rows("id") == [("p2",)]
    told = s.destination.test()
    assert told in (
        "bigquery shop-1.crm answers: BigQuery, location EU",
        "snowflake myorg-shop/shop.crm answers: Snowflake 9.99, role LOADER",
    )
    left = house.service.sql.native("SELECT lower(table_name) FROM duckdb_tables() WHERE database_name <> 'memory'")
    assert left == [("people",)]


def test_erasing_from_a_table_without_the_key_says_so(house: House) -> None:
    house.made("mail VARCHAR")
    destination = house.opened()
    delivery = Delivery(sync="s", key="id", fields={"id": "string"}, options=chosen(destination))
    with pytest.raises(DestinationError, match=r"the table people has no column '(id|ID)'"):
        destination.erase(delivery, pl.Series(["p1"]))


def test_nothing_is_told_of_secrets(house: House) -> None:
    given = {"access_token": "canary-token"} if house.bigquery else {"token": "canary-token"}
    destination = house.opened(**given)
    delivery = Delivery(sync="s", key="id", fields={"id": "string"}, options=chosen(destination))
    with pytest.raises(DestinationError) as error:
        destination.prepare(delivery)
    assert "canary" not in f"{error.value} {destination.options!r} {destination.place(delivery)}"


def test_batches_without_ids_are_sent_as_often_as_they_are_given(house: House) -> None:
    """Nobody keeps a ledger: the same rows again are a call of their own."""
    destination = house.prepared(id="string", n="int64")
    for n in (1, 2, 1):
        rows = pl.DataFrame({"id": ["a"], "n": [n]})
        assert not destination.send(Batch(rows=rows, key="id", payload=pl.Series(["{}"]))).failed
    assert (house.rows(), house.merges) == ([("a", 1)], 3)


def test_key_files_are_read_from_the_workspace(house: House, tmp_path: Path) -> None:
    name = "credentials" if house.bigquery else "private_key"
    secret = getattr(house.opened().options, name).get_secret_value()
    Path(tmp_path, "key").write_text(secret)
    assert house.opened(root=tmp_path, **{name: "key"}).test()
    for path, says in (("nowhere", "cannot be read"), (".", "cannot be read|holds no")):
        with pytest.raises(DestinationError, match=says):
            house.opened(root=tmp_path, **{name: path}).test()
