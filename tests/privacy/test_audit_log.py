"""Nothing that happens to the audit log goes unnoticed: every way to tamper with it, killed writers, many writers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cdp_core.privacy import audit
from cdp_core.privacy.audit import GENESIS, HEAD, PATH, RECOVERED, Event, Head, digest, entry, record, to_line
from cdp_core.privacy.audit_check import Verdict, verify

KEY = bytes(range(32))
NOON = datetime(2026, 3, 1, 12)
ENTRIES = 6


def event(number: int) -> Event:
    return Event(
        actor="ann", role="admin", action="sync.run", outcome="done", subject_hmac=[f"{number:064x}"],
        details={"name": f"sync_{number}"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audited")
    for number in range(ENTRIES):
        record(root, KEY, event(number), at=NOON + timedelta(minutes=number))
    return root


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "audited"))


def lines(root: Path) -> list[str]:
    return (root / PATH).read_text().splitlines()


def put(root: Path, changed: list[str]) -> None:
    (root / PATH).write_text("".join(f"{line}\n" for line in changed))


def edited(line: str, **values: object) -> str:
    return to_line({**json.loads(line), **values})


def test_a_log_that_nobody_touched_is_whole(root: Path) -> None:
    assert verify(root, KEY) == Verdict(ok=True, entries=ENTRIES)
    rows = [json.loads(line) for line in lines(root)]
    assert [row["seq"] for row in rows] == list(range(1, ENTRIES + 1))
    assert [row["previous_hash"] for row in rows] == [GENESIS, *(row["hash"] for row in rows[:-1])]
    for path in (PATH, HEAD):
        assert (root / path).stat().st_mode & 0o777 == 0o600
    assert verify(root / "elsewhere", None) == Verdict(ok=True, entries=0)


EDITS = {
    "seq": 9, "at": "2026-03-01T12:00:00.000001", "actor": "ben", "role": "viewer", "action": "sync.plan",
    "outcome": "refused", "subject_hmac": [], "details": "{}", "previous_hash": "1" * 64, "hash": "2" * 64,
    "mac": "3" * 64,
}  # fmt: skip


@pytest.mark.parametrize("field", EDITS)
@pytest.mark.parametrize("number", [1, 3, ENTRIES])
def test_an_edited_field_is_found_in_its_line(root: Path, field: str, number: int) -> None:
    told = lines(root)
    told[number - 1] = edited(told[number - 1], **{field: EDITS[field]})
    put(root, told)
    found = verify(root, KEY)
    assert (found.ok, found.line) == (False, number), found


def rehashed(told: list[str], start: int) -> list[str]:
    """What somebody writes who knows how the chain is made, and has not got the key."""
    before = json.loads(told[start - 1])["hash"] if start else GENESIS
    made = []
    for number, line in enumerate(told[start:], start=start + 1):
        row = {**json.loads(line), "seq": number, "previous_hash": before}
        row["hash"] = before = digest(row)
        made.append(to_line(row))
    return [*told[:start], *made]


def forged(told: list[str]) -> list[str]:
    made, head = [], Head()
    for number in range(len(told)):
        row = entry(event(number + 50), head, b"x" * 32, at=NOON)
        head = Head(seq=row["seq"], hash=row["hash"])
        made.append(to_line(row))
    return made


def branched(told: list[str]) -> list[str]:
    """The third as it stood in a copy of the log that went on by itself, under the same key."""
    before = json.loads(told[1])
    other = entry(event(70), Head(seq=2, hash=before["hash"]), KEY, at=NOON)
    return [*told[:2], to_line(other), *told[3:]]


TAMPERED: dict[str, tuple[Callable[[list[str]], list[str]], int | None]] = {
    "the first is taken out": (lambda told: told[1:], 1),
    "one is taken out": (lambda told: [*told[:2], *told[3:]], 3),
    "the last is cut off": (lambda told: told[:-1], ENTRIES),
    "the end is cut off": (lambda told: told[:2], 3),
    "half a line is cut off": (lambda told: [*told[:-1], told[-1][:40]], ENTRIES),
    "emptied": (lambda told: [], 1),
    "two are swapped": (lambda told: [told[0], told[2], told[1], *told[3:]], 2),
    "turned around": (lambda told: told[::-1], 1),
    "one is there twice": (lambda told: [*told[:2], told[1], *told[2:]], 3),
    "one is put in": (lambda told: [*told[:2], edited(told[1], actor="eve"), *told[2:]], 3),
    "one is put on the end": (lambda told: [*told, edited(told[-1], seq=ENTRIES + 1)], ENTRIES + 1),
    "words are put in": (lambda told: [*told[:2], "ann was here", *told[2:]], 3),
    "words in the place of one": (lambda told: [*told[:2], "ann was here", *told[3:]], 3),
    "edited, and the chain made anew": (lambda told: rehashed([*told[:2], edited(told[2], actor="ben"), *told[3:]], 2), 3),
    "taken out, and the chain made anew": (lambda told: rehashed([*told[:2], *told[3:]], 2), 3),
    "written anew with another key": (forged, 1),
    "one of another branch": (branched, 4),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_tampering_is_found_and_stays_found(root: Path, how: str) -> None:
    change, line = TAMPERED[how]
    put(root, change(lines(root)))
    found = verify(root, KEY)
    assert (found.ok, found.line) == (False, line), found
    record(root, KEY, event(99), at=NOON)
    after = verify(root, KEY)
    assert not after.ok, "what is written later hides what was done before"
    assert after.line is not None


@pytest.mark.parametrize("how", ["gone", "of another log", "of before", "no anchor"])
def test_an_anchor_that_is_not_the_last_one_is_found(root: Path, tmp_path: Path, how: str) -> None:
    """Whoever cuts off the end and takes the anchor away, or puts an older one there, is found as well."""
    head = root / HEAD
    if how == "gone":
        head.unlink()
    elif how == "no anchor":
        head.write_text("{}")
    elif how == "of another log":
        record(tmp_path / "other", b"y" * 32, event(1), at=NOON)
        shutil.copy(tmp_path / "other" / HEAD, head)
    else:
        last = json.loads(lines(root)[-1])
        earlier = head.read_bytes()
        record(root, KEY, event(7), at=NOON)
        put(root, lines(root)[:-1])
        head.write_bytes(earlier)
        assert verify(root, KEY).ok, "file and anchor of one moment fit together"
        assert not verify(root, KEY, witness=(ENTRIES + 1, "f" * 64)).ok, "the lake remembers the entry that is gone"
        assert verify(root, KEY, witness=(ENTRIES, last["hash"])).ok
        assert not verify(root, KEY, witness=(ENTRIES, "e" * 64)).ok
        return
    put(root, lines(root)[:-2])
    assert not verify(root, KEY).ok
    record(root, KEY, event(7), at=NOON)
    after = verify(root, KEY)
    assert not after.ok, "a new anchor hides that the old one was gone"
    assert "anchor" in str(after.problem)


def test_a_log_that_is_gone_is_missed(root: Path) -> None:
    (root / PATH).unlink()
    found = verify(root, KEY)
    assert (found.ok, found.line) == (False, 1)
    assert "6" in str(found.problem)
    assert not verify(root, None).ok


def test_what_a_killed_writer_leaves_is_no_tampering(root: Path) -> None:
    """Killed between the line and the anchor: the entry counts. Killed in the line: it is named, and nothing lost."""
    whole = (root / PATH).read_bytes()
    head = Head(seq=ENTRIES, hash=json.loads(lines(root)[-1])["hash"])
    left = to_line(entry(event(42), head, KEY, at=NOON)).encode()
    for cut, entries in ((left + b"\n", ENTRIES + 1), (left, ENTRIES + 1), (left[:-7], ENTRIES), (left[:1], ENTRIES)):
        copy = root.with_name(f"cut_{len(cut)}")
        shutil.copytree(root, copy)
        (copy / PATH).write_bytes(whole + cut)
        found = verify(copy, KEY)
        assert (found.ok, found.entries) == (True, entries)
        assert "killed" in str(found.note)
        record(copy, KEY, event(43), at=NOON)
        found = verify(copy, KEY)
        torn = entries == ENTRIES
        assert found == Verdict(ok=True, entries=entries + 1 + torn), found
        assert (RECOVERED in lines(copy)[-2]) == torn
        put(copy, [line for line in lines(copy) if RECOVERED not in line])
        assert verify(copy, KEY).ok != torn, "an unfinished line that nobody speaks of is tampering"


WRITER = """
import sys
from datetime import datetime
from pathlib import Path
from cdp_core.privacy.audit import Event, record
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    event = Event(actor=sys.argv[3], role="admin", action="run", outcome="done")
    record(Path(sys.argv[1]), bytes(range(32)), event, at=datetime(2026, 1, 1))
