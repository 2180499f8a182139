"""A lake whose files say nothing to whoever has only the data folder."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import duckdb
import pytest

import cdp_core as cdp
from cdp_core.errors import CDPError, EngineError
from cdp_core.runs.scaffold import scaffold


def _made(root: Path, engine: str) -> Path:
    scaffold(root)
    with (root / "cdp.yaml").open("a") as file:
        file.write(f"\nengine: {engine}\n")
    return root


def _plain(folder: Path, value: str) -> list[str]:
    """Files that hold the value: as bytes, or for anybody who opens them with DuckDB."""
    found = [path for path in folder.rglob("*") if path.is_file() and value.encode() in path.read_bytes()]
    for path in set(folder.rglob("*.parquet")) - set(found):
        with contextlib.suppress(duckdb.InvalidInputException):
            rows = duckdb.connect().execute(f"SELECT * FROM '{path}'").fetchall()
            found += [path] if value in str(rows) else []
    return sorted(path.suffix for path in found)


def test_files_are_encrypted_and_the_keys_are_elsewhere(tmp_path: Path) -> None:
    root = _made(tmp_path / "shop", f"{{encrypted: true, catalog: {tmp_path}/keys/shop.sqlite}}")
    with cdp.open(root) as ws:
        assert ws.run(sync=True).status == "succeeded"
        email = ws.sql("SELECT email FROM profiles ORDER BY 1 LIMIT 1").item()
        assert ws.run(full_refresh=True).status == "succeeded"
    with cdp.open(root) as ws:
        assert ws.sql(f"SELECT count(*) FROM profiles WHERE email = '{email}'").item() == 1
    assert list((root / "data/lake").rglob("*.parquet"))
    assert _plain(root / "data/lake", email) == []
    keys = tmp_path / "keys/shop.sqlite"
    assert email.encode() in keys.read_bytes(), "the catalog holds values too, which is why it is elsewhere"
    assert keys.stat().st_mode & 0o077 == 0
    assert not list((root / "data/lake").rglob("*.sqlite*"))
    keys.unlink()
    with cdp.open(root) as ws:
        assert ws.sql("SELECT count(*) FROM profiles").item() == 0, "without the keys there is nothing"


def test_the_search_finds_what_is_not_encrypted(tmp_path: Path) -> None:
    root = _made(tmp_path / "shop", "{type: duckdb}")
    with cdp.open(root) as ws:
        assert ws.run().status == "succeeded"
        email = ws.sql("SELECT email FROM profiles ORDER BY 1 LIMIT 1").item()
    assert _plain(root / "data/lake", email) != []


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("{encrypted: true}", "a file outside the data folder, which will hold the keys"),
        ("{encrypted: true, catalog: data/keys.sqlite}", "the keys of an encrypted lake do not belong beside it"),
        ("{encrypted: true, catalog: data/lake/../keys.sqlite}", "do not belong beside it"),
        ("{type: spark, encrypted: true, catalog: ../k.sqlite}", "go with type: duckdb"),
    ],
)
def test_keys_beside_the_data_are_refused(tmp_path: Path, engine: str, says: str) -> None:
    root = _made(tmp_path / "shop", engine)
    with pytest.raises(CDPError, match=re.escape(says)) as caught, cdp.open(root) as ws:
        ws.status()
    assert "\n" not in str(caught.value)


def test_a_lake_does_not_change_its_mind(tmp_path: Path) -> None:
    root = _made(tmp_path / "shop", "{type: duckdb}")
    with cdp.open(root) as ws:
        ws.run()
    text = (root / "cdp.yaml").read_text()
    for engine, says in (
        (f"{{encrypted: true, catalog: {tmp_path}/new.sqlite}}", "the lake has its catalog in data/lake"),
        (f"{{catalog: {tmp_path}/new.sqlite}}", "move the file"),
    ):
        (root / "cdp.yaml").write_text(text.replace("{type: duckdb}", engine))
        with pytest.raises(EngineError, match=says), cdp.open(root) as ws:
            ws.status()
    (root / "data/lake/catalog.sqlite").rename(tmp_path / "new.sqlite")
    with cdp.open(root) as ws:
        assert ws.sql("SELECT count(*) FROM profiles").item() > 0, "a moved catalog is the same lake"
    (root / "cdp.yaml").write_text(
        text.replace("{type: duckdb}", f"{{encrypted: true, catalog: {tmp_path}/new.sqlite}}")
    )
    with pytest.raises(EngineError, match="made without encryption"), cdp.open(root) as ws:
        ws.status()
