"""Looking for a person in what is left: every text of every table, and the files that are not the lake's."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cdp_core.runs.erasure.find import Person, is_telling, pattern_of
from cdp_core.runs.erasure.order import FOLDER

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.engine import Engine

CHUNK = 1 << 20
OURS = "data"
_SOURCES = "data/sources"


@dataclass(frozen=True, kw_only=True)
class Residual:
    """Where the person still stands. kind: table (others' rows that mention them), file (of ours), source (a file of
    yours), unread (what was not looked at). `rows` are those of a table.
    """

    kind: str
    place: str
    note: str
    rows: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def look(engine: Engine, config: Config, person: Person, root: Path, sources: Iterable[str] = ()) -> list[Residual]:
    """Everything that still names the person, by values that name somebody wherever they stand. Of `sources`, which
    their events came from, files may name them by a short one alone.
    """
    needles = needles_of(person)
    files = {name: _source_files(config, root, name) for name in config.sources}
    own = sorted({path for paths in files.values() for path in paths})
    found: list[Residual] = []
    if needles:
        found += [*_in_tables(engine, config, person), *_in_files(engine, config, root, needles, own)]
        found += _in_sources(root, needles, own)
    named = {each.place for each in found if each.kind == "source"}
    short = "their events came from it, under values too short to look for in files"
    for name in sorted(sources):
        if files.get(name) and not named & {_place(path, root) for path in files[name]}:
            found.append(Residual(kind="source", place=f"source {name}", note=short))
    asked = [name for name, spec in config.sources.items() if spec.type not in ("file", "segment", "collector")]
    note = "the source itself is not ours to read through"
    return found + [Residual(kind="unread", place=f"source {name}", note=note) for name in asked]


def needles_of(person: Person) -> list[bytes]:
    """Values to look for in bytes, in lower case, in UTF-8 and UTF-16."""
    texts = {v.strip().lower() for t, v in person.identifiers | person.spellings if is_telling(t, v.strip().lower())}
    return sorted({text.encode(code, "ignore") for text in texts for code in ("utf-8", "utf-16-le", "utf-16-be")})


def _in_tables(engine: Engine, config: Config, person: Person) -> Iterator[Residual]:
    import ibis
    import polars as pl

    from cdp_core.tables import CANONICAL

    telling = frozenset(one for one in person.identifiers | person.spellings if is_telling(one[0], one[1].lower()))
    pattern = pattern_of(config, Person(identifiers=telling))
    if pattern is None:
        return
    parts = []
    for name in CANONICAL:
        table = engine.table(name)
        texts = [column for column, kind in table.schema().items() if kind.is_string()]
        named = [table[column].lower().re_search(pattern).fill_null(False) for column in texts]
        if not named:
            continue
        anywhere = named[0]
        for one in named[1:]:
            anywhere |= one
        found = table.filter(anywhere)
        parts.append(found.aggregate(n=found.count()).mutate(name=ibis.literal(name)))
    counted = engine.polars(ibis.union(*parts)).filter(pl.col("n") > 0).sort("name")
    for name, rows in counted.select("name", "n").iter_rows():
        yield Residual(kind="table", place=name, note="rows of others, or of nobody, mention an identifier", rows=rows)


def _in_files(
    engine: Engine, config: Config, root: Path, needles: list[bytes], own: Iterable[Path]
) -> Iterator[Residual]:
    """Files of ours, wherever the lake and its catalog are; what the lake keeps in files is read as tables, and the
    order of the erasure itself goes when it is done.
    """
    skipped = (root / FOLDER, root / _SOURCES, engine.folder / "files", engine.folder / "tables")
    found = {path for folder in (root / OURS, engine.folder) for path in folder.rglob("*")}
    if config.engine.catalog is not None:
        catalog = (root / Path(config.engine.catalog).expanduser()).resolve()
        found |= {catalog, catalog.with_name(f"{catalog.name}-wal")}
    for path in sorted(found - set(own)):
        if path.is_file() and not any(path.is_relative_to(folder) for folder in skipped) and holds(path, needles):
            yield Residual(kind="file", place=_place(path, root), note="names an identifier")


def _in_sources(root: Path, needles: list[bytes], own: Iterable[Path]) -> Iterator[Residual]:
    for path in own:
        name = _place(path, root)
        try:
            named = holds(path, needles)
        except OSError:
            yield Residual(kind="unread", place=name, note="the file cannot be read")
            continue
        if named:
            yield Residual(kind="source", place=name, note="a source file of yours still holds the person")


def _place(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _source_files(config: Config, root: Path, name: str) -> list[Path]:
    from cdp_core.sources.parts import matching_files

    spec = config.sources[name]
    pattern = spec.options.get("path")
    if spec.type not in ("file", "segment") or not isinstance(pattern, str):
        return []
    return list(matching_files(root, pattern))


def holds(path: Path, needles: list[bytes]) -> bool:
    """Whether a file holds one of the values, in whatever case; inside gzip, zip (as .xlsx is) and Parquet too."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == b"PAR1":
            return _parquet_holds(path, needles)
        if start[:2] == b"\x1f\x8b":
            with gzip.open(file) as inner:
                return _stream_holds(inner, needles)
        if start == b"PK\x03\x04":
            return _zip_holds(file, needles)
        return _stream_holds(file, needles)


def _stream_holds(file: Any, needles: list[bytes]) -> bool:
    longest = max(map(len, needles))
    plain = [needle for needle in needles if b"\0" not in needle]
    tail = b""
    while chunk := file.read(CHUNK):
        text = tail + chunk.lower()
        # Most text has no zeros, and then nothing in UTF-16; one by one they are found faster than as a pattern.
        if any(needle in text for needle in (needles if b"\0" in text else plain)):
            return True
        tail = text[-longest:]
    return False


def _zip_holds(file: IO[bytes], needles: list[bytes]) -> bool:
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            with archive.open(name) as inner:
                if _stream_holds(inner, needles):
                    return True
    return False


def _parquet_holds(path: Path, needles: list[bytes]) -> bool:
    import polars as pl

    return any(
        _stream_holds(io.BytesIO(frame.write_ndjson().encode()), needles)
        for frame in pl.scan_parquet(path).collect_batches(chunk_size=50_000)
    )