"""


def writer(root: Path, entries: int, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(root), str(entries), name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_two_writers_at_once_make_one_chain(root: Path) -> None:
    started = [writer(root, 60, name) for name in ("ann", "ben")]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=60)
    assert [process.returncode for process in started] == [0, 0]
    assert verify(root, KEY) == Verdict(ok=True, entries=ENTRIES + 120)
    actors = [json.loads(line)["actor"] for line in lines(root)[ENTRIES:]]
    assert sorted(set(actors)) == ["ann", "ben"]


def test_a_writer_killed_at_any_moment_breaks_nothing(root: Path) -> None:
    for _ in range(4):
        before = verify(root, KEY).entries
        process = writer(root, 100_000, "ann")
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
        while verify(root, KEY).entries < before + 3:
            assert process.poll() is None
        process.kill()
        process.wait()
        found = verify(root, KEY)
        assert found.ok, found
    record(root, KEY, event(1), at=NOON)
    assert verify(root, KEY).note is None


def test_adding_does_not_read_the_whole_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    tail = audit.tail
    monkeypatch.setattr(audit, "tail", lambda root, start: read.append(start) or tail(root, start))
    monkeypatch.setattr(Path, "read_bytes", lambda self: self.open("rb").read(4096))
    monkeypatch.setattr(Path, "read_text", None)
    record(root, KEY, event(1), at=NOON)
    assert not read
    monkeypatch.undo()
    assert verify(root, KEY).ok
