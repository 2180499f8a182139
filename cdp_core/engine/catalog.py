"""Where a lake's catalog is, and whether its files are encrypted.

DuckLake encrypts each file with a key of its own and keeps the keys in the catalog, beside the least and greatest
value of every column: an encrypted lake is as safe as its catalog, which is therefore kept elsewhere. Rule: ASVS 5.0,
13.3.1 and 14.2.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from cdp_core.engine.spec import EngineSpec
from cdp_core.errors import EngineError
from cdp_core.modes import new_folder, private_file

WITHIN = "catalog.sqlite"


def catalog_of(root: Path, folder: Path, spec: EngineSpec) -> Path:
    """The catalog's file, made empty for this user alone if it is not there. Raises EngineError, and OSError."""
    if spec.catalog is None:
        path = folder / WITHIN
    else:
        path = (root / Path(spec.catalog).expanduser()).resolve()
        _check(path, root.resolve(), folder, spec)
        new_folder(path.parent)
    _check_kind(path, spec)
    private_file(path)
    return path


def _check(path: Path, root: Path, folder: Path, spec: EngineSpec) -> None:
    data = folder if folder.parent == root else folder.parent
    if spec.encrypted and path.is_relative_to(data):
        what = f"the keys of an encrypted lake do not belong beside it: {spec.catalog} is in {data.name}/"
        hint = "name a file outside, such as ~/.config/shop/catalog.sqlite"
        raise EngineError(what, where="engine.catalog", hint=hint)
    if (folder / WITHIN).exists() and not path.exists():
        what = f"the lake has its catalog in {spec.lake}/{WITHIN}, and {spec.catalog} is not there"
        hint = "name another folder in engine.lake and run, which builds it anew"
        raise EngineError(what, where="engine.catalog", hint=hint if spec.encrypted else f"move the file, or {hint}")


def _check_kind(path: Path, spec: EngineSpec) -> None:
    """A lake is encrypted from its first file on or not at all."""
    if not path.exists() or not path.stat().st_size:
        return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as catalog:
            found = catalog.execute("SELECT value FROM ducklake_metadata WHERE key = 'encrypted'").fetchone()
    except sqlite3.Error:
        return
    if found is not None and (found[0] == "true") != spec.encrypted:
        what = f"the lake was made {'with' if found[0] == 'true' else 'without'} encryption"
        hint = "name another folder in engine.lake and another engine.catalog, and run, which builds it anew"
        raise EngineError(what, where="engine.encrypted", hint=hint)
