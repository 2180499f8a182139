"""Any Singer target as a destination: a program that reads SCHEMA, RECORD and STATE messages.

Specification: https://hub.meltano.com/singer/spec. A target says that what it has read is safe by writing the STATE
that followed it to its output, so rows count as delivered when it has written the last one and ended well.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from cdp_core.destinations.base import Batch, Delivery, SendResult
from cdp_core.errors import DestinationError

_TYPES: dict[str, dict[str, Any]] = {
    "int64": {"type": ["integer", "null"]},
    "float64": {"type": ["number", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "date": {"type": ["string", "null"], "format": "date"},
    "timestamp": {"type": ["string", "null"], "format": "date-time"},
    "array<string>": {"type": ["array", "null"], "items": {"type": ["string", "null"]}},
}

LONGEST_STATE = 65_536
"""Bytes at the end of a target's output in which its last state stands."""


class SingerOptions(BaseModel):
    """`command` is the target's program with its arguments; `config` is written to a file of mode 0600 for --config."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: list[str] = Field(min_length=1, description="Program and arguments, such as [target-csv]")
    config: dict[str, Any] = Field(default_factory=dict, repr=False, description="What the target is configured with")
    timeout: float = Field(600, gt=0, description="Seconds the target may take after its last row")
    confirms: Literal["state", "exit"] = Field(
        "state", description="exit: for targets that write no state, whose exit code 0 is believed"
    )


class SingerSyncOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    stream: str | None = Field(None, description="Name of the stream; the sync's name where nothing is said")
    removals: Literal["none", "soft"] = Field("none", description="soft sends removed rows with _sdc_deleted_at")


class SingerDestination:
    """One program per run of a sync. Its output and its errors may hold rows, so only its exit code is told. Its output
    goes to a file that only this user can read, of which the last line is looked at.
    """

    Options: ClassVar[type[BaseModel]] = SingerOptions
    SyncOptions: ClassVar[type[BaseModel]] = SingerSyncOptions
    modes: ClassVar[frozenset[str]] = frozenset({"mirror", "upsert", "insert", "full", "remove"})
    final_at_finish = True

    def __init__(self, options: SingerOptions, root: Path) -> None:
        self.options, self.root = options, root
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._stream = ""
        self._records_sent = 0

    @property
    def _shown(self) -> str:
        return Path(self.options.command[0]).name

    def place(self, delivery: Delivery) -> str:
        return f"singer:{self._shown}/{self._name(delivery)}"

    def prepare(self, delivery: Delivery) -> None:
        options: SingerSyncOptions = delivery.options
        if delivery.mode in ("mirror", "remove") and options.removals == "none":
            raise DestinationError(
                f"mode {delivery.mode} removes rows, and the target is not told of any",
                where=f"sync {delivery.sync}",
                hint="set removals: soft in its options, or use mode: upsert",
            )
        self._stream = self._name(delivery)
        self._folder = tempfile.TemporaryDirectory(prefix="cdp-singer-")
        config = Path(self._folder.name) / "config.json"
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump(self.options.config, file)
        self._records_sent = 0
        with os.fdopen(os.open(self._said, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as said:
            self._process = self._started([*self.options.command, "--config", str(config)], said)
        properties = {name: _type(kind) for name, kind in delivery.fields.items()}
        if options.removals == "soft":
            properties["_sdc_deleted_at"] = _TYPES["timestamp"]
        schema = {"type": "object", "properties": properties}
        self._write([{"type": "SCHEMA", "stream": self._stream, "schema": schema, "key_properties": [delivery.key]}])

    def send(self, batch: Batch) -> SendResult:
        self._records(batch.payload.to_list())
        return SendResult()

    def remove_rows(self, batch: Batch) -> SendResult:
        from datetime import UTC, datetime

        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._records([f'{payload[:-1]},"_sdc_deleted_at":"{at}"}}' for payload in batch.payload.to_list()])
        return SendResult()

    def finish(self, complete: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if complete:
                self._end(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if self._folder is not None:
                self._folder.cleanup()

    def test(self) -> str:
        """Start the target and let it read nothing."""
        process = self._started([*self.options.command, "--help"])
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise DestinationError("no answer to --help within 30 s", where=self._shown) from None
        if process.returncode:
            raise DestinationError(f"exit code {process.returncode} for --help", where=self._shown)
        return f"{self._shown} starts"

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        state = {"cdp": {"stream": self._stream, "records": self._records_sent}}
        read_all = True
        try:
            process.stdin.write(json.dumps({"type": "STATE", "value": state}).encode() + b"\n")
            process.stdin.close()
        except OSError:
            read_all = False
        try:
            code = process.wait(self.options.timeout)
        except subprocess.TimeoutExpired:
            raise DestinationError(f"did not end within {self.options.timeout:g} s", where=self._shown) from None
        if code:
            raise self._died(code)
        if not read_all or (self.options.confirms == "state" and self._last_state() != state):
            raise DestinationError(
                "the target ended without confirming the last state: rows before it may not be safe",
                where=self._shown,
                hint="every row is still to be sent; a target that never writes a state needs confirms: exit",
            )

    @property
    def _said(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "output"

    def _last_state(self) -> Any:
        """What stands in the last line of the target's output; None when that is no JSON."""
        with self._said.open("rb") as output:
            output.seek(max(0, output.seek(0, os.SEEK_END) - LONGEST_STATE))
            lines = output.read().strip().splitlines()
        try:
            return json.loads(lines[-1]) if lines else None
        except ValueError:
            return None

    def _started(self, command: list[str], output: IO[bytes] | int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603
                command,
                cwd=self.root,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise DestinationError(
                f"the program does not start: {(error.strerror or '').lower()}",
                where=self._shown,
                hint="install the target in a virtual environment of its own and give its path",
            ) from None

    def _records(self, payloads: list[str]) -> None:
        self._records_sent += len(payloads)
        head = f'{{"type": "RECORD", "stream": {json.dumps(self._stream)}, "record": '
        self._put("".join(f"{head}{payload}}}\n" for payload in payloads).encode())

    def _write(self, messages: list[dict[str, Any]]) -> None:
        self._put("".join(json.dumps(message) + "\n" for message in messages).encode())

    def _put(self, text: bytes) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise DestinationError("prepare() has not been called", where=self._shown)
        try:
            process.stdin.write(text)
            process.stdin.flush()
        except OSError:
            raise self._died(process.wait()) from None

    def _died(self, code: int) -> DestinationError:
        return DestinationError(
            f"the target ended with exit code {code}",
            where=self._shown,
            hint="run it by hand with one row to see what it says; every row is still to be sent",
        )

    def _name(self, delivery: Delivery) -> str:
        return delivery.options.stream or delivery.sync


def _type(kind: str) -> dict[str, Any]:
    if kind.startswith("decimal"):
        return _TYPES["float64"]
    return _TYPES.get(kind, {"type": ["string", "null"]})
