"""Files as a destination: CSV, JSON lines or Parquet, always the whole set of delivered rows, replaced atomically."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cdp_core.destinations.base import Batch, Delivery, SendResult
from cdp_core.errors import DestinationError
from cdp_core.modes import like, new_folder

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.destinations.files.writers import Writer

SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


class FileOptions(BaseModel):
    """`path`: the folder, relative to the workspace; it is made when it is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="Folder, relative to the workspace")

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        return inside(path)


class FileSyncOptions(BaseModel):
    """What a sync says about its file. `format` and `compression` follow from the name when they are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(description="File name under the destination's folder")
    format: Literal["csv", "jsonl", "parquet"] | None = None
    compression: Literal["none", "gzip", "snappy", "zstd"] | None = None
    escape_formulas: bool = Field(
        True,
        description="CSV: put ' before cells a spreadsheet would compute; turn off for machines that read the file",
    )

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        return inside(file)

    @model_validator(mode="after")
    def _known_format(self) -> FileSyncOptions:
        if self.format is None and self._suffix() not in SUFFIXES:
            raise ValueError("the format does not follow from the name; give format: csv, jsonl or parquet")
        if self.kind != "parquet" and self.packed not in ("none", "gzip"):
            raise ValueError(f"{self.kind} files are compressed with gzip or not at all")
        return self

    @property
    def kind(self) -> str:
        return self.format or SUFFIXES[self._suffix()]

    @property
    def packed(self) -> str:
        by_name = "gzip" if self.file.endswith(".gz") else "none"
        return self.compression or ("zstd" if self.kind == "parquet" else by_name)

    def _suffix(self) -> str:
        return PurePosixPath(self.file.removesuffix(".gz")).suffix.lower()


class FileDestination:
    """A folder. Every sync that goes there keeps one file with all of its delivered rows, in the order of the key.

    A reader sees the old file or the new one, never a part: rows go to a temporary file beside it, which is synced to
    disk and renamed. Raises DestinationError when the folder cannot be written or a link leads out of it.
    """

    Options: ClassVar[type[BaseModel]] = FileOptions
    SyncOptions: ClassVar[type[BaseModel]] = FileSyncOptions
    whole = True
    batch_rows = 50_000
    erase_settles = 0.0

    def __init__(self, options: FileOptions, root: Path) -> None:
        self.options = options
        self.root = root.resolve()
        self._writer: Writer | None = None
        self._path: Path | None = None

    def path(self, options: FileSyncOptions) -> Path:
        """The file of a sync. Raises DestinationError when a part of the way is a symbolic link."""
        return self._inside(PurePosixPath(self.options.path, options.file))

    def _inside(self, way: PurePosixPath) -> Path:
        path = self.root
        for part in way.parts:
            path = path / part
            if path.is_symlink():
                raise DestinationError(
                    "a symbolic link may lead out of the folder", where=self._shown(path), hint="use the real path"
                )
        return path

    def present(self, delivery: Delivery) -> bool:
        return self.path(delivery.options).is_file()

    def place(self, delivery: Delivery) -> str:
        options: FileSyncOptions = delivery.options
        escaped = options.kind == "csv" and options.escape_formulas
        path = PurePosixPath(self.options.path, options.file)
        return f"file:{path}?{options.kind}:{options.packed}:{escaped}"

    def prepare(self, delivery: Delivery) -> None:
        from cdp_core.destinations.files.writers import open_writer

        path = self._path = self.path(delivery.options)
        try:
            new_folder(path.parent)
            if path.is_dir():
                raise IsADirectoryError(21, "a folder has this name")
            _sweep(path)
            self._writer = open_writer(path.with_name(f".{path.name}.{os.getpid()}.part"), delivery)
        except OSError as error:
            raise self._refused(error) from None

    def send(self, batch: Batch) -> SendResult:
        if batch.rows.height and self._writer is not None:
            try:
                self._writer.write(batch)
            except OSError as error:
                raise self._refused(error) from None
        return SendResult()

    def finish(self, complete: bool) -> None:
        writer, path = self._writer, self._path
        self._writer = None
        if writer is None or path is None:
            return
        try:
            writer.close()
            if complete:
                _publish(writer.path, path)
        except OSError as error:
            raise self._refused(error) from None
        finally:
            writer.path.unlink(missing_ok=True)

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """Writes the file anew without these rows; it is there all the time, as it was or as it shall be."""
        from cdp_core.destinations.files.rewrite import without

        path = self._path = self.path(delivery.options)
        if not (keys.len() and path.is_file()):
            return SendResult()
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            _sweep(path)
            if without(path, part, delivery.options, delivery.key, keys)[0]:
                _publish(part, path)
        except OSError as error:
            raise self._refused(error) from None
        finally:
            part.unlink(missing_ok=True)
        return SendResult()

    def test(self) -> str:
        folder = self._inside(PurePosixPath(self.options.path))
        try:
            new_folder(folder)
            probe = folder / f".{os.getpid()}.probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise self._refused(error) from None
        return f"{self.options.path} can be written"

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.root))

    def _refused(self, error: OSError) -> DestinationError:
        where = self._shown(self._path) if self._path else self.options.path
        return DestinationError(
            f"the file cannot be written: {(error.strerror or type(error).__name__).lower()}",
            where=where,
            hint="check the folder's rights and the free space; the file that was there before is untouched",
        )


def inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not path.strip() or path.startswith(("/", "~")) or ".." in parts or "\\" in path or "\0" in path:
        raise ValueError("the path must stay in the folder: relative, without '..'")
    return path


def _publish(temporary: Path, path: Path) -> None:
    """Durable, then visible: the file's bytes, the rename, the folder's entry."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    like(temporary, path)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sweep(path: Path) -> None:
    """Delete what a killed run left; no two runs of one sync overlap."""
    for left in path.parent.glob(f".{path.name}.*.part"):
        left.unlink(missing_ok=True)
