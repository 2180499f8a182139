"""Files in a bucket (S3, GCS, Azure) or wherever fsspec reaches: one that always holds all rows, or one per batch."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cdp_core.destinations.base import Batch, Delivery, SendResult, Unavailable
from cdp_core.destinations.files.endpoint import guarded, refusal_in
from cdp_core.destinations.files.file import FileSyncOptions, inside
from cdp_core.errors import DestinationError
from cdp_core.modes import like, new_folder

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.destinations.files.writers import Writer

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
_OWN = re.compile(r"\d{8}T\d{6,12}-.+\.(?P<kind>csv|jsonl|parquet)(?P<zipped>\.gz)?")
OPERATION, DELIVERY = "_operation", "_delivery_id"


class StorageOptions(BaseModel):
    """`url`: s3://bucket/prefix, gs://…, abfs://…; `storage_options` go to fsspec, with secrets as ${NAME}."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="s3://bucket/prefix, gs://bucket/prefix, abfs://container/prefix")
    storage_options: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="Keys, secrets, endpoint_url and what else fsspec takes"
    )
    private_network: bool = Field(False, description="Let an endpoint be on this machine or a private network")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.scheme or not (parts.netloc or parts.path) or parts.password:
            raise ValueError("an address such as s3://bucket/prefix is wanted, without a password")
        return url.rstrip("/")


