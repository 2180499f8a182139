"""Erasing people: in files and objects, in what was sent about their events, and what cannot be done says so."""

from __future__ import annotations

import pkgutil
import random
import string
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
import test_braze_contract
import test_customerio_contract
import test_segment_contract

from cdp_core.destinations.base import Batch, Delivery, SendResult, Unavailable
from cdp_core.destinations.erase import UNSUPPORTED, can_erase, erase
from cdp_core.destinations.files import rewrite
from cdp_core.destinations.files.file import FileDestination, FileOptions, FileSyncOptions
from cdp_core.destinations.files.storage import (
    DeltaSyncOptions,
    StorageDeltasDestination,
    StorageDestination,
    StorageOptions,
)
from cdp_core.destinations.files.writers import polars_type
from cdp_core.errors import DestinationError
from cdp_core.testing.clock import FakeClock
from cdp_core.testing.services.braze import Braze
from cdp_core.testing.services.customerio import CustomerIo
from cdp_core.testing.services.segment import Segment

FIELDS = {
    "=id": "string", "text": "string", "n": "int64", "x": "float64", "on": "boolean", "at": "timestamp",
    "tags": "array<string>", "paid": "decimal(9,2)",
}  # fmt: skip
MANY = 300


def batch(rows: pl.DataFrame, key: str = "=id") -> Batch:
    payload = rows.select(pl.struct(pl.all()).struct.json_encode()).to_series().alias("payload")
    return Batch(rows=rows, key=key, payload=payload, id="p:1")


def awkward(count: int = MANY) -> Batch:
    """Rows with everything in them that a file may trip over."""
    chance = random.Random(7)
    letters = ['"', ",", *"\n\n\n\n\n\n\n\n\n\n", "\r", "'", "=", "é", "🙂", " ", "\\", *string.ascii_letters]

    def text() -> str | None:
        return chance.choice([None, "", "NA", "null", "1.0", "".join(chance.choices(letters, k=chance.randint(1, 9)))])

    rows = [
        {"=id": f"{chance.choice(['', '=', '-', chr(34), ','])}k{n}", "text": text(), "n": chance.choice([None, n]),
         "x": chance.choice([None, n / 3, 1e300]), "on": chance.choice([None, True, False]),
         "at": chance.choice([None, datetime(1998, 7, 1, 12, n % 60)]),
         "tags": chance.choice([None, [], [text() or "t", "ü"]]), "paid": None}
        for n in range(count)
    ]  # fmt: skip
    return batch(pl.DataFrame(rows, schema={name: polars_type(kind) for name, kind in FIELDS.items()}))


def chosen(rows: Batch, keep: pl.Series) -> Batch:
    return Batch(rows=rows.rows.filter(keep), key=rows.key, payload=rows.payload.filter(keep), id=rows.id)


def delivery(options: Any) -> Delivery:
    return Delivery(sync="s", key="=id", fields=FIELDS, options=options)


def wrote(destination: Any, told: Delivery, rows: Batch) -> None:
    destination.prepare(told)
    destination.send(rows)
    destination.finish(True)


KINDS = ["a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz", "a.parquet"]


@pytest.fixture(params=["file", "storage"])
def place(request: Any, tmp_path: Path) -> Callable[[], Any]:
    if request.param == "file":
        return lambda: FileDestination(FileOptions(path="out"), tmp_path)
    return lambda: StorageDestination(StorageOptions(url=f"file://{tmp_path}/out"), tmp_path)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("escape", [True, False])
def test_a_file_without_a_person_is_as_if_they_had_never_been_in_it(
    place: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, escape: bool
) -> None:
    monkeypatch.setattr(rewrite, "PART_ROWS", 7)
    monkeypatch.setattr(rewrite, "PART_BYTES", 500)
    told, rows = delivery(FileSyncOptions(file=name, escape_formulas=escape)), awkward()
    gone = pl.Series([n % 5 == 0 for n in range(MANY)])
    path = tmp_path / "out" / name
    wrote(place(), told, chosen(rows, ~gone))
    wanted = pq.read_table(path) if name.endswith("parquet") else path.read_bytes()
    wrote(place(), told, rows)
    assert erase(place(), told, chosen(rows, gone)) == SendResult()
    assert (pq.read_table(path) if name.endswith("parquet") else path.read_bytes()) == wanted
    before = path.stat()
    assert erase(place(), told, chosen(rows, gone)) == SendResult()
    assert path.stat().st_mtime_ns == before.st_mtime_ns, "written again for nobody"
    assert erase(place(), told, rows) == SendResult()
    assert path.is_file(), "the last person took the file along"
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_the_file_is_there_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination, told = FileDestination(FileOptions(path="out"), tmp_path), delivery(FileSyncOptions(file="a.csv"))
    wrote(destination, told, awkward())
    path = tmp_path / "out/a.csv"
    old = path.read_bytes()

    def broken(*_: Any) -> Any:
        assert path.read_bytes() == old
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        seen = []
        move = Path.replace

        def replace(part: Path, target: Path) -> Path:
            seen.append(target.read_bytes())
            return move(part, target)

        patched.setattr(Path, "replace", replace)
        erase(destination, told, chosen(awkward(), pl.Series([True] + [False] * (MANY - 1))))
        assert seen == [old]
        old = path.read_bytes()
    monkeypatch.setattr(rewrite, "_csv", broken)
    with pytest.raises(DestinationError, match="no space left"):
        erase(destination, told, awkward())
    assert path.read_bytes() == old
    assert [p.name for p in path.parent.iterdir()] == ["a.csv"]


