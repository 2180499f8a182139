"""A value is found in the bytes of a file, however they are written."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import polars as pl
import pytest

from cdp_core.runs.erasure.find import Person
from cdp_core.runs.erasure.look import CHUNK, holds, needles_of

WHO = "Ann.Smith@example.org"
TEXT = f"id,email\n7,{WHO.upper()}\n"
NEEDLES = needles_of(Person(identifiers=frozenset({("email", WHO.lower())})))


def write(path: Path, how: str, text: str) -> None:
    if how == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    elif how == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("other.xml", "nothing")
            archive.writestr("sheet.xml", text)
    elif how == "parquet":
        pl.DataFrame({"n": [1, 2], "text": ["nothing", text]}).write_parquet(path)
    else:
        path.write_bytes(text.encode(how))


@pytest.mark.parametrize("how", ["utf-8", "utf-16", "utf-16-be", "gzip", "zip", "parquet"])
@pytest.mark.parametrize("before", [0, CHUNK - 15, 2 * CHUNK - 40], ids=["at once", "over an edge", "later"])
def test_a_value_is_found(how: str, before: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, how, "x" * before + TEXT)
    assert holds(path, NEEDLES)
    write(path, how, "x" * before + TEXT.replace("SMITH", "SMYTH"))
    assert not holds(path, NEEDLES)
