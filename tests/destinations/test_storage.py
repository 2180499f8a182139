"""Buckets, against a server that speaks S3."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import boto3
import polars as pl
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from cdp_core.destinations.base import Batch, Delivery, Destination, Unavailable
from cdp_core.destinations.files import endpoint
from cdp_core.destinations.files.file import FileSyncOptions
from cdp_core.destinations.files.storage import (
    DeltaSyncOptions,
    StorageDeltasDestination,
    StorageDestination,
    StorageOptions,
)
from cdp_core.errors import DestinationError
from cdp_core.testing import DestinationContract

KEYS = {"key": "AKIAEXAMPLE", "secret": "s3cr3t-canary"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty bucket, read with the vendor's own client."""
    s3 = boto3.resource(
        "s3", endpoint_url=server, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    )
    found = s3.Bucket("people")
    found.create()
    yield found
    found.objects.delete()


def options(server: str, url: str = "s3://people/exports") -> StorageOptions:
    return StorageOptions(url=url, storage_options={**KEYS, "endpoint_url": server}, private_network=True)


class _Storage(DestinationContract):
    @pytest.fixture(autouse=True)
    def _place(self, server: str, bucket: Any) -> None:
        self.server, self.bucket = server, bucket

    def objects(self) -> dict[str, bytes]:
        return {o.key: o.get()["Body"].read() for o in sorted(self.bucket.objects.all(), key=lambda o: o.last_modified)}

    def put_foreign(self, destination: Destination) -> Any:
        self.bucket.put_object(Key="exports/theirs.csv", Body=b"id\n1\n")
        return lambda: self.objects()["exports/theirs.csv"] == b"id\n1\n"


class TestWhole(_Storage):
    sync_options: ClassVar[dict[str, Any]] = {"file": "people/all.parquet"}

    def make(self, root: Path) -> Destination:
        return StorageDestination(options(self.server), root)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        return pl.read_parquet(io.BytesIO(self.objects()["exports/people/all.parquet"])).to_dicts()


class TestDeltas(_Storage):
    sync_options: ClassVar[dict[str, Any]] = {"folder": "changes", "format": "jsonl"}

    def make(self, root: Path) -> Destination:
        return StorageDeltasDestination(options(self.server), root)

    def rows(self, destination: Destination) -> list[dict[str, Any]]:
        """What a reader makes of the objects, in the order they came."""
        found: dict[str, Any] = {}
        for name, body in self.objects().items():
            for line in body.decode().splitlines() if name.startswith("exports/changes/") else []:
                row = json.loads(line)
                if row.pop("_operation") == "remove":
                    found.pop(row["id"], None)
                else:
                    found[row["id"]] = row
        return list(found.values())


FIELDS = {"id": "string", "name": "string"}
ROWS = Batch(
    rows=pl.DataFrame({"id": ["1", "2"], "name": ["=1+1", None]}),
    key="id",
    payload=pl.Series(['{"id":"1","name":"=1+1"}', '{"id":"2","name":null}']),
    id="plan:1:send",
    ids=pl.Series(["d1", None]),
)


def delivery(given: Any) -> Delivery:
    return Delivery(sync="s", key="id", fields=FIELDS, options=given)


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("parquet", lambda body: pl.read_parquet(io.BytesIO(body)).to_dicts()),
        ("jsonl", lambda body: [json.loads(line) for line in body.decode().splitlines()]),
        ("csv", lambda body: pl.read_csv(io.BytesIO(body), infer_schema=False).to_dicts()),
    ],
)
def test_a_batch_says_what_was_done(server: str, bucket: Any, kind: str, read: Any) -> None:
    made = StorageDeltasDestination(options(server), Path())
    made.prepare(delivery(DeltaSyncOptions(folder="c", format=kind)))
    made.send(ROWS)
    made.send(ROWS)
    assert len(list(bucket.objects.all())) == 1, "a batch that is tried again is the same object"
    made.remove_rows(dataclasses.replace(ROWS, id="plan:1:remove"))
    bodies = [read(o.get()["Body"].read()) for o in bucket.objects.all()]
    expected = [{"id": "1", "name": "=1+1", "_delivery_id": "d1"}, {"id": "2", "name": None, "_delivery_id": None}]
    for body, operation in zip(
        sorted(bodies, key=lambda rows: rows[0]["_operation"]), ("remove", "upsert"), strict=True
    ):
        assert body == [{**row, "_operation": operation} for row in expected]


