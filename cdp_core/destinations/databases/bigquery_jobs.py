"""Calls and jobs of BigQuery's REST API: what an answer says, one effect per job id, and waiting for its end.

A job is begun under an id of ours: a second insert under the same id is answered with 409 `duplicate`, and then the
job that is there is looked at. Rule: BigQuery API v2, jobs.insert and jobs.get; "Error messages" for the reasons.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cdp_core.destinations.base import BatchRefused, Unavailable
from cdp_core.destinations.http import wanted_wait
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    from cdp_core.destinations.http import Answer, Http

SLOWEST_POLL = 15.0
MISSED_POLLS = 5
LONG_QUOTA_WAIT = 600.0
MULTIPART_BYTES = 5_000_000
"""Longer content is sent by a resumable upload, as Google's own client does."""
_JUDGED_HERE = (400, 403, 404, 409, 412)
_LATER = {
    "backendError", "internalError", "jobBackendError", "jobInternalError", "jobRateLimitExceeded", "quotaExceeded",
    "rateLimitExceeded", "resourceInUse", "resourcesExceeded", "stopped", "tableUnavailable", "timeout",
}  # fmt: skip
_OF_ROWS = {"invalid", "invalidQuery"}
_HINTS = {
    "accessDenied": "the account needs the roles BigQuery Data Editor (dataset) and BigQuery Job User (project)",
    "billingNotEnabled": "enable billing for the project; without it rows cannot be changed",
    "notFound": "look at the project, the dataset and its location",
}
_KINDS = (
    ("cannot be null", "null is not allowed"),
    ("value of null", "null is not allowed"),
    ("out of range", "out of range"),
    ("overflow", "out of range"),
    ("exceeds", "too long or out of range"),
    ("too long", "too long"),
    ("bad ", "not a value of the column's type"),
    ("invalid ", "not a value of the column's type"),
    ("could not ", "not a value of the column's type"),
)
_PASSING = ("could not serialize access", "streaming buffer")
_OF_STATEMENT = ("syntax error", "unrecognized name", "no matching signature", "partition elimination")
"""Not of the rows, though the reason is the same as theirs."""


@dataclass
class Job:
    """What a job is begun with. Once a job has failed under its id, it is begun under another: ids are used once.
    `known`: BigQuery has said that it has begun, so that it is looked at and not sent again.
    """

    name: str
    configuration: Mapping[str, Any]
    content: bytes | None = None
    again: str = ""
    known: bool = False

    @property
    def id(self) -> str:
        return f"{self.name}{self.again}"

    def renamed(self) -> None:
        self.again, self.known = f"_{uuid.uuid4().hex[:12]}", False


