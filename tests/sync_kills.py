"""One sync in a process of its own, killed again and again while its model changes; what it left, counted.

The process says where it is (opened, planned, begun, sent …, settled), so that a kill is known by the moment it hit.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from cdp_core.engine import EngineSpec, open_engine
from cdp_core.testing.services.base import Reply, Request
from cdp_core.testing.services.webhook import Receiver

CHILD = """
import json, os, sys
from datetime import datetime
from pathlib import Path

import polars as pl

from cdp_core.destinations import ledger
from cdp_core.destinations.delivery import Sender
from cdp_core.destinations.open import open_destination
from cdp_core.destinations.plan import plan_sync
from cdp_core.destinations.spec import DestinationSpec, SyncSpec
from cdp_core.destinations.sync import run_sync
from cdp_core.engine import EngineSpec, open_engine

folder = Path(sys.argv[1])
given = json.loads((folder / "sync.json").read_text())

def say(word):
    # One write for each, from whatever thread.
    os.write(1, (word + "\\n").encode())

def told(owner, name, before, after):
    plain = getattr(owner, name)
    def call(*args, **more):
        say(before)
        found = plain(*args, **more)
        say(after)
        return found
    setattr(owner, name, call)

told(ledger, "begin", "beginning", "begun")
told(ledger, "settle", "settling", "settled")
told(Sender, "send", "sending", "sent")
told(Sender, "remove", "removing", "removed")
engine = open_engine(folder, EngineSpec())
say("opened")
sync = SyncSpec.model_validate(given["sync"])
destination = open_destination("it", DestinationSpec.model_validate(given["destination"]), root=folder)
model = engine.frame(pl.read_parquet(folder / "model.parquet"))
plan = plan_sync(engine, "s", sync, model=model, ledger=engine.table("sync_ledger"), destination=destination)
say("planned")
done = run_sync(engine, "s", sync, destination, plan, run_id="", now=datetime(1998, 7, 1), confirm=True)
engine.close()
say(json.dumps(done.to_dict()))
say("done")
"""
SYNC = {
    "model": "profiles",
    "destination": "it",
    "key": "id",
    "mapping": {"id": "profile_id", "name": "name", "visits": "visits"},
}
Content = tuple[str, int]


class Collecting(Receiver):
    """A receiver that also keeps what one without a memory would have: every arrival, and every effect.

    Both count (operation, key, version). Calls take `pause` seconds. `removed` says when a key was taken out.
    """

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        self.pause = pause
        self.arrived: Counter[tuple[str, str, int]] = Counter()
        self.taken: Counter[tuple[str, str, int]] = Counter()
        self.removed: defaultdict[str, list[float]] = defaultdict(list)

    def handle(self, request: Request) -> Reply:
        time.sleep(self.pause)
        return super().handle(request)

    def _take(self, operation: str, row: dict[str, Any], name: str | None) -> None:
        what = (operation, str(row["id"]), int(row["visits"]))
        self.arrived[what] += 1
        self.taken[what] += name not in self.seen
        if operation == "remove" and name not in self.seen:
            self.removed[what[1]].append(time.monotonic())
        super()._take(operation, row, name)


@dataclass
class Tally:
    """What the kills did. `moments` counts them by the last word that the process said."""

    kills: int = 0
    runs: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(self.moments.items()))
        return f"n = {self.kills} kills ({self.runs} runs came through) in {self.seconds:.0f} s; moments: {listed}"


class Killed:
    """A sync of a model that changes, in `folder`. `model` maps keys to (name, version)."""

    def __init__(self, folder: Path, destination: dict[str, Any], options: dict[str, Any], *, rows: int, seed: int):
        self.folder, self.chance = folder, random.Random(seed)
        self.model: dict[str, Content] = {}
        self._versions, self._keys = Counter[str](), 0
        self.came: defaultdict[str, list[float]] = defaultdict(list)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sync.json").write_text(
            json.dumps({"sync": {**SYNC, "options": options}, "destination": destination})
        )
        engine = open_engine(folder, EngineSpec())
        engine.ensure_tables()
        engine.close()
        self._add(rows)

    def change(self, share: float = 0.2) -> None:
        """Some rows leave, some change, some come, and some of those come back."""
        keys = sorted(self.model)
        for key in self.chance.sample(keys, int(len(keys) * share)):
            if self.chance.random() < 0.4:
                del self.model[key]
            else:
                self._version(key)
        gone = [f"p{i}" for i in range(self._keys) if f"p{i}" not in self.model]
        for key in self.chance.sample(gone, len(gone) // 3):
            self._version(key)
        self._add(max(0, len(keys) - len(self.model)))

    def start(self) -> subprocess.Popen[str]:
        rows = [{"profile_id": k, "name": name, "visits": version} for k, (name, version) in self.model.items()]
        frame = pl.DataFrame(rows, schema={"profile_id": pl.String, "name": pl.String, "visits": pl.Int64})
        frame.write_parquet(self.folder / "model.parquet")
        command = [sys.executable, "-c", CHILD, str(self.folder)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self) -> dict[str, Any]:
        """A run that is let through."""
        child = self.start()
        said, error = child.communicate(timeout=300)
        assert child.returncode == 0, error[-2000:]
        found: dict[str, Any] = json.loads(said.splitlines()[-2])
        return found

    def kill_often(self, kills: int, changed: Callable[[], None] | None = None) -> Tally:
        """Kill -9 at `kills` moments, a fifth of them between opening the lake and the end, the others behind the plan,
        where rows are on their way; the model changes in between.
        """
        tally, began, longest = Tally(), time.monotonic(), {"opened": 2.0, "planned": 2.0}
        while tally.kills < kills:
            word = "opened" if self.chance.random() < 0.2 else "planned"
            moment, took = _killed(self.start(), word, self.chance.uniform(0, longest[word]))
            if moment is None:
                tally.runs += 1
                longest[word] = took
            else:
                tally.kills += 1
                tally.moments[moment] += 1
            if self.chance.random() < 0.7:
                (changed or self.change)()
        tally.seconds = time.monotonic() - began
        return tally

    def removed_again(self, removed: Mapping[str, list[float]]) -> tuple[int, list[str]]:
        """How many rows were taken out a second time, and those of them that had not come back in between."""
        pairs = [(key, pair) for key, times in removed.items() for pair in pairwise(times)]
        bare = [key for key, (first, then) in pairs if not any(first < came < then for came in self.came[key])]
        return len(pairs), bare

    def ledger(self) -> dict[str, Content]:
        """What the ledger says is at the destination: key → (name, version)."""
        engine = open_engine(self.folder, EngineSpec())
        try:
            table = engine.table("sync_ledger")
            rows = engine.polars(table.select("key", "status", "operation", "payload")).to_dicts()
            runs = engine.polars(engine.table("sync_runs").select("status")).to_series().to_list()
        finally:
            engine.close()
        assert "running" not in runs, "a run that is over is said to be running"
        assert {row["status"] for row in rows} <= {"delivered", "dead"}
        there = [r for r in rows if r["status"] == "delivered" and r["operation"] != "remove"]
        told = {row["key"]: json.loads(row["payload"]) for row in there}
        return {key: (row["name"], row["visits"]) for key, row in told.items()}

    def _add(self, count: int) -> None:
        for _ in range(count):
            self._version(f"p{self._keys}")
            self._keys += 1

    def _version(self, key: str) -> None:
        self._versions[key] += 1
        self.came[key].append(time.monotonic())
        self.model[key] = (f"Name {key} {self._versions[key]}", self._versions[key])


def _killed(child: subprocess.Popen[str], word: str, delay: float) -> tuple[str | None, float]:
    """Kill it so many seconds after it said `word`. The last word before the kill, None when the process was faster;
    and how long it lasted from that word.
    """
    said: list[str] = []
    reached = threading.Event()

    def listen() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line.split()[0])
            if line.strip() == word:
                reached.set()
        reached.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert reached.wait(120), "the process does not start"
    began = time.monotonic()
    try:
        child.wait(delay)
    except subprocess.TimeoutExpired:
        child.kill()
    code = child.wait()
    took = time.monotonic() - began
    listener.join(10)
    error = child.stderr.read() if child.stderr else ""
    assert code in (0, -9), error[-2000:]
    return (None, took) if code == 0 else (said[-1] if said[-1].isalpha() else "done", took)
