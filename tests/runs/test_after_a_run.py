"""Syncs that a run starts by itself: after every run, and when their audience has changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cdp_core as cdp
from cdp_core.errors import SpecError

PEOPLE = "id,email,tier,at\n1,ann@example.org,gold,1998-06-01\n2,bo@example.org,tin,1998-06-01\n"
YAML = """
name: after
today: 1998-07-01
sources:
  people:
    type: file
    path: people*.csv
    map: {type: identify, key: [id, at], time: at, identifiers: {user_id: id}, traits: {email: email, tier: tier}}
traits: {email: {pick: latest}, tier: {pick: latest}}
audiences:
  gold: {where: {trait: tier, equals: gold}}
destinations: {out: {type: file, path: out}, own: {type: moody}}
syncs:
  every: {model: profiles, destination: out, key: id, mapping: {id: profile_id, tier: tier}, options: {file: every.csv}, schedule: {after: run}}
  changed: {model: {audience: gold}, destination: own, mode: upsert, key: id, mapping: {id: profile_id}, schedule: {after: audience}}
  off: {model: profiles, destination: out, key: id, mapping: {id: profile_id}, options: {file: off.csv}, schedule: {after: run}, enabled: false}
  timed: {model: profiles, destination: out, key: id, mapping: {id: profile_id}, options: {file: timed.csv}, schedule: "0 6 * * *"}
"""
MOODY = """
import cdp_core as cdp

@cdp.destination
def moody(rows, *, root):
    (root / "asked").open("a").write("x")
    if (root / "down").exists():
        raise cdp.DestinationError("down")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cdp.yaml").write_text(YAML)
    (tmp_path / "people.csv").write_text(PEOPLE)
    (tmp_path / "destinations.py").write_text(MOODY)
    return tmp_path


def asked(root: Path) -> int:
    file = root / "asked"
    return len(file.read_text()) if file.exists() else 0


def test_a_run_starts_what_is_due_and_nothing_else(root: Path) -> None:
    with cdp.open(root) as ws:
        first = ws.run()
        assert first.status == "succeeded", first.error
        assert (asked(root), sorted(p.name for p in (root / "out").iterdir())) == (1, ["every.csv"])
        every = (root / "out" / "every.csv").stat().st_mtime_ns

        (root / "people2.csv").write_text("id,email,tier,at\n3,cy@example.org,tin,1998-06-02\n")
        second = ws.run()
        assert second.status == "succeeded", second.error
        assert (root / "out" / "every.csv").stat().st_mtime_ns > every
        assert asked(root) == 1, "nobody entered or left"

        (root / "down").touch()
        (root / "people3.csv").write_text("id,email,tier,at\n3,cy@example.org,gold,1998-06-03\n")
        third = ws.run()
        assert third.status == "failed"
        assert asked(root) == 2
        (root / "down").unlink()
        assert ws.run().status == "succeeded"
        assert asked(root) == 3, "what a broken sync left pending is sent by the next run"
        assert ws.run().status == "succeeded"
        assert asked(root) == 3
        ws.run(select=["load"])
        ws.run(dry_run=True)
        assert sorted(p.name for p in (root / "out").iterdir()) == ["every.csv"]
        listed = dict(ws.syncs().select("sync", "schedule").iter_rows())
        assert listed == {
            "every": "after every run",
            "changed": "when its audience has changed",
            "off": "after every run",
            "timed": "0 6 * * *",
        }
        schedule = ws.schedule()
        assert [job.name for job in schedule.jobs] == ["sync timed"]
        assert list(schedule.after) == ["every", "changed"]


def test_the_page_s_scheduler_of_one_s_own_runs_what_is_due(root: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "schedule.md").read_text()
    text = page.partition("<!-- file: own_scheduler.py -->\n```python\n")[2].partition("```")[0]
    (root / "own_scheduler.py").write_text(text)
    (root / "cdp.yaml").write_text(YAML + 'schedule: {run: "0 5 * * *"}\n')
    for hours, wanted in (("2", []), ("24", ["run 0 5 * * * exit 0", "sync timed 0 6 * * * exit 0"])):
        command = [sys.executable, "own_scheduler.py", hours]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        assert [line for line in done.stdout.splitlines() if " exit " in line] == wanted
    assert (root / "out" / "timed.csv").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{after: audience}", "{after: never}", "a schedule is a cron text, {after: run} or {after: audience}"),
        ("{after: audience}", '"0 6 * *"', "is no cron schedule"),
        ("{after: run}, enabled", "{after: audience}, enabled", "goes with a model {audience: NAME}; use {after: run}"),
    ],
)
def test_a_wrong_schedule_is_told_with_its_line(root: Path, old: str, new: str, said: str) -> None:
    (root / "cdp.yaml").write_text(YAML.replace(old, new))
    with pytest.raises(SpecError, match=r"^cdp.yaml:\d+: ") as caught:
        cdp.open(root)
    assert said in str(caught.value)
