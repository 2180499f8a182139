"""Whether the audit log is whole: nothing edited, put in, taken out, moved, cut off or written by somebody else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cdp_core.privacy.audit import HEAD, PATH, REANCHORED, RECOVERED, Head, follows, from_line, read_head


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`ok`: the chain is unbroken over all `entries`. Otherwise `line` is the first bad line of the file (one behind
    the last for what was cut off; None where no line is to blame) and `problem` says what is wrong. `note` is something
    worth knowing about a log that is whole.
    """

    ok: bool
    entries: int
    line: int | None = None
    problem: str | None = None
    note: str | None = None

    @property
    def words(self) -> str:
        """
        >>> Verdict(ok=True, entries=1234).words
        'unbroken, 1,234 entries'
        >>> Verdict(ok=False, entries=3, line=2, problem="its content is not what was written").words
        'broken at line 2: its content is not what was written'
        """
        if self.ok:
            return f"unbroken, {self.entries:,} {'entry' if self.entries == 1 else 'entries'}"
        return f"broken at line {self.line}: {self.problem}" if self.line else f"broken: {self.problem}"

    def to_dict(self) -> dict[str, Any]:
        """ok, entries, line, problem, note."""
        return asdict(self)


def verify(root: Path, key: bytes | None, witness: tuple[int, str] | None = None) -> Verdict:
    """Go through the whole log. `witness` is number and hash of an entry that is known from elsewhere (the lake)."""
    path = root / PATH
    there = path.is_file() and path.stat().st_size > 0
    if key is None:
        problem = "the key of this workspace is gone, without which nothing can be checked"
        empty = not there and not (root / HEAD).exists() and witness is None
        return Verdict(ok=True, entries=0) if empty else Verdict(ok=False, entries=0, problem=problem)
    head = read_head(root, key)
    last, torn = Head(), _Torn()
    known: dict[int, str] = {}
    for number, raw, end in _lines(path) if there else ():
        row = from_line(raw)
        if row is None:
            torn.add(number, raw)
            continue
        if problem_ := follows(row, last, key) or torn.unexplained_by(row):
            return _broken(last, torn.line or number, problem_ if not torn.line else torn.what)
        if row["action"] == REANCHORED:
            return _broken(last, number, "the anchor was gone before this entry: what had been cut off cannot be known")
        torn = _Torn()
        last = Head(seq=row["seq"], hash=row["hash"], size=end)
        if (head and last.seq == head.seq) or (witness and last.seq == witness[0]):
            known[last.seq] = last.hash
    return _ending(root, last, torn, known, head, witness)


def _ending(
    root: Path, last: Head, torn: _Torn, known: dict[int, str], head: Head | None, witness: tuple[int, str] | None
) -> Verdict:
    """Whether the file ends where the anchor and the witness say."""
    entries, behind = last.seq, last.seq + 1
    if head is None:
        if not (root / HEAD).exists():
            if entries == 0 and not torn.line and witness is None:
                return Verdict(ok=True, entries=0)
            return _broken(last, None, f"the anchor {HEAD} is gone: what was cut off cannot be known")
        return _broken(last, None, f"the anchor {HEAD} is not what was written with this workspace's key")
    for seq, hash_, who in ((head.seq, head.hash, "the anchor"), (*(witness or (0, "")), "the lake")):
        if seq > entries:
            gone = "is gone" if seq == entries + 1 else f"to {seq} are gone"
            return _broken(last, torn.line or behind, f"entry {behind} {gone}: {who} knows of {seq}")
        if seq and known[seq] != hash_:
            return _broken(last, seq, f"it is not the entry {seq} that {who} knows")
    if torn.line and last.size < head.size:
        return _broken(last, torn.line, torn.what)
    if torn.line:
        return Verdict(ok=True, entries=entries, note="the last line is unfinished: its process was killed")
    late = entries - head.seq
    note = f"{late} of them written by a process that was killed before it moved the anchor" if late else None
    return Verdict(ok=True, entries=entries, note=note)


class _Torn:
    """Lines that are no entries. The next entry has to say which they were."""

    what = "this is no entry"

    def __init__(self) -> None:
        self.line: int | None = None
        self._hashes: list[str] = []

    def add(self, number: int, raw: bytes) -> None:
        self.line = self.line or number
        self._hashes.append(hashlib.sha256(raw).hexdigest())

    def unexplained_by(self, row: dict[str, Any]) -> str | None:
        if not self._hashes:
            return None
        told: Sequence[str] = json.loads(row["details"]).get("sha256", ()) if row["action"] == RECOVERED else ()
        return None if list(told) == self._hashes else self.what


def _broken(last: Head, line: int | None, problem: str) -> Verdict:
    return Verdict(ok=False, entries=last.seq, line=line, problem=problem)


def _lines(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """Number, text and end of every line."""
    end = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            end += len(raw)
            if raw.strip(b"\n"):
                yield number, raw.strip(b"\n"), end
