"""Reads the files of a world as text, without the package."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path
from typing import Any

import polars as pl


def contacts(data: Path) -> pl.DataFrame:
    return pl.read_csv(data / "sources" / "crm_contacts.csv.gz", infer_schema=False)


def subscribers(data: Path) -> pl.DataFrame:
    return pl.read_csv(data / "sources" / "newsletter.csv", infer_schema=False)


def truth(data: Path) -> pl.DataFrame:
    return pl.read_csv(data / "truth.csv", infer_schema=False)


def tickets(data: Path) -> pl.DataFrame:
    connection = sqlite3.connect(data / "sources" / "support.db")
    try:
        return pl.read_database("SELECT * FROM tickets ORDER BY ticket_id", connection)
    finally:
        connection.close()


def web_lines(data: Path) -> list[dict[str, Any]]:
    files = sorted((data / "sources" / "web_events").glob("*.ndjson.gz"))
    return [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
