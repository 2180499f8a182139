"""SIGTERM ends a run of a sync as Ctrl-C does: what was sent is settled, the run is recorded as cancelled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cdp_core as cdp
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.webhook import Receiver
from cdp_core.workspace import demo

HOOK = """
destinations:
  hook: {{type: webhook, url: "{url}/in", private_network: true}}
syncs:
  people_hook:
    model: profiles
    destination: hook
    key: id
    options: {{rows_per_call: 2}}
    mapping: {{id: profile_id}}
"""

IN_A_CALL = 2


def test_sigterm_settles_what_was_sent_and_records_the_run(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    demo(root, people=40, seed=3)
    with Receiver() as receiver:
        (root / "hook.yaml").write_text(HOOK.format(url=receiver.url))
        (root / "cdp.yaml").write_text("include: [hook.yaml]\n" + (root / "cdp.yaml").read_text())
        with cdp.open(root) as ws:
            assert ws.run().status == "succeeded"
            total = ws.sync("people_hook").plan().due
        seen: list[str] = []
        for command in ("run", "retry"):
            before = len(receiver.state)
            _cancelled(root, receiver, command)
            with cdp.open(root) as ws:
                assert not ws.sync("people_hook").running()
                runs = ws.sync("people_hook").history()
                # The demo's clock stands still, so runs are told apart by their ids.
                (newest,) = runs.filter(~runs["run_id"].is_in(seen)).to_dicts()
                seen.append(newest["run_id"])
                ledger = ws.polars(ws.table("sync_ledger").filter(lambda t: t.sync == "people_hook"))
            assert newest["status"] == "cancelled"
            assert before < len(receiver.state) < total, "the rest was not sent"
            # A call whose answer came with the signal may stay pending; it is sent again, with the same id.
            assert len(receiver.state) - before - newest["delivered"] in (0, IN_A_CALL)
            known = set(ledger.filter(ledger["status"] == "delivered")["key"])
            assert known <= set(receiver.state)
            assert len(receiver.state) - len(known) <= 2 * IN_A_CALL
        with cdp.open(root) as ws:
            assert not ws.sync("people_hook").run().pending
        assert len(receiver.state) == total
        assert set(receiver.effects.values()) == {1}, "nobody is written twice"


def _cancelled(root: Path, receiver: Receiver, command: str) -> None:
    """A run in a process of its own, asked to end (twice) while calls are on their way."""
    began = len(receiver.calls)
    receiver.faults.extend([Fault("slow", seconds=0.01)] * 2 + [Fault("slow", seconds=1.5)] * 100)
    process = _started(root, command)
    _until(lambda: len(receiver.calls) >= began + 3)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    receiver.faults.clear()
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("error: interrupted")


def _started(root: Path, command: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "cdp_core.cli", "sync", command, "people_hook", "-w", str(root)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until
        threading.Event().wait(0.02)
