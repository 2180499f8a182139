"""Buckets behind a relay with faults at one's command: what it lets through goes to a server that speaks S3."""

from __future__ import annotations

import http.client
import io
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

import boto3
import polars as pl
import pytest
import s3fs
from fault_kinds import SHORT
from moto.server import ThreadedMotoServer

from cdp_core.destinations.files.storage import StorageDeltasDestination, StorageDestination, StorageOptions
from cdp_core.testing.contract import DestinationContract, Row
from cdp_core.testing.services.base import Reply, Request, StandIn

_numbers = itertools.count()
_NOT_PASSED_ON = {"content-length", "connection", "transfer-encoding", "date", "server", "expect"}
Records = dict[str, Row]


@pytest.fixture(scope="session")
def moto_server() -> Iterator[int]:
    """The port of the server."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield running.get_host_and_port()[1]
    running.stop()


class Relay(StandIn):
    """An object that is put is a call. s3fs tries again by itself, which is turned off: the engine does."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.server = ("127.0.0.1", port)
        self.bucket = boto3.resource(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", aws_access_key_id="x", aws_secret_access_key="x",
            region_name="us-east-1",
        ).Bucket(f"people{next(_numbers)}")  # fmt: skip
        self.bucket.create()

    def __enter__(self) -> Self:
        self._tries, s3fs.S3FileSystem.retries = s3fs.S3FileSystem.retries, 1
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        s3fs.S3FileSystem.retries = self._tries
        super().__exit__(*raised)

    def handle(self, request: Request) -> Reply:
        connection = http.client.HTTPConnection(*self.server, timeout=10)
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_PASSED_ON}
        query = f"?{urlencode(request.query)}" if request.query else ""
        connection.request(request.method, request.path + query, request.body or None, headers)
        answer = connection.getresponse()
        body = answer.read()
        passed = {n: v for n, v in answer.getheaders() if n.lower() not in _NOT_PASSED_ON}
        if request.method == "HEAD":
            passed["Content-Length"] = answer.getheader("Content-Length", "0")
        connection.close()
        if request.method == "PUT" and answer.status == 200:
            with self.lock:
                self.put(request.path.removeprefix(f"/{self.bucket.name}/"))
        return Reply(answer.status, body, passed)

    def put(self, name: str) -> None:
        """Count what the object has changed of every record."""
        raise NotImplementedError

    def body(self, name: str) -> bytes:
        found: bytes = self.bucket.Object(name).get()["Body"].read()
        return found

    @property
    def options(self) -> StorageOptions:
        quick = {"retries": {"max_attempts": 0}, "read_timeout": SHORT, "connect_timeout": 5}
        more = {"key": "x", "secret": "x", "endpoint_url": self.url, "config_kwargs": quick}
        return StorageOptions(url=f"s3://{self.bucket.name}/exports", storage_options=more, private_network=True)


class WholeObjects(Relay):
    """A record has changed when the object has it otherwise than the one before."""

    def put(self, name: str) -> None:
        rows = pl.read_parquet(io.BytesIO(self.body(name))).to_dicts()
        new = {row["id"]: row for row in rows}
        for key in set(self.state) - set(new):
            del self.state[key]
            self.effects[key] += 1
        for key, row in new.items():
            self.commit(key, row)


class DeltaObjects(Relay):
    """A reader keeps one row of each `_delivery_id`."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._seen: set[str] = set()

    def put(self, name: str) -> None:
        for row in map(json.loads, self.body(name).decode().splitlines()):
            if row["_delivery_id"] in self._seen:
                continue
            self._seen.add(row["_delivery_id"])
            self.effects[row["id"]] += 1


class _Relayed(DestinationContract):
    relay: Relay

    def put_foreign(self, destination: Any) -> Callable[[], bool]:
        self.relay.bucket.put_object(Key="exports/theirs.csv", Body=b"id\n1\n")
        return lambda: self.relay.body("exports/theirs.csv") == b"id\n1\n"


class Whole(_Relayed):
    sync_options: ClassVar[dict[str, Any]] = {"file": "people.parquet"}

    def make(self, root: Path) -> StorageDestination:
        return StorageDestination(self.relay.options, root)

    def rows(self, destination: Any) -> list[Row]:
        names = [found.key for found in self.relay.bucket.objects.filter(Prefix="exports/people")]
        return [row for name in names for row in pl.read_parquet(io.BytesIO(self.relay.body(name))).to_dicts()]


class Deltas(_Relayed):
    sync_options: ClassVar[dict[str, Any]] = {"folder": "changes", "format": "jsonl"}

    def make(self, root: Path) -> StorageDeltasDestination:
        return StorageDeltasDestination(self.relay.options, root)

    def rows(self, destination: Any) -> list[Row]:
        """What a reader makes of the objects, in the order of their names."""
        found: Records = {}
        for each in sorted(self.relay.bucket.objects.filter(Prefix="exports/changes/"), key=lambda o: o.key):
            for line in self.relay.body(each.key).decode().splitlines():
                row = json.loads(line)
                found.pop(row["id"], None)
                if row["_operation"] == "upsert":
                    found[row["id"]] = row
        return list(found.values())