def test_a_file_that_is_another_says_so(tmp_path: Path) -> None:
    destination = FileDestination(FileOptions(path="out"), tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.csv").write_text("who,text\np1,x\n")
    with pytest.raises(DestinationError, match='no column "\'=id"'):
        erase(destination, delivery(FileSyncOptions(file="a.csv")), awkward(2))
    (tmp_path / "out/a.parquet").write_text("who,text\np1,x\n")
    with pytest.raises(DestinationError, match="cannot be read as parquet"):
        erase(destination, delivery(FileSyncOptions(file="a.parquet")), awkward(2))
    assert erase(destination, delivery(FileSyncOptions(file="never.csv")), awkward(2)) == SendResult()


def test_every_object_of_changes_that_holds_a_person_is_written_anew(tmp_path: Path) -> None:
    destination = StorageDeltasDestination(StorageOptions(url=f"file://{tmp_path}/out"), tmp_path)
    for number, kind in enumerate(("csv", "jsonl", "parquet")):
        told = delivery(DeltaSyncOptions(folder="c", format=kind))
        destination.prepare(told)
        for part, keys in enumerate((["a", "b"], ["a"], ["b", "c"])):
            rows = awkward(len(keys)).rows.with_columns(pl.Series("=id", keys))
            one = Batch(rows=rows, key="=id", payload=batch(rows).payload, id=f"{number}:{part}")
            destination.send(one)
            destination.remove_rows(Batch(rows=rows, key="=id", payload=one.payload, id=f"{number}:{part}:r"))
    (tmp_path / "out/c/theirs.csv").write_text("=id\na\n")
    untouched = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/c").glob("*-?-2*")}
    assert len(list((tmp_path / "out/c").iterdir())) == 19
    assert erase(destination, told, batch(awkward(1).rows.with_columns(pl.lit("a").alias("=id")))) == SendResult()
    left = sorted((tmp_path / "out/c").iterdir())
    assert len(left) == 13, "objects of nobody else stay"
    assert (tmp_path / "out/c/theirs.csv").read_text() == "=id\na\n"
    for path in left:
        if path.name != "theirs.csv":
            read = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}[path.suffix]
            found: Any = read(path)
            assert set(found["=id"]) in ({"b"}, {"b", "c"})
    assert all(path.stat().st_mtime_ns == then for path, then in untouched.items())


def test_types_without_a_way_to_erase_are_these() -> None:
    told = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    places = told["project"]["entry-points"]["cdp_core.destinations"]
    built_in = {kind: pkgutil.resolve_name(place) for kind, place in places.items()}
    assert {kind for kind, cls in built_in.items() if not can_erase(cls)} == {"singer", "slack", "webhook"}


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    class Sends:
        def prepare(self, delivery: Delivery) -> None: ...
        def send(self, batch: Batch) -> SendResult:
            return SendResult()

    assert erase(Sends(), delivery(None), awkward(1)) == UNSUPPORTED


def test_it_is_tried_again_and_what_was_not_reached_is_told() -> None:
    class Away:
        batch_rows = 2
        calls = 0

        def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
            self.calls += 1
            if self.calls == 1 or "k5" in keys:
                raise Unavailable("answered 503", where="it")
            return SendResult({keys[0]: "protected"} if keys[0] == "k2" else {})

    rows = batch(pl.DataFrame({"=id": [f"k{n}" for n in range(6)]}))
    found = erase(Away(), delivery(None), rows, clock=FakeClock())
    assert isinstance(found, SendResult)
    assert (dict(found.failed), set(found.later)) == ({"k2": "protected"}, {"k4", "k5"})

    class Forbidden:
        def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
            raise DestinationError("the token may not")

    with pytest.raises(DestinationError, match="may not"):
        erase(Forbidden(), delivery(None), rows)


EVENT_FIELDS = {"event_id": "string", "user_id": "string", "event": "string", "timestamp": "timestamp"}
AT = datetime(1998, 7, 1, tzinfo=UTC).replace(tzinfo=None)


@pytest.fixture(params=["braze", "customerio", "segment"])
def service(request: Any) -> Iterator[tuple[Any, Any, dict[str, str]]]:
    """A stand-in, a destination of it, and options that make a row an event."""
    kind, root = request.param, Path()
    with {"braze": Braze, "customerio": CustomerIo, "segment": Segment}[kind]() as running:
        if kind == "segment":
            contract = test_segment_contract.TestSegment()
            contract.service = running
            yield running, contract.make(root), {"as": "events"}
        else:
            made: Any = test_braze_contract.made if kind == "braze" else test_customerio_contract.opened
            yield running, made(running), {"as": "events"}


def test_of_events_the_people_are_erased_not_the_events(service: tuple[Any, Any, dict[str, str]]) -> None:
    running, destination, options = service
    user = "userId" if isinstance(running, Segment) else "user_id"
    fields = {user if name == "user_id" else name: kind for name, kind in EVENT_FIELDS.items()}
    chosen = type(destination).SyncOptions.model_validate(options)
    told = Delivery(sync="s", key="event_id", fields=fields, options=chosen, mode="insert")
    running.state.update({"u1": {"name": "Ann"}, "u2": {"name": "Bob"}, "web/m1": {"name": "theirs"}})
    rows = pl.DataFrame(
        {"event_id": ["web/m1", "web/m2", "web/m3"], user: ["u1", "u1", None], "event": ["Paid"] * 3,
         "timestamp": [AT] * 3}
    )  # fmt: skip
    assert erase(destination, told, batch(rows, "event_id")) == SendResult()
    assert set(running.state) == {"u2", "web/m1"}