class DeltaSyncOptions(BaseModel):
    """What a sync says about its objects; each batch is one, named by time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str = Field(description="Folder under the destination's address")
    format: Literal["csv", "jsonl", "parquet"] = "parquet"
    compression: Literal["none", "gzip", "snappy", "zstd"] | None = None
    escape_formulas: bool = Field(False, description="CSV: put ' before cells a spreadsheet would compute")

    @field_validator("folder")
    @classmethod
    def _stays(cls, folder: str) -> str:
        return inside(folder)

    @property
    def kind(self) -> str:
        return self.format

    @property
    def packed(self) -> str:
        return self.compression or ("zstd" if self.format == "parquet" else "none")


class _Bucket:
    """Access through fsspec; errors in the words of this package, without secrets."""

    Options: ClassVar[type[BaseModel]] = StorageOptions
    erase_settles = 0.0

    def __init__(self, options: StorageOptions, root: Path) -> None:
        self.options = options

    def test(self) -> str:
        """Write an empty object and delete it."""
        name = f".cdp-probe-{os.getpid()}"
        with self._translated():
            fs, base = self._opened()
            fs.makedirs(base, exist_ok=True)
            fs.pipe_file(f"{base}/{name}", b"")
            fs.rm_file(f"{base}/{name}")
        return f"{self.options.url} can be written"

    def _opened(self) -> tuple[Any, str]:
        import fsspec

        url, given = self.options.url, self.options.storage_options
        fs, base = fsspec.core.url_to_fs(url, **(given if self.options.private_network else guarded(url, given)))
        return fs, str(base).rstrip("/")

    def _put(self, local: Path, name: str) -> None:
        """The object is the old one or the new one: buckets replace whole objects, and a local file is renamed."""
        fs, base = self._opened()
        target = f"{base}/{name}"
        if "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)):
            new_folder(Path(target).parent)
            part = Path(f"{target}.{os.getpid()}.part")
            shutil.copyfile(local, part)
            like(part, Path(target))
            part.replace(target)
        else:
            fs.put_file(str(local), target)

    def _erased(self, name: str, delivery: Delivery, keys: pl.Series, *, keep_empty: bool) -> None:
        """Write an object anew without these rows, by way of this machine; one that has none of them is left alone."""
        from cdp_core.destinations.files.rewrite import without

        with tempfile.TemporaryDirectory(prefix="cdp-") as folder:
            there, rest = Path(folder) / "there", Path(folder) / "rest"
            with self._translated():
                fs, base = self._opened()
                fs.get_file(f"{base}/{name}", str(there))
            gone, left = without(there, rest, delivery.options, delivery.key, keys)
            with self._translated():
                if gone and not left and not keep_empty:
                    fs.rm_file(f"{base}/{name}")
                elif gone:
                    self._put(rest, name)

    @contextmanager
    def _here(self) -> Iterator[None]:
        """Errors of the temporary file on this machine."""
        try:
            yield
        except OSError as error:
            raise DestinationError(
                f"the rows cannot be gathered on this machine: {(error.strerror or type(error).__name__).lower()}",
                where=self.options.url,
                hint=f"check the free space of {tempfile.gettempdir()}; what was in the bucket is untouched",
            ) from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ImportError:
            kind = urlsplit(self.options.url).scheme
            raise DestinationError(
                f"{kind}:// needs a package that is not installed",
                where=self.options.url,
                hint=f"pip install 'cdp-workbench[{EXTRAS.get(kind, kind)}]'",
            ) from None
        except PermissionError:
            raise DestinationError(
                "access is denied", where=self.options.url, hint="look at the keys and at what they may do"
            ) from None
        except FileNotFoundError:
            raise DestinationError("there is no such bucket or folder", where=self.options.url) from None
        except ValueError:
            raise DestinationError("the address or its storage_options are wrong", where=self.options.url) from None
        except Exception as error:  # noqa: BLE001  (clients have errors of many kinds, of which only the kind is told)
            if (refused := refusal_in(error)) is not None:
                raise refused from None
            raise Unavailable(
                f"the bucket cannot be reached ({type(error).__name__})", where=self.options.url
            ) from None


class StorageDestination(_Bucket):
    """Every sync keeps one object with all of its delivered rows, as the destination `file` keeps a file.

    Rows go to a temporary file on this machine first, so memory does not grow with them.
    """

    SyncOptions: ClassVar[type[BaseModel]] = FileSyncOptions
    whole = True
    batch_rows = 50_000

    def __init__(self, options: StorageOptions, root: Path) -> None:
        super().__init__(options, root)
        self._writer: Writer | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._name = ""

    def present(self, delivery: Delivery) -> bool:
        with self._translated():
            fs, base = self._opened()
            fs.invalidate_cache()
            return bool(fs.exists(f"{base}/{delivery.options.file}"))

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """Versions that the bucket itself keeps of older objects are not reached."""
        if keys.len() and self.present(delivery):
            self._erased(delivery.options.file, delivery, keys, keep_empty=True)
        return SendResult()

    def place(self, delivery: Delivery) -> str:
        options: FileSyncOptions = delivery.options
        escaped = options.kind == "csv" and options.escape_formulas
        return f"storage:{self.options.url}/{options.file}?{options.kind}:{options.packed}:{escaped}"

    def prepare(self, delivery: Delivery) -> None:
        from cdp_core.destinations.files.writers import open_writer

        self._clear()
        self._name = delivery.options.file
        with self._here():
            self._folder = tempfile.TemporaryDirectory(prefix="cdp-")
            self._writer = open_writer(Path(self._folder.name) / PurePosixPath(self._name).name, delivery)

    def send(self, batch: Batch) -> SendResult:
        if batch.rows.height and self._writer is not None:
            with self._here():
                self._writer.write(batch)
        return SendResult()

    def finish(self, complete: bool) -> None:
        writer = self._writer
        if writer is None:
            return
        if not complete:
            self._clear()
            return
        with self._here():
            writer.close()
        with self._translated():
            self._put(writer.path, self._name)
        self._clear()

    def _clear(self) -> None:
        folder, self._folder = self._folder, None
        self._writer = None
        if folder is not None:
            folder.cleanup()


class StorageDeltasDestination(_Bucket):
    """Every batch becomes one object: the rows, `_operation` (upsert or remove) and `_delivery_id`.

    The id stays the same when a delivery is tried again, in another object then: readers keep one row of each.
    """

    SyncOptions: ClassVar[type[BaseModel]] = DeltaSyncOptions
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "insert", "full", "remove"})
    batch_rows = 100_000

    def __init__(self, options: StorageOptions, root: Path) -> None:
        super().__init__(options, root)
        self._delivery: Delivery | None = None
        self._began = ""

    def place(self, delivery: Delivery) -> str:
        options: DeltaSyncOptions = delivery.options
        return f"storage:{self.options.url}/{options.folder}/?{options.kind}:{options.packed}:{options.escape_formulas}"

    def prepare(self, delivery: Delivery) -> None:
        more = {OPERATION: "string", DELIVERY: "string"}
        if taken := sorted(set(more) & set(delivery.fields)):
            raise DestinationError(f"the field {taken[0]} is written by itself", where=f"sync {delivery.sync}")
        self._delivery = dataclasses.replace(delivery, fields={**delivery.fields, **more})
        self._began = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")

    def send(self, batch: Batch) -> SendResult:
        return self._written(batch, "upsert")

    def remove_rows(self, batch: Batch) -> SendResult:
        return self._written(batch, "remove")

    def erase(self, delivery: Delivery, keys: pl.Series) -> SendResult:
        """Writes every object anew that has any of these rows, and deletes one that has no other.

        Versions that the bucket itself keeps of older objects are not reached.
        """
        if not keys.len():
            return SendResult()
        options: DeltaSyncOptions = delivery.options
        folder = options.folder.strip("/")
        with self._translated():
            fs, base = self._opened()
            fs.invalidate_cache()
            inside = f"{base}/{folder}"
            found = sorted(fs.find(inside)) if fs.exists(inside) else []
        for path in found:
            if named := _OWN.fullmatch(PurePosixPath(path).name):
                told = dataclasses.replace(delivery, options=_as_written(options, named["kind"], bool(named["zipped"])))
                self._erased(str(path)[len(base) + 1 :], told, keys, keep_empty=False)
        return SendResult()

    def _written(self, batch: Batch, operation: str) -> SendResult:
        from cdp_core.destinations.files.writers import open_writer

        if not batch.rows.height or self._delivery is None:
            return SendResult()
        options: DeltaSyncOptions = self._delivery.options
        suffix = options.kind + (".gz" if options.packed == "gzip" else "")
        name = f"{self._began}-{batch.id.replace(':', '-').replace('/', '-')}.{suffix}"
        with ExitStack() as stack:
            with self._here():
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cdp-"))
                writer = open_writer(Path(folder) / name, self._delivery)
                writer.write(_told(batch, operation))
                writer.close()
            with self._translated():
                self._put(writer.path, f"{options.folder.strip('/')}/{name}")
        return SendResult()


def _as_written(options: DeltaSyncOptions, kind: str, zipped: bool) -> DeltaSyncOptions:
    """The options of an object that was written before `format` or `compression` were changed."""
    same = kind == options.format and zipped == (options.packed == "gzip")
    packed = "gzip" if zipped else None
    return options if same else options.model_copy(update={"format": kind, "compression": packed})


def _told(batch: Batch, operation: str) -> Batch:
    """The batch with what was done and its idempotency keys as two more fields."""
    import polars as pl

    ids = batch.ids if batch.ids is not None else pl.Series([None] * batch.rows.height, dtype=pl.String)
    rows = batch.rows.with_columns(pl.lit(operation).alias(OPERATION), ids.alias(DELIVERY))
    told = pl.format(
        '{},"_operation":"{}","_delivery_id":{}}}',
        pl.col("payload").str.head(-1),
        pl.lit(operation),
        pl.when(pl.col("ids").is_null()).then(pl.lit("null")).otherwise(pl.format('"{}"', pl.col("ids"))),
    )
    payload = pl.DataFrame({"payload": batch.payload, "ids": ids}).select(told.alias("payload"))["payload"]
    return dataclasses.replace(batch, rows=rows, payload=payload)