def test_an_interrupted_run_leaves_the_old_object(server: str, bucket: Any) -> None:
    made = StorageDestination(options(server), Path())
    for rows, complete in ((ROWS, True), (ROWS, False)):
        made.prepare(delivery(FileSyncOptions(file="a.csv")))
        if complete:
            made.send(rows)
        made.finish(complete)
    assert bucket.Object("exports/a.csv").get()["Body"].read() == b"id,name\n1,'=1+1\n2,\n"
    assert made.present(delivery(FileSyncOptions(file="a.csv")))
    bucket.Object("exports/a.csv").delete()
    assert not made.present(delivery(FileSyncOptions(file="a.csv")))
    assert made.test() == "s3://people/exports can be written"
    assert not list(bucket.objects.all())


@pytest.mark.parametrize(
    ("url", "more", "error", "text"),
    [
        ("s3://nowhere/x", {}, DestinationError, "no such bucket"),
        ("s3://people/x", {"endpoint_url": "http://127.0.0.1:1", "config_kwargs": {"retries": {"max_attempts": 0}}}, Unavailable, "cannot be reached"),
        ("nosuch://people/x", {}, DestinationError, "wrong"),
    ],
)  # fmt: skip
def test_what_goes_wrong(
    server: str, bucket: Any, url: str, more: dict[str, Any], error: type[Exception], text: str
) -> None:
    made = StorageDestination(
        options(server, url).model_copy(update={"storage_options": {**KEYS, "endpoint_url": server, **more}}), Path()
    )
    made.prepare(delivery(FileSyncOptions(file="a.csv")))
    with pytest.raises(error, match=text) as raised:
        made.finish(True)
    assert "canary" not in str(raised.value) + repr(made.options)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"endpoint_url": "http://2130706433:9000"},
        {"endpoint_url": "http://[::ffff:10.0.0.7]:9000"},
        {"endpoint_url": "http://169.254.169.254"},
        {"endpoint_url": None, "client_kwargs": {"endpoint_url": "http://localhost:9000"}},
        {"endpoint_url": None, "account_host": "192.168.1.4:9000"},
    ],
)
def test_endpoints_on_private_networks_are_refused(server: str, bucket: Any, more: dict[str, Any]) -> None:
    given = {**KEYS, "endpoint_url": server, **more}
    made = StorageDestination(StorageOptions(url="s3://people/x", storage_options=given), Path())
    with pytest.raises(DestinationError, match="private network") as raised:
        made.test()
    assert raised.value.hint == "set private_network: true if that is meant"
    assert not isinstance(raised.value, Unavailable), "it would be tried again"


def test_a_name_that_becomes_a_private_address_is_not_connected_to(
    server: str, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public when it was judged, this machine when it is connected to: DNS rebinding."""
    monkeypatch.setattr(endpoint, "resolve", lambda host, port: ["93.184.216.34"])
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    once = {"config_kwargs": {"retries": {"max_attempts": 0}}}
    given = {**KEYS, **once, "endpoint_url": server.replace("127.0.0.1", "localhost")}
    for url in (given["endpoint_url"], server):
        made = StorageDestination(
            StorageOptions(url="s3://people/x", storage_options={**given, "endpoint_url": url}), Path()
        )
        with pytest.raises(DestinationError, match="private network"):
            made.test()
    assert not list(bucket.objects.all())


def test_an_endpoint_without_an_address() -> None:
    given = {**KEYS, "endpoint_url": "http://nobody.invalid"}
    with pytest.raises(Unavailable, match="name is unknown"):
        StorageDestination(StorageOptions(url="s3://people/x", storage_options=given), Path()).test()


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(*_: Any, **__: Any) -> Any:
        raise ImportError

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(DestinationError, match=r"cdp-workbench\[gcs\]"):
        StorageDestination(StorageOptions(url="gs://people"), Path()).test()


def test_a_folder_of_this_machine(tmp_path: Path) -> None:
    made = StorageDestination(StorageOptions(url=f"file://{tmp_path}/out"), tmp_path)
    made.prepare(delivery(FileSyncOptions(file="a/b.jsonl")))
    made.send(ROWS)
    made.finish(True)
    assert len((tmp_path / "out/a/b.jsonl").read_text().splitlines()) == 2
    assert [p.name for p in (tmp_path / "out/a").iterdir()] == ["b.jsonl"]


@pytest.mark.parametrize("url", ["people", "s3://u:secret@x", "https://", ""])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="s3://"):
        StorageOptions(url=url)
