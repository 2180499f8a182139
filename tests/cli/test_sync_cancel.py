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

import pytest

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
    options: {{rows_per_call: 5}}
    mapping: {{id: profile_id}}
"""


@pytest.mark.parametrize("command", ["run", "retry"])
def test_sigterm_settles_what_was_sent_and_records_the_run(command: str, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    demo(root, people=40, seed=3)
    with Receiver() as receiver:
        (root / "hook.yaml").write_text(HOOK.format(url=receiver.url))
        (root / "cdp.yaml").write_text("include: [hook.yaml]\n" + (root / "cdp.yaml").read_text())
        with cdp.open(root) as ws:
            assert ws.run().status == "succeeded"
            total = ws.sync("people_hook").plan().due
        if command == "retry":
            _leave_pending(root, receiver)
        began = len(receiver.calls)
        receiver.faults.extend([Fault("slow", seconds=0.01)] * 2 + [Fault("slow", seconds=6)] * 100)
        process = _started(root, command)
        _until(lambda: len(receiver.calls) >= began + 3)
        with cdp.open(root) as ws:
            assert ws.reader().sync("people_hook").running()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said.splitlines()[-1].startswith("error: interrupted")
        with cdp.open(root) as ws:
            assert not ws.sync("people_hook").running()
            newest = ws.sync("people_hook").history(1).row(0, named=True)
            assert newest["status"] == "cancelled"
            assert 0 < newest["delivered"] < total
            ledger = ws.polars(ws.table("sync_ledger").filter(lambda t: t.sync == "people_hook"))
            delivered = set(ledger.filter(ledger["status"] == "delivered")["key"])
            assert delivered, "what was sent is settled"
            assert delivered <= set(receiver.state)
            receiver.faults.clear()
            done = ws.sync("people_hook").run()
            assert not done.pending
        assert len(receiver.state) == total
        assert set(receiver.effects.values()) == {1}, "nobody is written twice"


def _leave_pending(root: Path, receiver: Receiver) -> None:
    """A run that the destination broke off, so that there is something to retry."""
    receiver.refuses = lambda row: "closed"
    with cdp.open(root) as ws, pytest.raises(cdp.CDPError):
        ws.sync("people_hook").run()
    receiver.refuses = None


def _started(root: Path, command: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "cdp_core.cli", "sync", command, "people_hook", "-w", str(root)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        threading.Event().wait(0.02)
