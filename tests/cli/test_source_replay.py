"""cdp source replay: asks before it writes, says what it does, and ends with the code of what went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cdp_command import Command

pytestmark = pytest.mark.xdist_group("cli")
CONFIG = """
name: t
region: US
sources:
  site: {type: segment, path: site.ndjson%s}
identity: {identifiers: {user_id: {limit: 1}}}
"""
EVENT = {"type": "track", "event": "Pay", "userId": "u1", "messageId": "m1", "timestamp": "2024-05-05"}


def test_source_replay(cdp: Command, tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text(CONFIG % "")
    (tmp_path / "site.ndjson").write_text(json.dumps(EVENT))
    where = ("-w", str(tmp_path))
    name = "SELECT event FROM events"

    def event() -> str:
        return str(json.loads(cdp("sql", name, "-o", "json", *where).stdout)[0]["event"])

    assert cdp("run", *where).returncode == 0
    (tmp_path / "cdp.yaml").write_text(CONFIG % ", transform: [{event: Pay, rename_event: Paid}]")
    tried = cdp("source", "replay", "--dry-run", "-o", "json", *where)
    assert json.loads(tried.stdout)["changed"] == 1
    asked = cdp("source", "replay", "site", *where)
    assert asked.returncode == 2
    assert "this would change 1 events and hold 0; add --yes" in asked.stderr
    assert event() == "Pay"
    done = cdp("source", "replay", "site", "--event", "Pay", "--yes", "-o", "json", *where)
    assert done.returncode == 0, done.stderr
    assert "profiles and audiences brought up to date" in done.stderr
    found = json.loads(done.stdout)
    assert (found["selected"], found["changed"]) == (1, 1)
    assert event() == "Paid"
    again = cdp("source", "replay", "--yes", *where)
    assert again.returncode == 0
    assert "brought up to date" not in again.stderr
    undone = cdp("source", "replay", "--undo", found["run_id"], "-o", "json", *where)
    assert json.loads(undone.stdout) == {"run_id": found["run_id"], "restored": 1, "left": 0}
    assert event() == "Pay"
    for wrong, words in (
        (("--where", "evnt = 'x'"), "did you mean 'event'"),
        (("stie",), "did you mean 'site'"),
        (("--undo", "r1"), "no replay"),
        (("--from", "soon"), "neither a date nor a time"),
    ):
        refused = cdp("source", "replay", *wrong, *where)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert words in refused.stderr
