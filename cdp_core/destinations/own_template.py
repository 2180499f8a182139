"""What `cdp destination new` writes: a destination that works as it stands, and its contract test."""

from __future__ import annotations

IMPORTS = ("import sqlite3", "from contextlib import closing", "import cdp_core as cdp")

_DESTINATION = '''
def forget_{name}(keys, *, root, path):
    """Remove rows. Leave it and `remove=` out where nothing can be removed."""
    with closing(sqlite3.connect(root / path)) as db, db:
        db.executemany("DELETE FROM people WHERE key = ?", ((key,) for key in keys))


@cdp.destination(remove=forget_{name}, batch_rows=1000)
def {name}(rows, *, batch, root, path: str = "{name}.db"):
    """Take rows: a table in a SQLite file, until your own service stands here.

    `rows` is a Polars frame with a column per mapped field; `batch.payload` has each row as JSON. Give back a dict of
    refused keys with a reason each, or nothing. What cannot be reached now (a ConnectionError) is tried again.
    """
    with closing(sqlite3.connect(root / path)) as db, db:
        db.execute("CREATE TABLE IF NOT EXISTS people (key TEXT PRIMARY KEY, row TEXT)")
        db.executemany("INSERT OR REPLACE INTO people VALUES (?, ?)", zip(rows[batch.key], batch.payload, strict=True))
'''

_TEST = '''"""The contract of the destination {name}: `pytest test_{name}.py`."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from cdp_core.testing import DestinationContract, own_destination


class Test{title}(DestinationContract):
    def make(self, root):
        return own_destination("{name}", Path(__file__).parent, root, path="people.db")

    def rows(self, destination):
        with closing(sqlite3.connect(destination.root / destination.options.path)) as db:
            return [json.loads(row) for (row,) in db.execute("SELECT row FROM people")]
'''


def destination_text(name: str, present: str = "") -> str:
    """destinations.py with a new destination behind what is there.

    >>> destination_text("crm").splitlines()[0]
    '\"\"\"Destinations of this workspace.\"\"\"'
    """
    head = present.rstrip("\n") if present.strip() else '"""Destinations of this workspace."""\n'
    missing = [line for line in IMPORTS if line not in present.splitlines()]
    imports = "\n".join(missing[:2]) + "\n\n" + missing[2] if len(missing) == len(IMPORTS) else "\n".join(missing)
    parts = [head, *([imports] if imports else [])]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n\n" + _DESTINATION.format(name=name)


def contract_text(name: str) -> str:
    """The test file of a destination."""
    title = "".join(part.capitalize() for part in name.split("_"))
    return _TEST.format(name=name, title=title)
