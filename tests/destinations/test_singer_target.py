"""Singer targets, as programs of their own."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from syncing import Syncer, person

from cdp_core.destinations.base import Batch, Delivery, Destination
from cdp_core.destinations.singer import SingerDestination, SingerOptions, SingerSyncOptions
from cdp_core.engine import Engine
from cdp_core.errors import DestinationError
from cdp_core.testing import DestinationContract

TARGET = """
import json, os, signal, sys
if "--help" in sys.argv:
    sys.exit(0)
config = json.load(open(sys.argv[sys.argv.index("--config") + 1]))
path = config["path"]
rows = json.load(open(path)) if os.path.exists(path) else {}
key, seen = None, 0
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "SCHEMA":
        key = message["key_properties"][0]
        json.dump(message["schema"], open(path + ".schema", "w"))
    elif message["type"] == "STATE":
        state = message["value"]
    elif message["type"] == "RECORD":
        seen += 1
        if seen == config.get("dies_at"):
            if config["by"] == "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            sys.exit(config["by"])
        if seen % 5 == 0:
            print(json.dumps({"bookmark": seen}), flush=True)
        record = message["record"]
        if record.get("_sdc_deleted_at"):
            rows.pop(record[key], None)
        else:
            rows[record[key]] = record
json.dump(rows, open(path + ".new", "w"))
if config.get("ends"):
    sys.exit(config["ends"])
os.replace(path + ".new", path)
if not config.get("silent"):
    print(json.dumps(state), flush=True)
"""
"""Upserts into a file by the key, whole or not at all, and says so by the state that it was given."""


def made(root: Path, **config: Any) -> SingerDestination:
    script = root / "target.py"
    script.write_text(TARGET)
    settings = {"path": str(root / "state.json"), **config}
    return SingerDestination(SingerOptions(command=[sys.executable, str(script)], config=settings), root)


def state(root: Path) -> dict[str, Any]:
    path = root / "state.json"
    return json.loads(path.read_text()) if path.exists() else {}


class TestSinger(DestinationContract):
    sync_options: ClassVar[dict[str, Any]] = {"removals": "soft"}
    root: Path

    def make(self, root: Path) -> Destination:
        self.root = root
        return made(root)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        return list(state(self.root).values())


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"dies_at": 20, "by": 7}, "exit code 7"),
        ({"dies_at": 20, "by": "SIGKILL"}, "exit code -9"),
        ({"dies_at": 20, "by": 0}, "exit code 0|without confirming the last state"),
        ({"ends": 1}, "exit code 1"),
    ],
)
def test_a_target_that_dies_has_taken_nothing(lake: Engine, tmp_path: Path, config: dict[str, Any], text: str) -> None:
    """At its twentieth row, after it has confirmed fifteen; and at its end."""
    s = Syncer(engine=lake, destination=made(tmp_path, **config), options={"removals": "soft"})
    s.profiles([person(n) for n in range(50)])
    with pytest.raises(DestinationError, match=text):
        s.run()
    assert {row["status"] for row in s.ledger()} == {"pending"}
    run = s.runs()[0]
    assert (run["status"], run["delivered"], run["pending"], state(tmp_path)) == ("interrupted", 0, 50, {})
    s.destination = made(tmp_path)
    assert s.run().delivered == 50
    assert len(state(tmp_path)) == 50


def test_a_target_that_writes_no_state_must_be_believed(tmp_path: Path) -> None:
    for confirms in ("state", "exit"):
        target = made(tmp_path, silent=True)
        target.options = target.options.model_copy(update={"confirms": confirms})
        target.prepare(Delivery(sync="s", key="id", fields={"id": "int64"}, options=SingerSyncOptions(), mode="upsert"))
        target.send(Batch(rows=pl.DataFrame({"id": [1]}), key="id", payload=pl.Series(['{"id":1}'])))
        if confirms == "exit":
            target.finish(True)
        else:
            with pytest.raises(DestinationError, match="needs confirms: exit"):
                target.finish(True)


def test_types_and_the_config_file(tmp_path: Path) -> None:
    fields = {"id": "int64", "at": "timestamp", "d": "decimal(10, 2)", "tags": "array<string>", "ok": "boolean"}
    target = made(tmp_path)
    target.prepare(Delivery(sync="s", key="id", fields=fields, options=SingerSyncOptions(), mode="upsert"))
    folder = Path(target._folder.name)  # type: ignore[union-attr]
    assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o600
    target.send(Batch(rows=pl.DataFrame({"id": [1]}), key="id", payload=pl.Series(['{"id":1,"tags":["a"]}'])))
    target.finish(True)
    assert not folder.exists()
    schema = json.loads((tmp_path / "state.json.schema").read_text())["properties"]
    assert [schema[name]["type"][0] for name in fields] == ["integer", "string", "number", "array", "boolean"]
    assert schema["at"]["format"] == "date-time"


def test_removals_must_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match="removals: soft"):
        made(tmp_path).prepare(Delivery(sync="s", key="id", fields={}, options=SingerSyncOptions(), mode="mirror"))


def test_programs_that_do_not_start(tmp_path: Path) -> None:
    target = SingerDestination(SingerOptions(command=["no-such-target"], config={"token": "c4nary"}), tmp_path)
    with pytest.raises(DestinationError, match="does not start") as raised:
        target.test()
    assert "c4nary" not in str(raised.value) + repr(target.options)
    assert (
        made(tmp_path).place(Delivery(sync="s", key="id", fields={}, options=SingerSyncOptions())).startswith("singer:")
    )
