"""A package for a person: `person.json` for machines, a CSV per table, and `index.html` to read (GDPR 15 and 20)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.privacy.page import SHOWN, page
from cdp_core.privacy.sections import Section, as_json, plain

if TYPE_CHECKING:
    import polars as pl

FORMAT = "cdp-workbench/access/1"
"""What person.json calls its own shape."""


def write_package(out: Path, about: Mapping[str, Any], sections: Sequence[Section]) -> None:
    """Write a folder, or a zip where `out` ends in .zip: readable by its owner alone, and whole or not at all.

    Raises UsageError when `out` is there already or cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise UsageError("there is something already", where=str(out), hint="name a new place with --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".access-", dir=out.parent))
        try:
            folder = aside / "package"
            folder.mkdir(mode=0o700)
            _write(folder, about, sections)
            made = _zipped(folder, aside / "package.zip") if out.suffix == ".zip" else folder
            made.rename(out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the package cannot be written: {reason}", where=str(out)) from None


def _write(folder: Path, about: Mapping[str, Any], sections: Sequence[Section]) -> None:
    """One table after the other, a chunk at a time; of each the page shows the first rows."""
    shown: list[tuple[Section, pl.DataFrame | None]] = []
    with _file(folder / "person.json") as told:
        told.write(f'{{"format":{json.dumps(FORMAT)},"about":{json.dumps(about, ensure_ascii=False)}'.encode())
        for section in sections:
            told.write(f",\n{json.dumps(section.name)}:[".encode())
            first: pl.DataFrame | None = None
            with _file(folder / f"{section.name}.csv") as table:
                for number, chunk in enumerate(section.chunks()):
                    rows = plain(chunk, section)
                    first = rows.head(SHOWN) if first is None else first
                    _csv(rows, table, header=number == 0)
                    told.write((",\n" if number else "\n").encode())
                    told.write(",\n".join(as_json(chunk, section)).encode())
            if not section.rows:
                (folder / f"{section.name}.csv").unlink()
            told.write(b"]")
            shown.append((section, first))
        told.write(b"}\n")
    with _file(folder / "index.html") as file:
        for part in page(about, shown):
            file.write(part.encode())


def _csv(rows: pl.DataFrame, file: IO[bytes], *, header: bool) -> None:
    """A text that a spreadsheet would run as a formula begins with an apostrophe here; person.json has it as it is.

    Rule: OWASP, "CSV Injection".
    """
    import polars as pl
    from polars import selectors

    texts = selectors.string()
    harmless = pl.when(texts.str.contains(r"^[=+\-@\t\r]")).then("'" + texts).otherwise(texts).name.keep()
    rows.with_columns(harmless).write_csv(file, include_header=header)


def _file(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _zipped(folder: Path, path: Path) -> Path:
    with _file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for each in sorted(folder.iterdir()):
            packed.write(each, each.name)
    return path