class BigQuery:
    """One project. `location` is where jobs run; `poll` is the first wait in seconds, `patience` the longest."""

    def __init__(self, http: Http, project: str, *, poll: float, patience: float) -> None:
        self.http, self.project, self.poll, self.patience = http, project, poll, patience
        self.location: str | None = None
        self._root = f"/bigquery/v2/projects/{quote(project, safe='')}"

    def told(self, method: str, path: str, body: Any = None, *, unless: str = "", **more: Any) -> dict[str, Any]:
        """The answer as an object, an empty one when the reason that BigQuery gives is `unless`; `path` follows the
        project.

        Raises Unavailable, BatchRefused or DestinationError, by the reason.
        """
        answer = self.http.call(method, self._root + path, json=body, accept=_JUDGED_HERE, **more)
        return self._read(answer, unless=unless)

    def run(self, job: Job) -> dict[str, Any]:
        """Begin the job, unless it has begun, and wait for its end; the job as it ended.

        Raises Unavailable when that is not known yet: the same job may be run again.
        """
        found = self._begun(job)
        if not _ended(found):
            found = self._waited(job)
        if error := _error_in(found):
            job.renamed()
            raise self.refused(200, error)
        return found

    def rows(self, job: Job) -> list[list[Any]]:
        """What a query that has ended found, values as text."""
        found: list[list[Any]] = []
        page: str | None = ""
        while page is not None:
            given = {"location": self.location, "maxResults": 10_000, "pageToken": page}
            params = {name: value for name, value in given.items() if value}
            told = self.told("GET", f"/queries/{job.id}", params=params)
            if not told.get("jobComplete"):
                raise Unavailable("the result is not there yet", where=self.http.where)
            found += [[cell.get("v") for cell in row.get("f") or ()] for row in told.get("rows") or ()]
            page = told.get("pageToken") or None
        return found

    def at(self) -> dict[str, str]:
        """The project and, once it is known, the location."""
        return {"projectId": self.project, **({"location": self.location} if self.location else {})}

    def _begun(self, job: Job) -> dict[str, Any]:
        """As it is after the insert. One that has failed before under this id is begun under another."""
        if job.known:
            return self._looked(job.id)
        body = {"jobReference": {**self.at(), "jobId": job.id}, "configuration": job.configuration}
        answer = self._inserted(body, job.content)
        found = self._looked(job.id) if answer.status == 409 else self._job(self._read(answer))
        job.known = True
        if answer.status != 409:
            return found
        if _ended(found) and _error_in(found):
            job.renamed()
            return self._begun(job)
        return found

    def _inserted(self, body: dict[str, Any], content: bytes | None) -> Answer:
        if content is None:
            return self.http.call("POST", f"{self._root}/jobs", json=body, accept=_JUDGED_HERE)
        if len(content) <= MULTIPART_BYTES:
            return self._multipart(body, content)
        return self._resumable(body, content)

    def _multipart(self, body: dict[str, Any], content: bytes) -> Answer:
        edge = f"cdp{uuid.uuid4().hex}".encode()
        parts = [
            b"--" + edge + b"\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n" + json.dumps(body).encode(),
            b"--" + edge + b"\r\nContent-Type: application/octet-stream\r\n\r\n" + content,
            b"--" + edge + b"--\r\n",
        ]
        return self.http.call(
            "POST",
            f"/upload{self._root}/jobs",
            content=b"\r\n".join(parts),
            headers={"Content-Type": f"multipart/related; boundary={edge.decode()}"},
            params={"uploadType": "multipart"},
            accept=_JUDGED_HERE,
        )

    def _resumable(self, body: dict[str, Any], content: bytes) -> Answer:
        """The address of the session is looked at: the token goes along with the rows."""
        headers = {
            "X-Upload-Content-Type": "application/octet-stream",
            "X-Upload-Content-Length": str(len(content)),
        }
        begun = self.http.call(
            "POST", f"/upload{self._root}/jobs", json=body, headers=headers, params={"uploadType": "resumable"},
            accept=_JUDGED_HERE,
        )  # fmt: skip
        if begun.status != 200:
            return begun
        session = str(begun.headers.get("location") or "")
        if not self.http.same_host(session):
            raise Unavailable("the answer names no place for the upload", where=self.http.where)
        octets = {"Content-Type": "application/octet-stream"}
        return self.http.call("PUT", session, content=content, headers=octets, accept=_JUDGED_HERE)

    def _waited(self, job: Job) -> dict[str, Any]:
        pause, missed, until = self.poll, 0, time.monotonic() + self.patience
        while True:
            time.sleep(pause)
            try:
                found = self._looked(job.id)
                missed = 0
            except Unavailable:
                missed += 1
                if missed >= MISSED_POLLS:
                    raise
                found = {}
            if _ended(found):
                return found
            if time.monotonic() > until:
                raise Unavailable("the job does not end", where=self.http.where, hint="raise job_timeout")
            pause = min(pause * 1.5, SLOWEST_POLL)

    def _looked(self, job: str) -> dict[str, Any]:
        params = {"location": self.location} if self.location else None
        return self._job(self.told("GET", f"/jobs/{job}", params=params))

    def _job(self, told: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(told.get("status"), dict):
            raise Unavailable("the answer holds no job", where=self.http.where)
        return told

    def _read(self, answer: Answer, *, unless: str = "") -> dict[str, Any]:
        told = answer.json()
        if answer.status in _JUDGED_HERE:
            errors = answer.error().get("errors")
            first = errors[0] if isinstance(errors, list) and errors else {}
            error = first if isinstance(first, dict) else {}
            if unless and error.get("reason") == unless:
                return {}
            raise self.refused(answer.status, error, wanted_wait(answer.headers, self.http.retry_headers, time.time()))
        if answer.body and not isinstance(told, dict):
            raise Unavailable("the answer is not BigQuery's", where=self.http.where)
        return told or {}

    def refused(self, status: int, error: Mapping[str, Any], wait: float | None = None) -> DestinationError:
        """By the reason. The message quotes values, so only its kind is told."""
        reason, message = str(error.get("reason") or ""), str(error.get("message") or "").lower()
        word = reason if reason.isalpha() and len(reason) < 40 else f"answered {status}"
        if status == 412 or reason in _LATER or any(text in message for text in _PASSING):
            wait = wait or (LONG_QUOTA_WAIT if reason == "quotaExceeded" else None)
            return Unavailable(f"BigQuery: {word}", where=self.http.where, retry_after=wait)
        if reason in _OF_ROWS and not any(text in message for text in _OF_STATEMENT):
            kind = next((told for text, told in _KINDS if text in message), "the data were refused")
            return BatchRefused(f"{kind} ({word})", where=self.http.where)
        return DestinationError(f"BigQuery refused: {word}", where=self.http.where, hint=_HINTS.get(reason))


def _ended(found: Mapping[str, Any]) -> bool:
    return bool(found) and found["status"].get("state") == "DONE"


def _error_in(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    error = found["status"].get("errorResult")
    return error if isinstance(error, dict) else None
