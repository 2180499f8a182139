"""The inbox: what `put` has told to be on disk is read back once, whatever happens to the files in between."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import cdp_core as cdp
from cdp_core.errors import SourceError
from cdp_core.inbox import files, reader, writer
from cdp_core.inbox.packed import pack, unpack
from cdp_core.inbox.writer import InboxFull, InboxWriter, Received
from cdp_core.sources import collector as source


class Waiter:
    def __init__(self) -> None:
        self.done, self.error = threading.Event(), None


def writing(root: Path, **more: Any) -> InboxWriter:
    """A writer whose `put` takes a Waiter."""

    def settle(waiters: Sequence[Waiter], error: Exception | None) -> None:
        for waiter in waiters:
            waiter.error = error
            waiter.done.set()

    return InboxWriter(root, settle, **more)


def put(inbox: InboxWriter, number: int, source: str = "s") -> Exception | None:
    """One request, and what came of it."""
    waiter = Waiter()
    inbox.put(Received(source, number, b"{}", 1, 10, pack([b"%d" % number])), waiter)
    assert waiter.done.wait(10)
    return waiter.error


def everything(root: Path, source: str = "s") -> list[bytes]:
    chunks = [chunk for path in files.inbox_files(root) for chunk in reader.read(path, source, 0)]
    return [text for chunk in chunks for row in chunk for text in unpack(row.body)]


def test_all_is_read_back_in_order_and_only_once(tmp_path: Path) -> None:
    inbox = writing(tmp_path)
    assert [put(inbox, n) for n in range(50)] == [None] * 50
    assert put(inbox, 99, "other") is None
    (path,) = files.inbox_files(tmp_path)
    assert everything(tmp_path) == [b"%d" % n for n in range(50)]
    assert [row.seq for chunk in reader.read(path, "s", 48) for row in chunk] == [49, 50]
    assert reader.waiting(tmp_path, {("s", path.name): 48}) == {"s": 2, "other": 1}
    inbox.close()
    assert everything(tmp_path, "other") == [b"99"]


def test_large_chunks_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CHUNK_BYTES", 20)
    inbox = writing(tmp_path)
    for n in range(10):
        put(inbox, n)
    (path,) = files.inbox_files(tmp_path)
    sizes = [len(chunk) for chunk in reader.read(path, "s", 0)]
    assert sum(sizes) == 10
    assert len(sizes) > 2
    inbox.close()


def test_a_new_file_when_one_is_large_and_old_ones_go_when_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "ROTATE_BYTES", 40_000)
    inbox = writing(tmp_path)
    for n in range(12):
        put(inbox, n)
    first, *_, last = files.inbox_files(tmp_path)
    assert first != last
    ends = {("s", p.name): max(r.seq for c in reader.read(p, "s", 0) for r in c) for p in files.inbox_files(tmp_path)}
    assert reader.tidy(tmp_path, {**ends, ("s", first.name): ends["s", first.name] - 1}) == len(ends) - 2
    assert first.exists()
    assert reader.tidy(tmp_path, ends) == 1
    assert files.inbox_files(tmp_path) == [last]
    inbox.close()


def test_after_a_failed_write_another_file_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = writing(tmp_path)
    assert put(inbox, 1) is None
    plain = writer._insert

    def fails(connection: sqlite3.Connection, requests: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(writer, "_insert", fails)
    assert isinstance(put(inbox, 2), sqlite3.OperationalError)
    monkeypatch.setattr(writer, "_insert", plain)
    assert put(inbox, 3) is None
    assert len(files.inbox_files(tmp_path)) == 2
    assert everything(tmp_path) == [b"1", b"3"]
    inbox.close()


def test_a_clock_that_is_set_back_does_not_change_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ROTATE_BYTES", 0)
    inbox = writing(tmp_path)
    assert put(inbox, 1) is None

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(days=1)

    monkeypatch.setattr(files, "datetime", Yesterday)
    assert put(inbox, 2) is None
    assert put(inbox, 3) is None
    assert everything(tmp_path) == [b"1", b"2", b"3"]
    assert reader.tidy(tmp_path, {("s", p.name): 1 for p in files.inbox_files(tmp_path)}) == 2
    assert everything(tmp_path) == [b"3"]
    inbox.close()


def test_an_error_that_nobody_thought_of_is_told_and_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = writing(tmp_path)
    plain = writer._insert

    def fails(connection: sqlite3.Connection, requests: object) -> None:
        raise MemoryError

    monkeypatch.setattr(writer, "_insert", fails)
    assert isinstance(put(inbox, 1), MemoryError)
    monkeypatch.setattr(writer, "_insert", plain)
    assert put(inbox, 2) is None
    assert everything(tmp_path) == [b"2"]
    inbox.close()


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = writing(tmp_path, backlog=1)
    assert put(inbox, 1) is None
    inbox._checked = 0.0
    with pytest.raises(InboxFull):
        put(inbox, 2)
    monkeypatch.setattr(writer, "QUEUE_BYTES", 1)
    with pytest.raises(InboxFull):
        put(inbox, 3)
    inbox.close()
    with pytest.raises(InboxFull):
        put(inbox, 4)


def test_a_damaged_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    files.folder_of(tmp_path).mkdir(parents=True)
    (files.folder_of(tmp_path) / "inbox-1.sqlite").write_bytes(b"not a database at all, not at all" * 100)
    with pytest.raises(SourceError, match=r"inbox-1.sqlite cannot be read"):
        everything(tmp_path)
    assert reader.tidy(tmp_path, {}) == 0


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    inbox = writing(tmp_path)
    put(inbox, 1)
    for path in files.folder_of(tmp_path).iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name
    inbox.close()


def test_a_flood_is_loaded_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LOAD_BYTES", 200)
    monkeypatch.setattr(reader, "CHUNK_BYTES", 100)
    (tmp_path / "cdp.yaml").write_text("name: t\nregion: US\nsources: {site: {type: collector}}\n")
    inbox = writing(tmp_path)
    for n in range(20):
        waiter = Waiter()
        text = b'{"type":"page","userId":"u","messageId":"m%d"}' % n
        inbox.put(Received("site", n, b"{}", 1, len(text), pack([text])), waiter)
        assert waiter.done.wait(10)
    with cdp.open(tmp_path) as ws:
        first = ws.run(select=["load"])
        assert 0 < first.stages[0].rows_in < 20
        assert first.stages[0].note == f"{20 - first.stages[0].rows_in} received events wait for the next run"
        for _ in range(9):
            ws.run(select=["load"])
        assert ws.live.waiting() == {"site": 0}
        assert ws.sql("SELECT count(*) AS n, count(DISTINCT message_id) AS d FROM events").row(0) == (20, 20)
    inbox.close()


def test_doctor_looks_at_keys_and_at_what_nobody_waits_for(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text(
        "name: t\nregion: US\nsources: {site: {type: collector}, app: {type: collector}}\n"
    )
    with cdp.open(tmp_path) as ws:
        ws.live.create_key("site")
    inbox = writing(tmp_path)
    put(inbox, 1, "gone")
    put(inbox, 2, "site")
    said = {finding.what: finding.level for finding in cdp.doctor(tmp_path)}
    assert said["source 'site': 1 write key in force"] == "ok"
    assert said["source 'app': no write key is in force"] == "warn"
    assert said["1 events were received for 'gone', which cdp.yaml does not define"] == "warn"
    assert not [what for what in said if "received for 'site'" in what]
    inbox.close()
