"""kill -9 of a collector under load, and disks that refuse: what was acknowledged is stored, once.

The ledger that judges is kept here, outside the product: what was sent, what was acknowledged, and with which counts.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import cdp_core as cdp

sys.path.insert(0, str(Path(__file__).parents[1] / "collector"))
from serving import started, workspace

SENDERS = 6


@dataclass
class Ledger:
    """Ids that were sent, and those of requests that were answered 200. `told` sums what the answers said."""

    sent: set[str] = field(default_factory=set)
    acked: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    told: Counter[str] = field(default_factory=Counter)
    acked_events: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sender(threading.Thread):
    """A client: sends batches until the collector is gone, and sends again what was not acknowledged."""

    def __init__(self, url: str, key: str, ledger: Ledger, seed: int, unsure: list[list[dict[str, Any]]]) -> None:
        super().__init__(daemon=True)
        self.host = urlsplit(url).netloc
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
        self.ledger, self.rng, self.unsure = ledger, random.Random(seed), unsure
        self.ending = False

    def run(self) -> None:
        line = http.client.HTTPConnection(self.host, timeout=20)
        mine: list[list[dict[str, Any]]] = []
        while not self.ending:
            batch = self.next_batch(mine)
            with self.ledger.lock:
                self.ledger.sent.update(e["messageId"] for e in batch)
                self.ledger.bad.update(e["messageId"] for e in batch if "userId" not in e)
            try:
                line.request("POST", "/v1/batch", json.dumps({"batch": batch}), self.headers)
                answer = line.getresponse()
                said = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.unsure.append(batch)
                return
            with self.ledger.lock:
                if answer.status == 200:
                    self.ledger.acked.update(e["messageId"] for e in batch)
                    self.ledger.acked_events += len(batch)
                    self.ledger.told.update({k: said[k] for k in ("accepted", "quarantined", "duplicates")})
                    mine.append(batch)
                else:
                    self.ledger.refused[answer.status] += len(batch)
                    self.unsure.append(batch)

    def next_batch(self, mine: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        if self.unsure and self.rng.random() < 0.5:
            with contextlib.suppress(IndexError):
                return self.unsure.pop()
        if mine and self.rng.random() < 0.1:
            return self.rng.choice(mine)
        batch = [
            {"type": "track", "event": "Hit", "userId": f"u{self.rng.randrange(500)}", "messageId": uuid.uuid4().hex}
            for _ in range(self.rng.randint(1, 30))
        ]
        if self.rng.random() < 0.1:
            del batch[0]["userId"]
        return batch


def judge(root: Path, ledger: Ledger) -> None:
    """Load all that is on disk and compare it with the ledger."""
    with cdp.open(root) as ws:
        run = ws.run(select=["load"], wait=60)
        assert run.status == "succeeded", run.error
        stored = ws.sql("SELECT message_id, count(*) AS n FROM events GROUP BY 1")
        held = [json.loads(p)["messageId"] for p in ws.sql("SELECT payload FROM quarantine")["payload"]]
        loads = ws.sql(
            "SELECT coalesce(sum(rows_read), 0) AS received, coalesce(sum(events), 0) AS events, "
            "coalesce(sum(duplicates), 0) AS duplicates, coalesce(sum(quarantined), 0) AS held FROM source_loads"
        ).row(0, named=True)
        assert ws.live.waiting() in ({}, {"site": 0})
    ids = set(stored["message_id"])
    assert stored["n"].max() in (1, None), "a message is stored twice"
    assert len(held) == len(set(held))
    assert not ledger.acked - ids - set(held), "acknowledged and missing"
    assert ids | set(held) <= ledger.sent
    assert set(held) <= ledger.bad
    assert not ids & ledger.bad
    assert loads["received"] == loads["events"] + loads["duplicates"] + loads["held"]
    assert (loads["events"], loads["held"]) == (len(ids), len(held))
    assert loads["received"] >= ledger.acked_events
    assert sum(ledger.told.values()) == ledger.acked_events


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def trials(root: Path, count: int, seed: int, *options: str) -> Ledger:
    """Start, load, kill at a random moment; what is left is judged every time."""
    rng = random.Random(seed)
    key, _ = workspace(root)
    ledger, unsure = Ledger(), []
    for trial in range(count):
        with started(root, *options) as (process, url):
            senders = [Sender(url, key, ledger, rng.randrange(10**9), unsure) for _ in range(SENDERS)]
            for sender in senders:
                sender.start()
            time.sleep(rng.uniform(0.02, 1.2))
            victims = children(process.pid) if rng.random() < 0.5 else []
            process.kill()
            process.wait()
            for victim in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            for sender in senders:
                sender.ending = True
            for sender in senders:
                sender.join(30)
                assert not sender.is_alive()
        if trial % 5 == 4 or trial == count - 1:
            judge(root, ledger)
    return ledger


def test_killed_a_few_times(tmp_path: Path) -> None:
    ledger = trials(tmp_path / "ws", 3, seed=1)
    assert len(ledger.acked) > 100


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("drain", ["off", "1s"])
def test_killed_many_times(tmp_path: Path, drain: str) -> None:
    count = int(os.environ.get("CDP_TRIALS", "60"))
    ledger = trials(tmp_path / "ws", count, int(os.environ.get("CDP_SEED", "7")), "--drain-every", drain)
    sys.stdout.write(
        f"\n{count} kills (drain {drain}): {len(ledger.acked):,} ids acknowledged, 0 missing, 0 twice; "
        f"{len(ledger.sent) - len(ledger.acked):,} sent without an answer; {dict(ledger.refused)} refused\n"
    )
    assert len(ledger.acked) > 1000


@pytest.mark.parametrize("call", ["fsync,fdatasync", "pwrite64"])
def test_a_disk_that_fails_is_never_answered_200(tmp_path: Path, call: str) -> None:
    """Every third call fails with an I/O error, for two seconds; then the disk is well again."""
    if shutil.which("strace") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("strace is not installed")
    root = tmp_path / "ws"
    key, _ = workspace(root)
    ledger, unsure = Ledger(), []
    with started(root) as (process, url):
        senders = [Sender(url, key, ledger, n, unsure) for n in range(SENDERS)]
        for sender in senders:
            sender.start()
        time.sleep(0.5)
        inject = [f"inject={name}:error=EIO:when=1+3" for name in call.split(",")]
        flags = [word for text in inject for word in ("-e", text)]
        tracer = subprocess.Popen(
            [
                "strace",
                "-f",
                "-qq",
                "-o",
                str(tmp_path / "trace"),
                "-e",
                f"trace={call}",
                *flags,
                "-p",
                str(process.pid),
            ]
        )
        time.sleep(2)
        if tracer.poll() is not None:
            pytest.skip("this machine lets nobody trace")
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        time.sleep(0.5)
        process.kill()
        for sender in senders:
            sender.ending = True
        for sender in senders:
            sender.join(30)
    injected = (tmp_path / "trace").read_text().count("(INJECTED)")
    judge(root, ledger)
    assert injected > 3
    assert ledger.refused[503] > 0
    assert set(ledger.refused) == {503}
    assert len(ledger.acked) > 100
